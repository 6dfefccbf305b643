"""A program that ends with the process that started it, however that one ends.

supervised = Supervised(["redis-server", "--port", "6400"], log=Path("redis.log"))
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

# The pipe to stdin closes however this process ends. The program may have children that would
# outlive it (nginx has), so whatever is left goes with it: all are of one process group.
SUPERVISE = """
exec 3<&0
"$@" </dev/null >>"$0" 2>&1 &
program=$!
echo $program
(read _ <&3; kill -9 -$$) >/dev/null 2>&1 &
wait $program 2>/dev/null
kill -9 -$$
"""


class Supervised:
    """A running program, with its children. It does not outlive this process.

    Args:
        command: the program and its arguments.
        log: the file to which it writes its stdout and stderr.
        environment: the variables it has; None: those of this process.

    Attributes:
        pid: its process id.
    """

    def __init__(
        self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", SUPERVISE, str(log), *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
            start_new_session=True,  # a group of its own; and Ctrl+C is for this process alone
        )
        assert self._shell.stdout is not None
        self.pid = int(self._shell.stdout.readline())

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._shell.poll() is None

    def send(self, number: signal.Signals) -> None:
        """Send it a signal. Harmless if it has ended."""
        if self.running:
            with contextlib.suppress(ProcessLookupError):  # it is about to be gone
                os.kill(self.pid, number)

    def end(self, number: signal.Signals = signal.SIGKILL, seconds: float | None = None) -> None:
        """Send it a signal on which it ends, and wait until it and its children have.

        Args:
            number: the signal.
            seconds: after how many it is killed; None: it is waited for as long as it takes.
        """
        self.send(number)
        self.send(signal.SIGCONT)
        try:
            self._shell.wait(seconds)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self._shell.wait()
        for pipe in (self._shell.stdin, self._shell.stdout):
            assert pipe is not None
            pipe.close()
