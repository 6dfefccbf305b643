"""The workers of a round: processes that are started, killed, stopped and woken."""

import asyncio
import contextlib
import resource
import signal
import socket
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks.process import Process
from chatlib.lab.cut import bound

START_SECONDS = 60.0  # in which a store that fails has to be well again


class Worker:
    """One worker, which has the same port each time that it is started.

    Args:
        store: the address of the store.
        arguments: more of `benchmarks.storm.worker`.
        log: the file to which its errors go.

    Attributes:
        port: where it listens.
        lock: held by who has it dead or stopped.
        kills: how often it was killed.
        served: since when it serves, by `time.monotonic`.
    """

    def __init__(self, store: str, arguments: list[str], log: Path) -> None:
        self._reserved: socket.socket = bound(0)  # so that nobody takes the port of a dead one
        self.port: int = self._reserved.getsockname()[1]
        module = [sys.executable, "-m", "benchmarks.storm.worker", store]
        self._command = [*module, f"--port={self.port}", f"--log={log}", *arguments]
        self._process: Process | None = None
        self.log = log
        self.lock = asyncio.Lock()
        self.kills = 0
        self.served = 0.0

    async def start(self) -> None:
        """Start it, and wait until it serves; once more if it could not, as a supervisor does.

        Raises:
            RuntimeError: it cannot, again and again.
        """
        end = time.monotonic() + START_SECONDS
        while True:
            starting = asyncio.ensure_future(asyncio.to_thread(Process, self._command))
            try:
                self._process = await asyncio.shield(starting)
            except asyncio.CancelledError:
                self._process = await starting  # it is there, and `stop` has to know it
                raise
            except RuntimeError:
                if time.monotonic() > end:
                    raise
            else:
                break
        self.served = time.monotonic()

    def kill(self) -> None:
        """Kill it: SIGKILL. Harmless if it is dead."""
        if self._process is not None:
            self._process.kill()
            self._process = None
            self.kills += 1

    @property
    def pid(self) -> int | None:
        """Its process; None while there is none."""
        return self._process.popen.pid if self._process is not None else None

    async def restart(self) -> None:
        """Stop it as a deployment does, with SIGTERM, and start it again."""
        if self._process is not None:
            self._signal(signal.SIGTERM)
            await asyncio.to_thread(self._process.popen.wait, 10)
            self._process.kill()
        await self.start()

    def pause(self) -> None:
        """Have it do nothing, as if the machine had no time for it: SIGSTOP."""
        self._signal(signal.SIGSTOP)

    def wake(self) -> None:
        """Have it go on: SIGCONT."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.popen.send_signal(number)

    def limit_files(self, size: int | None) -> None:
        """Let no file of it grow beyond `size` bytes, as on a full disk. None: as they like."""
        if self._process is not None and hasattr(resource, "prlimit"):  # Linux has it
            soft = resource.RLIM_INFINITY if size is None else size
            limits = (soft, resource.RLIM_INFINITY)
            with contextlib.suppress(ProcessLookupError):  # it is about to be started again
                resource.prlimit(self._process.popen.pid, resource.RLIMIT_FSIZE, limits)

    def text_of_log(self) -> str:
        """Return what it has logged."""
        return self.log.read_text("utf-8") if self.log.exists() else ""

    def stop(self) -> None:
        """Have it gone, and its port free."""
        if self._process is not None:
            self._process.kill()
            self._process = None
        self._reserved.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()
