"""Servers as an operator starts them: a command line, in a process of its own.

    server = commands.start("python -m chatlib chat --port {port}")
    server.signal(signal.SIGTERM)
    server.wait()

It needs the signals of Linux or macOS.
"""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from functools import partial
from typing import Self

from chatlib.lab.command_line import RUN, module_of
from chatlib.lab.loopback import HOST, ServerError, except_loopback_from_proxies, listen
from chatlib.lab.started import Started

START_SECONDS = 30.0  # a guard
STOP_SECONDS = 15.0  # in which it may end, before it is killed
LOOK_SECONDS = 0.01
AGAIN = "start the server again: run the cell that starts it"
UP = "Application startup complete."  # what uvicorn says, once for each worker


class Command:
    """A Python server that a command line starts. It does not outlive this process.

    It is up as soon as it exists.

    Args:
        line: `python -m …`, or `uvicorn …`. `{port}` in it is a free port, the same each time it
            is started.
        name: what its repr calls it.
        workers: how many processes say that they are up.
        environment: variables that it gets besides those of this process.

    Raises:
        ValueError: `line` begins with something else.
        ServerError: it has ended instead of serving. The message is the last line that it wrote.

    Attributes:
        ended: when it was seen that it has ended, by `time.monotonic`; None before that.
    """

    def __init__(
        self, line: str, *, name: str = "server", workers: int = 1, **environment: str
    ) -> None:
        module = module_of(line)
        self.name = name
        self._workers = workers
        self._environment = environment
        self._reserved = listen(0)  # so that nobody takes the port while it is down
        self._port: int = self._reserved.getsockname()[1]
        self._module = [word.replace("{port}", str(self._port)) for word in module]
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `stop`
        self._process: subprocess.Popen[bytes] | None = None
        self._swept = False  # whether it is gone, with all that it had started
        self.ended: float | None = None
        except_loopback_from_proxies()
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Start it once more, and wait until it accepts connections. Harmless if it runs."""
        if self.running:
            return
        self._expect_there()
        self.kill()  # what it may have left
        ups = self._written().count(UP)
        self.ended, self._swept = None, False
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-c", RUN, *self._module],
            stdin=subprocess.PIPE,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl+C in a terminal is for this process alone
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **self._environment},
        )
        end = time.monotonic() + START_SECONDS
        while self._written().count(UP) < ups + self._workers or not self._listens():
            if not self.running or time.monotonic() > end:
                last = self._written().strip().rpartition("\n")[2]
                raise ServerError(f"{self.name} did not start: {last or 'it said nothing'}")
            time.sleep(LOOK_SECONDS)

    def _listens(self) -> bool:
        """Whether it accepts connections: a single process says that it is up just before that."""
        try:
            socket.create_connection((HOST, self._port), 1.0).close()
        except OSError:
            return False
        return True

    @property
    def port(self) -> int:
        """Where it listens.

        Raises:
            ServerError: it was stopped, so that the port may be another one's.
        """
        self._expect_there()
        return self._port

    @property
    def pid(self) -> int:
        """The number of its process."""
        return self._there.pid

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.poll() is None

    @property
    def exit_code(self) -> int | None:
        """With what it has ended, as `subprocess` has it: -15 is SIGTERM. None while it runs."""
        return self._there.poll()

    @property
    def log(self) -> list[str]:
        """The lines that it has written, of all its runs."""
        return self._written().splitlines()

    @property
    def _there(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    def _written(self) -> str:
        if self._log.closed:
            return ""
        # With `read` this process would move the place where the server writes.
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode(errors="replace")

    def http_url(self, path: str = "/") -> str:
        """Return the address of `path` for a browser or an HTTP client."""
        return f"http://{self._address()}{path}"

    def ws_url(self, path: str = "/ws") -> str:
        """Return the address of `path` for a WebSocket client."""
        return f"ws://{self._address()}{path}"

    def _address(self) -> str:
        return f"{HOST}:{self.port}"

    def _expect_there(self) -> None:
        if self._log.closed:
            raise ServerError(f"{self.name} was stopped; {AGAIN}")

    def expect_running(self) -> None:
        """Raise `ServerError` if it has ended."""
        self._expect_there()
        if not self.running:
            raise ServerError(f"{self.name} has ended; {AGAIN}")

    def signal(self, number: signal.Signals) -> float:
        """Send it a signal. Return when that was, by `time.monotonic`.

        Raises:
            ServerError: it has ended.
        """
        self.expect_running()
        now = time.monotonic()
        self._there.send_signal(number)
        return now

    def wait_for(self, text: str, times: int = 1, seconds: float = START_SECONDS) -> None:
        """Wait until it has written `text` so many times, in all its runs.

        Raises:
            ServerError: it has ended, or has not after `seconds`.
        """
        end = time.monotonic() + seconds
        while self._written().count(text) < times:
            if not self.running or time.monotonic() > end:
                raise ServerError(f"{self.name} has not written {text!r} {times} times")
            time.sleep(LOOK_SECONDS)

    def wait(self, seconds: float = STOP_SECONDS) -> int:
        """Wait until it has ended. Return its exit code.

        Raises:
            TimeoutError: it runs after `seconds`.
        """
        try:
            code = self._there.wait(seconds)
        except subprocess.TimeoutExpired:
            raise TimeoutError(f"{self.name} runs on after {seconds:g} s") from None
        self.ended = self.ended or time.monotonic()
        return code

    def kill(self) -> None:
        """Kill it, and what it has started, with SIGKILL. Wait until it is gone."""
        if self._process is None or self._swept:  # later its number may be another one's
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._swept = True
        self.ended = self.ended or time.monotonic()
        assert self._process.stdin is not None
        self._process.stdin.close()

    def stop(self) -> None:
        """Have it end, with SIGTERM first, and its port free. Harmless if it has ended."""
        if self.running:
            self.signal(signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                self.wait()
        self.kill()
        self._log.close()
        self._reserved.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<{self.name}: {self.http_url() if self.running else 'ended'}>"


_started: Started[Command] = Started()
stop = _started.stop


def start(line: str, *, name: str = "server", workers: int = 1, **environment: str) -> Command:
    """Start a command, in place of the one that an earlier call has started under this name.

    Arguments and errors are those of `Command`.
    """
    make = partial(Command, line, name=name, workers=workers, **environment)
    return _started.start(make, name)
