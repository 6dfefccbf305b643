"""A Redis of one's own, which a cell or a test starts, kills and stops.

with RedisServer(appendfsync="always") as redis:
    store = store_at(redis.url)
"""

import contextlib
import shutil
import signal
import socket
import tempfile
import time
from pathlib import Path
from typing import Literal, Self

from chatlib.lab.loopback import HOST, ServerError, listen
from chatlib.lab.started import Started
from chatlib.lab.supervise import Supervised

START_SECONDS = 20.0  # a guard: an append-only file has to be read first
LOOK_SECONDS = 0.01
HOW_TO_GET_ONE = (
    "there is no redis-server (or valkey-server) on this machine. On Debian and Ubuntu: "
    "apt install redis-server; on macOS: brew install redis; with conda: conda install redis-server"
)


def find_redis() -> str | None:
    """Return the path of the Redis, or Valkey, of this machine; None if there is none."""
    return shutil.which("redis-server") or shutil.which("valkey-server")


class RedisServer:
    """A Redis on this machine, with data of its own. It does not outlive this process.

    It is up as soon as it exists. It is a context manager, which stops it and removes its data.

    Args:
        appendfsync: when what it keeps is on the disk: `"always"`, before it answers; `"everysec"`,
            within a second or so; `"no"`, when the system likes. `None`: it has no
            append-only file, as Redis comes, and makes no snapshots either.
        host: its address.
        program: which one, by its path; None: the one that this machine has.
        options: more lines of its configuration: `maxmemory="100mb"`.

    Attributes:
        port: where it listens, the same each time that it is started.

    Raises:
        ServerError: there is no Redis on this machine, or it did not start.
    """

    def __init__(
        self,
        appendfsync: Literal["always", "everysec", "no"] | None = "always",
        host: str = HOST,
        program: str | None = None,
        **options: str,
    ) -> None:
        program = program or find_redis()
        if program is None:
            raise ServerError(HOW_TO_GET_ONE)
        self.host = host
        self._reserved = listen(0, host)  # so that nobody takes the port of a dead one
        self.port: int = self._reserved.getsockname()[1]
        self._folder = tempfile.TemporaryDirectory(prefix="chatlib-redis-")
        lines = {
            "bind": host,
            "port": str(self.port),
            "dir": self._folder.name,
            "save": "",
            "appendonly": "no" if appendfsync is None else "yes",
            "appendfsync": appendfsync or "everysec",
            **{name.replace("_", "-"): value for name, value in options.items()},
        }
        self._command = [program]
        for name, value in lines.items():
            self._command += [f"--{name}", value]
        self._process: Supervised | None = None
        self.pid = 0
        try:
            self.start()
        except BaseException:
            self.stop()
            raise

    @property
    def _log(self) -> Path:
        return Path(self._folder.name, "redis.log")

    @property
    def url(self) -> str:
        """Its address, as `store_at` and the package redis take it.

        Raises:
            ServerError: it was stopped.
        """
        self._expect_there()
        return f"redis://{self.host}:{self.port}/0"

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.running

    def start(self) -> None:
        """Start it, with the data that it has, and wait until it answers. Harmless if it runs.

        Raises:
            ServerError: it has ended instead, and the message is the end of its log; or it was
                stopped.
        """
        self._expect_there()
        if self.running:
            return
        self._process = Supervised(self._command, self._log)
        self.pid = self._process.pid
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            if not self.running or time.monotonic() > end:
                log = self._log.read_text("utf-8") if self._log.exists() else ""
                self.kill()
                raise ServerError(f"Redis did not start: {log[-500:].strip()}")
            time.sleep(LOOK_SECONDS)

    def _expect_there(self) -> None:
        """Raise `ServerError` if its data and its port are gone."""
        if self._reserved.fileno() < 0:
            again = "start Redis again: run the cell with redis_server.start(…)"
            raise ServerError(f"Redis has been stopped, and its data are gone; {again}")

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((self.host, self.port), 1) as s:
            s.sendall(b"PING\r\n")
            return s.recv(100).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def kill(self) -> None:
        """Kill it with SIGKILL, which no process can catch, and wait until it is gone."""
        self._end(signal.SIGKILL)

    def shut_down(self) -> None:
        """Ask it to end, as an operator does, and wait for that. `start` starts it again."""
        self._end(signal.SIGTERM)

    def pause(self) -> None:
        """Have it do nothing, as if the machine had no time for it: SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Have it go on: SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.end(number)
            self._process = None

    def stop(self) -> None:
        """Have it gone, with its data, and its port free. Harmless if it is."""
        self.kill()
        self._reserved.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<Redis: {self.url if self.running else 'ended'}>"


_started: Started[RedisServer] = Started()
stop = _started.stop


def start(
    appendfsync: Literal["always", "everysec", "no"] | None = "always", **options: str
) -> RedisServer:
    """Start a Redis, in place of the one that an earlier call started, whose data go.

    Raises:
        ServerError: as `RedisServer` does.
    """
    return _started.start(lambda: RedisServer(appendfsync, **options))
