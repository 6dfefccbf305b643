"""A server in a process of its own, which does not outlive this one."""

import subprocess
import sys
import time
from typing import Self

import psutil

from benchmarks import floor


class Process:
    """A command that prints its port, and ends with its stdin. It is killed at the end of a `with`.

    Attributes:
        port: where it listens.
    """

    def __init__(self, command: list[str]) -> None:
        self.command = " ".join(command)
        # In a session of its own, so that Ctrl+C in a terminal comes to this process alone. The
        # system closes the pipe to stdin however this process ends, and that ends the command.
        self.popen = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        try:
            self.port = int(self.answer())
        except BaseException:
            self.kill()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill it, and wait until it is gone. Harmless if it is."""
        self.popen.kill()
        self.popen.wait()
        for pipe in (self.popen.stdin, self.popen.stdout):
            assert pipe is not None
            pipe.close()

    def tell(self, order: str) -> None:
        """Write a line to its stdin."""
        assert self.popen.stdin is not None
        self.popen.stdin.write(order + "\n")
        self.popen.stdin.flush()

    def answer(self) -> str:
        """Return the next line that it prints. Raise RuntimeError if it has ended instead."""
        assert self.popen.stdout is not None
        if not (line := self.popen.stdout.readline()):
            raise RuntimeError(f"expected a line from `{self.command}`, but it has ended")
        return line

    def cpu(self) -> float:
        """Return the seconds of CPU time that it has had."""
        return cpu_of(self.popen.pid)

    def memory(self) -> int:
        """Return the bytes that it has in memory."""
        return int(psutil.Process(self.popen.pid).memory_info().rss)


def cpu_of(pid: int) -> float:
    """Return the seconds of CPU time that a process has had.

    From what clock_getcpuclockid(3) gives for it: that counts nanoseconds, where /proc, and so
    psutil, counts hundredths of a second.
    """
    return time.clock_gettime(~pid << 3 | 2)


def serving(name: str) -> Process:
    """Start the server that `benchmarks.servers` calls `name`, or the floor."""
    if name == "floor":
        return Process(floor.command())
    return Process([sys.executable, "-m", "benchmarks.servers", name])


def others_time() -> float:
    """Return the seconds of CPU time that went to others than this process and its children."""
    # The system's interrupts count for the processes that they hit; guests are in `user` already.
    times = psutil.cpu_times()._asdict()
    for name in ("idle", "iowait", "guest", "guest_nice"):
        times.pop(name, None)
    me = psutil.Process()
    ours = sum(me.cpu_times()[:4])  # the last two are those of children that have ended
    children = [child.cpu_times() for child in me.children()]
    return float(sum(times.values()) - ours - sum(one.user + one.system for one in children))
