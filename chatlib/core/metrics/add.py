"""`/metrics` for an app, in one line.

    from chatlib import Hub, add_metrics

    hub = Hub("sqlite:///app.db")
    app = FastAPI(lifespan=hub.lifespan)
    add_metrics(app, hub)

`add_ops` does so too, and answers probes besides.

*What the figures are of.* One process: the moment in which it is asked. Several processes, with a
folder in the environment variable `PROMETHEUS_MULTIPROC_DIR` (`python -m chatlib rooms --workers`
makes one): all of them. The process that is asked writes its own anew; those of the others are as
each wrote them last, which it does every two seconds, and when it stops. So they are up to two
seconds old, or some more in a process with a thousand rooms or with no time for it:
`chatlib_figures_timestamp_seconds` says how old.

*A process that is killed* takes what it counted in its last two seconds with it. Up to then it is
in the sums, so no counter falls. Its gauges (connections, members, rooms) are gone with the next
request.

*Who may see it.* Whoever reaches `/metrics`. There is no name in it, of a room or a person.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Response

from chatlib.core.hub.check import Check
from chatlib.core.log import Seldom, logger
from chatlib.core.metrics.figures import figures_of
from chatlib.core.metrics.folder import given_folder, is_installed
from chatlib.core.metrics.sources import Source, Sources
from chatlib.core.metrics.traffic import Counted, Traffic

if TYPE_CHECKING:  # they need prometheus-client, which is imported when the app starts
    from chatlib.core.metrics.shared import Shared

WRITE_SECONDS = 2.0
SHARE = 0.01  # of the time, at most: with a thousand rooms it takes 10 to 40 ms to look at them
ASK_SECONDS = 1.0  # for so long the store is not asked again, however many ask for figures
FORMAT = "text/plain; version=0.0.4; charset=utf-8"
LACKING = "there is no /metrics: pip install 'chatlib[metrics]' brings it"


class Metrics:
    """The figures of an app, of all its processes.

    Args:
        sources: its hub and its rooms.
        traffic: the connections of the app.
        folder: where several processes put theirs; None: there is one.
    """

    def __init__(self, sources: Sources, traffic: Traffic, folder: Path | None) -> None:
        self.sources = sources
        self.traffic = traffic
        self.folder = folder
        self._shared: Shared | None = None
        self._check = None if sources.hub is None else Check(sources.hub.store)
        self._up = False
        self._lines = Seldom()

    async def text(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        up = await self._is_up()
        figures = figures_of(self.sources, self.traffic, up)
        if self.folder is None:
            from chatlib.core.metrics.text import text_alone

            return await asyncio.to_thread(text_alone, figures)
        from chatlib.core.metrics.shared import text_of_all

        self._write(up)
        return await asyncio.to_thread(text_of_all, self.folder)

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Write the figures of this process from time to time, where others need them."""
        if self.folder is None:
            yield
            return
        writing = asyncio.create_task(self._keep_writing())
        try:
            yield
        finally:
            writing.cancel()
            self._write(self._up)
            if self._shared is not None:
                self._shared.close()
                self._shared = None

    async def _keep_writing(self) -> None:
        while True:
            up = await self._is_up()
            began = time.perf_counter()
            self._write(up)
            took = time.perf_counter() - began
            await asyncio.sleep(max(WRITE_SECONDS, took / SHARE))

    def _write(self, up: bool) -> None:
        """Write them now, if there is a place for them."""
        from chatlib.core.metrics.shared import Shared

        assert self.folder is not None
        try:
            self._shared = self._shared or Shared(self.folder)
            self._shared.write(figures_of(self.sources, self.traffic, up))
        except OSError as error:
            self._lines.warning("figures", "the figures cannot be written: %s", error)

    async def _is_up(self) -> bool:
        """Return whether the store answers."""
        if self._check is not None:
            self._up = (await self._check.ask(ASK_SECONDS)).ok
        return self._up


@contextlib.asynccontextmanager
async def say_what_is_lacking() -> AsyncIterator[None]:
    """Say in the log what brings the figures."""
    logger.info(LACKING)
    yield


def while_it_runs(app: FastAPI, what: Callable[[], AbstractAsyncContextManager[None]]) -> None:
    """Have `what` entered once `app` has started, and left before it stops."""
    inner = app.router.lifespan_context

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[Any]:
        async with inner(app) as state, what():
            yield state

    app.router.lifespan_context = lifespan


def add_metrics(app: FastAPI, *sources: Source, path: str = "/metrics") -> None:
    """Have `app` tell Prometheus at `path` what its rooms and its WebSockets do.

    Without prometheus-client (the extra `metrics`) there is no such path, and a line in the log
    says so when the app starts. Call it after all other middleware is added: it counts at the edge.

    Args:
        app: the app.
        sources: its hub, if it has one, which has to be open while the app runs, in the same event
            loop; and its `ConnectionManager` and `Room` objects that live for as long as it does.
        path: where.

    Raises:
        TypeError: a source is none of these, or there are two hubs.
    """
    found = Sources(sources)
    if not is_installed():
        while_it_runs(app, say_what_is_lacking)
        return
    traffic = Traffic()
    metrics = Metrics(found, traffic, given_folder())
    app.add_middleware(Counted, traffic=traffic)
    while_it_runs(app, metrics.running)

    @app.head(path, include_in_schema=False)
    @app.get(path, include_in_schema=False)
    async def send_metrics() -> Response:
        headers = {"Cache-Control": "no-store"}
        return Response(await metrics.text(), headers=headers, media_type=FORMAT)
