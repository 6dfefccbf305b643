"""What whoever operates an app needs of it, in one line.

    from chatlib import Hub, add_ops

    hub = Hub("sqlite:///app.db")
    app = FastAPI(lifespan=hub.lifespan)
    add_ops(app, hub)

- `/livez`: 200 while the process runs and its event loop turns. It asks nothing else, so that a
  store that is away has no process restarted, which would help nobody.
- `/readyz`: 200 while the process wants clients. 503 from SIGTERM on, and while the store does not
  answer.
- `/healthz`: whether the store answers, how durable it is, and what the process serves. 503 while
  the store does not answer. It is for people, and for what raises an alarm.
- `/metrics`: see `add_metrics`.

None of them counts for the caps of `Guard`, so a full app is still alive and ready.
"""

import contextlib
from collections.abc import AsyncIterator

from fastapi import FastAPI

from chatlib.core.metrics.add import add_metrics, while_it_runs
from chatlib.core.metrics.sources import Source, Sources
from chatlib.core.ops.health import Probes, add_probes
from chatlib.core.ops.stopping import Stopping


def add_ops(app: FastAPI, *sources: Source, drain: float = 0.0) -> None:
    """Have `app` answer `/livez`, `/readyz`, `/healthz` and `/metrics`.

    What was added before, and takes one of these paths, is what answers there: a route of the
    app's own, but also `/{path:path}`, or files that are mounted at `/`. Call it before these, and
    after all other middleware is added.

    Args:
        app: the app that the server runs. One that is mounted in another is not told that it
            starts or stops, so its `/readyz` would say nothing of SIGTERM.
        sources: its hub, if it has one, which has to be open while the app runs, in the same event
            loop; and its `ConnectionManager` and `Room` objects that live for as long as it does.
        drain: for how many seconds after SIGTERM the app goes on serving, while `/readyz` says 503.
            A proxy or a load balancer that is sure of it within that time, at the second or third
            503 perhaps, looks elsewhere before a client is refused. Whoever stops the server has
            to wait for longer: gunicorn by `--graceful-timeout`, Kubernetes by its grace period.
            It needs a server that handles signals as uvicorn does, in the main thread: uvicorn
            itself, with `--workers` too, and gunicorn's uvicorn worker. Hypercorn and Granian stop
            at once, and `/readyz` does not say so before. 0: at once.

    Raises:
        TypeError: a source is none of these, or there are two hubs.
        ValueError: `drain` is below 0, or no number of seconds.
    """
    found = Sources(sources)

    def serves() -> tuple[int, int]:
        look = found.look()
        return look.rooms, look.all.members

    add_probes(app, Probes(found.hub, serves, add_stopping(app, drain)))
    add_metrics(app, *sources)


def add_stopping(app: FastAPI, drain: float) -> Stopping:
    """Have SIGTERM noted while `app` runs, as `add_ops` says; return where.

    Raises:
        ValueError: `drain` is below 0, or no number of seconds.
    """
    stopping = Stopping(drain)

    @contextlib.asynccontextmanager
    async def noted() -> AsyncIterator[None]:
        with stopping.noted():
            yield

    while_it_runs(app, noted)
    return stopping
