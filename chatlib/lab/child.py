"""A Python process that does as it is told, line by line, and ends with the one that started it."""

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from typing import Any


class ChildError(RuntimeError):
    """The process has ended instead of answering. The message is the last line that it wrote."""


class Child:
    """A process that runs `code`. Orders and answers are lines of JSON on its stdin and stdout.

    The system closes its stdin when this process ends, however that is: `code` has to end then.

    Args:
        code: Python source, which finds the modules that this process finds.

    Attributes:
        pid: its number.
    """

    def __init__(self, code: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        self.pid = self._process.pid

    @property
    def running(self) -> bool:
        """Whether it lives."""
        return self._process.poll() is None

    def order(self, what: Any) -> None:
        """Tell it something."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(what) + "\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._failed() from None

    def answer(self) -> Any:
        """Return the next thing that it says. This blocks until then.

        Raises:
            ChildError: it has ended instead.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._failed()
        return json.loads(line)

    @property
    def last_words(self) -> str:
        """The last line that it has written on stderr; empty if there is none."""
        self._errors.seek(0)
        return self._errors.read().strip().rpartition("\n")[2]

    def _failed(self) -> ChildError:
        self._process.wait()
        return ChildError(self.last_words or "it said nothing")

    def ask_to_end(self, seconds: float) -> None:
        """Send it SIGTERM, and kill it if it takes longer than that. Harmless if it has ended."""
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        self.kill()

    def kill(self) -> None:
        """Send it SIGKILL, which no process can catch, and wait until it is gone. Harmless too."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            assert pipe is not None
            with contextlib.suppress(BrokenPipeError):  # something was written that nobody read
                pipe.close()
