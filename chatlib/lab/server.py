"""A real uvicorn in a background thread of the notebook's kernel."""

import asyncio
import contextlib
import threading
import warnings
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp

from chatlib.core.redact import redact_logs
from chatlib.core.turn import turn_here
from chatlib.lab.log import Log, logged_by_this_thread, set_up
from chatlib.lab.loopback import (
    HOST,
    ServerError,
    address_of,
    except_loopback_from_proxies,
    listen,
)
from chatlib.lab.options import config_for
from chatlib.lab.prompt import PromptServer, watching_lifespan, where_blocked
from chatlib.lab.recording import recording_protocol
from chatlib.lab.show import Page
from chatlib.lab.wire import Event

START_SECONDS = 10.0  # how long an app's lifespan may take to start
GRACE_SECONDS = 1  # how long handlers may take to end once their clients are told
STOP_SECONDS = 4.0  # and the rest of a stop


class Server:
    """A running uvicorn, in a thread of its own with an event loop of its own.

    It accepts connections as soon as it exists. It is a context manager, which stops it.

    Args:
        app: the ASGI app.
        port: the port to listen at; 0 for a free one.
        name: what its repr calls it.
        host: the address to listen at. Other machines reach `"0.0.0.0"`.
        options: of `uvicorn.Config`. Unless given, `ws` is `FanoutProtocol`, `ws_max_size` 64 KiB,
            and `timeout_graceful_shutdown` one second.

    Raises:
        ServerError: it cannot start: the port is taken, or the app's lifespan failed.
        TypeError, ValueError: an option does not exist or cannot be; the message says what to do.

    Attributes:
        app: the app that it runs.
        port: where it listens.
        address: the host and port at which clients of this machine reach it.
        loop: the event loop of its thread.
        log: what happened, in uvicorn's words. Nothing is printed.
        observers: called with each `Event` on the wire, in the server's thread.
    """

    def __init__(
        self, app: ASGIApp, *, port: int = 0, name: str = "server", host: str = HOST, **options: Any
    ) -> None:
        if not callable(app):
            raise TypeError(f"serve() takes an ASGI app, such as FastAPI(); got {app!r}")
        self.app = app
        self.name = name
        self.log = Log()
        self.observers: list[Callable[[Event], None]] = []
        except_loopback_from_proxies()
        redact_logs()
        self._lifespan_error: BaseException | None = None
        self._thread_error: BaseException | None = None
        self._ready = threading.Event()
        self._main: asyncio.Task[None] | None = None
        self.loop: asyncio.AbstractEventLoop
        set_up(options.get("log_level"), options.get("access_log"))
        config = config_for(
            watching_lifespan(app, self._note_lifespan_error),
            options,
            lambda protocol: recording_protocol(self._observe, protocol),
            GRACE_SECONDS,
        )
        self._secure = "s" if config.ssl else ""
        self._stop_seconds = STOP_SECONDS + (config.timeout_graceful_shutdown or 0)
        self._socket = listen(port, host)
        self.port: int = self._socket.getsockname()[1]
        self.address = address_of(host, self.port)
        self._uvicorn = PromptServer(config, self._ready)
        self._thread = threading.Thread(target=self._run, name=f"chatlib {name}", daemon=True)
        self._thread.start()
        self._wait_until_ready()

    def http_url(self, path: str = "/") -> str:
        """Return the address of `path` for a browser or an HTTP client."""
        self._expect_running()
        return f"http{self._secure}://{self.address}{path}"

    def ws_url(self, path: str = "/ws") -> str:
        """Return the address of `path` for a WebSocket client."""
        self._expect_running()
        return f"ws{self._secure}://{self.address}{path}"

    def show(self, path: str = "/", height: int = 420) -> Page:
        """Return the page at `path`, to be shown inside the notebook `height` pixels high."""
        return Page(self.http_url(""), self.port, path, height)

    @property
    def handlers(self) -> frozenset["asyncio.Task[None]"]:
        """The tasks in which the app's handlers run now, one for each open connection."""
        return frozenset(self._uvicorn.server_state.tasks)

    @property
    def client_ports(self) -> frozenset[int]:
        """The ports of the clients whose connections are open."""
        connections = list(self._uvicorn.server_state.connections)
        clients = [getattr(each, "client", None) for each in connections]
        return frozenset(client[1] for client in clients if client)

    async def settled(self, besides: frozenset["asyncio.Task[None]"] = frozenset()) -> None:
        """Wait until every handler but those in `besides` has ended, so that the log is complete.

        It waits for as long as a client stays connected. Cancelling it stops the waiting alone.
        """
        self._expect_running()
        waiting = asyncio.run_coroutine_threadsafe(self._uvicorn.handlers_end(besides), self.loop)
        await asyncio.wrap_future(waiting)

    async def written(self) -> None:
        """Wait until all that was published in this server's rooms is written to their members.

        A room does not write at once: it joins what is published in a turn or two of the event
        loop. A pong overtakes that, so to have a client get everything, await this first and then
        its pong. What is published while it waits is waited for too. Cancelling it changes nothing.

        It does not wait for what clients have sent and handlers have not answered, for a publisher
        that a full room lets wait, for a member whose connection is full, or for connections of
        another protocol than `FanoutProtocol`.
        """
        self._expect_running()
        waiting = asyncio.run_coroutine_threadsafe(rooms_idle(), self.loop)
        await asyncio.wrap_future(waiting)

    @property
    def running(self) -> bool:
        """Whether it accepts connections."""
        return self._thread.is_alive() and not self._uvicorn.should_exit

    def stop(self) -> None:
        """Close every connection with 1012, *service restart*, and end the thread.

        Harmless if it has stopped already. A handler that goes on for a second after its client
        was told is cancelled; one that blocks the thread cannot be, and a warning names it.
        """
        self.ask_to_stop()
        self._thread.join(self._stop_seconds)
        if self._thread.is_alive():
            warnings.warn(
                f"{self!r} does not stop: {self.where_blocked()}. "
                "Restart the kernel to be rid of it.",
                RuntimeWarning,
                stacklevel=2,
            )

    def ask_to_stop(self) -> None:
        """Have it stop as soon as its thread is free to, and do not wait for that."""
        if self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # its loop has closed since the line above
                self.loop.call_soon_threadsafe(self._uvicorn.exit_now)

    def where_blocked(self) -> str:
        """Return in words which function of the app's code its thread is in just now."""
        return where_blocked(self._thread)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        if not self.running:
            return f"<{self.name}: stopped>"
        return f"<{self.name}: http{self._secure}://{self.address}/>"

    def _run(self) -> None:
        try:
            with (
                logged_by_this_thread(self.log),
                # On Python 3.12+ uvicorn's own run() fails in a thread under nest_asyncio.
                asyncio.Runner(loop_factory=self._uvicorn.config.get_loop_factory()) as runner,
            ):
                self.loop = runner.get_loop()
                runner.run(self._serve())
        except BaseException as error:
            self._thread_error = error
        finally:
            self._socket.close()
            self._ready.set()

    async def _serve(self) -> None:
        self._main = asyncio.current_task()
        await self._uvicorn.serve(sockets=[self._socket])

    def _abandon(self) -> None:
        """End a start that failed, as far as its thread lets itself be ended."""
        self._uvicorn.should_exit = True
        if self._main is not None and self._thread.is_alive():
            with contextlib.suppress(RuntimeError):  # its loop has closed since the line above
                self.loop.call_soon_threadsafe(self._main.cancel)
            self._thread.join(GRACE_SECONDS)

    def _wait_until_ready(self) -> None:
        try:
            came = self._ready.wait(START_SECONDS)
        except BaseException:  # the kernel was interrupted
            self._abandon()
            raise
        if came and self._uvicorn.started and self._thread_error is None:
            return
        reason = self._lifespan_error or self._thread_error
        if not came:
            what = f"is still starting after {START_SECONDS:.0f} s: {self.where_blocked()}"
        elif self._lifespan_error is not None:
            what = f"its lifespan failed with {type(reason).__name__}: {reason}"
        else:
            what = f"its thread ended with {type(reason).__name__}: {reason}"
        self._abandon()
        raise ServerError(f"the app did not start: {what}") from reason

    def _note_lifespan_error(self, error: BaseException) -> None:
        self._lifespan_error = error

    def _observe(self, event: Event) -> None:
        for observer in list(self.observers):
            observer(event)

    def _expect_running(self) -> None:
        if not self.running:
            raise ServerError(
                f"the server {self.name!r} has stopped; start the server again: "
                "run the cell with serve(…)"
            )


async def rooms_idle() -> None:
    """Wait, in the event loop that runs, until its rooms have nothing left to write."""
    await turn_here().idle()
