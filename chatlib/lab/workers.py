"""Several servers of one app, each in a process of its own, which a cell starts and kills.

They are what `uvicorn --workers` starts, save that each has a port of its own: so a notebook can
say which of them a client is connected to.
"""

import asyncio
import json
import threading
from functools import partial
from queue import SimpleQueue
from typing import Any

import uvicorn
from uvicorn.importer import import_from_string

from chatlib.core.guard import MAX_MESSAGE_BYTES
from chatlib.lab.child import Child, ChildError
from chatlib.lab.loopback import HOST, ServerError, except_loopback_from_proxies, listen
from chatlib.lab.measured import FANOUT, hear_the_parent
from chatlib.lab.started import Started

STOP_SECONDS = 5.0  # how long a worker may take to end, before it is killed
GRACE_SECONDS = 1  # how long its handlers may take to end


class Worker:
    """A process that serves an app. `start` makes them.

    It ends with the process that started it, even with one that is killed. It serves as
    `python -m chatlib` does.

    Args:
        name: what its repr calls it.
        app: where the app is, as uvicorn takes it: `chatlib.chat:app`. With `options`, where the
            function is that makes one.
        options: what this function is called with.

    Attributes:
        port: where it listens, once `wait` has returned.
    """

    def __init__(self, name: str, app: str, options: dict[str, Any]) -> None:
        self.name = name
        self.port = 0
        self._child = Child("from chatlib.lab.workers import main; main()")
        self._child.order({"app": app, "options": options})

    def wait(self) -> None:
        """Wait until it accepts connections.

        Raises:
            ServerError: it has ended instead. The message is the last line that it wrote.
        """
        try:
            self.port = self._child.answer()
        except ChildError as error:
            raise ServerError(f"{self.name} did not start: {error}") from None

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._child.running

    def http_url(self, path: str = "/") -> str:
        """Return the address of `path` for a browser or an HTTP client."""
        return f"http://{self._address()}{path}"

    def ws_url(self, path: str = "/ws") -> str:
        """Return the address of `path` for a WebSocket client."""
        return f"ws://{self._address()}{path}"

    def _address(self) -> str:
        if not self.running:
            again = "start the workers again: run the cell with workers.start(…)"
            raise ServerError(f"{self.name} has ended; {again}")
        return f"{HOST}:{self.port}"

    def kill(self) -> None:
        """Kill its process with SIGKILL, which no process can catch, and wait until it is gone."""
        self._child.kill()

    def stop(self) -> None:
        """Ask its process to end, and wait for that. Harmless if it has ended."""
        self._child.ask_to_end(STOP_SECONDS)

    def __repr__(self) -> str:
        return f"<{self.name}: {self.http_url() if self.running else 'ended'}>"


_started: Started[Worker] = Started()
stop = _started.stop


def start(app: str, count: int = 2, **options: Any) -> list[Worker]:
    """Start `count` workers of `app`, in place of those that run, and return them.

    They are up when this returns. `app` and `options` are those of `Worker`.

    Raises:
        ServerError: one of them did not start. None runs then.
    """
    stop()
    except_loopback_from_proxies()
    names = [f"worker {number}" for number in range(1, count + 1)]
    started = [_started.start(partial(Worker, name, app, options), name) for name in names]
    try:
        for worker in started:
            worker.wait()
    except BaseException:
        stop()
        raise
    return started


class Announcing(uvicorn.Server):
    """A server that prints its port once it accepts connections."""

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(sockets[0].getsockname()[1], flush=True)


def main() -> None:
    """Serve what the first line of stdin says, until SIGTERM or the end of stdin."""
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=hear_the_parent, args=(lines,), daemon=True).start()
    order = json.loads(lines.get())
    app = import_from_string(order["app"])
    config = uvicorn.Config(
        app(**order["options"]) if order["options"] else app,
        http="chatlib.core.head:TimedHead",
        ws=FANOUT,
        ws_max_size=MAX_MESSAGE_BYTES,
        timeout_graceful_shutdown=GRACE_SECONDS,
        access_log=False,
    )
    sock = listen(0)
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(Announcing(config).serve(sockets=[sock]))
