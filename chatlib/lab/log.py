"""What a server in a background thread logs, kept instead of printed.

Since ipykernel 7.1 a thread's output lands in whichever cell ran last.
"""

import contextlib
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass

from chatlib.core import log

# What is logged, and from which level on if nobody has set one. A notebook shows no line for each
# connection, unless its reader asks for that with `chatlib.core.log.logger.setLevel("INFO")`.
LOGGERS = {
    "uvicorn.error": logging.INFO,
    "uvicorn.access": logging.INFO,
    "uvicorn.asgi": logging.INFO,
    "asyncio": logging.NOTSET,
    log.logger.name: logging.WARNING,
}


@dataclass(frozen=True)
class Line:
    """One line of a log.

    Attributes:
        level: `"INFO"`, `"WARNING"`, `"ERROR"` ….
        text: what was logged.
        error: the exception that was logged with it.
    """

    level: str
    text: str
    error: BaseException | None = None

    def __str__(self) -> str:
        what = "" if self.error is None else f"\n         {type(self.error).__name__}: {self.error}"
        return f"{self.level:<8} {self.text}{what}"


class Log(list[Line]):
    """The lines of a log, oldest first. Its repr is the log as one reads it."""

    @property
    def errors(self) -> "Log":
        """The lines at the level ERROR and above."""
        return Log(line for line in self if line.level in {"ERROR", "CRITICAL"})

    def __repr__(self) -> str:
        return "\n".join(map(str, self)) or "<nothing logged>"


class ThreadFilter(logging.Filter):
    """Takes the records of threads that keep a log of their own away from everybody else."""

    def __init__(self) -> None:
        super().__init__()
        self.logs: dict[int, Log] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kept = self.logs.get(record.thread or 0)
        if kept is None:
            return True
        error = record.exc_info[1] if record.exc_info else None
        kept.append(Line(record.levelname, record.getMessage().strip(), error))
        return False


_filter = ThreadFilter()


@contextlib.contextmanager
def logged_by_this_thread(kept: Log) -> Iterator[None]:
    """Append to `kept`, and show to nobody else, what uvicorn and asyncio log in this thread."""
    for name, level in LOGGERS.items():
        logger = logging.getLogger(name)
        logger.addFilter(_filter)
        if logger.level == logging.NOTSET:
            logger.setLevel(level)
    ident = threading.get_ident()
    _filter.logs[ident] = kept
    try:
        yield
    finally:
        del _filter.logs[ident]


_before: dict[str, int] = {}
_any_handler = logging.NullHandler()


def set_up(log_level: object, access_log: object) -> None:
    """Have the two options of uvicorn hold for the next server, and no longer.

    uvicorn sets levels in the whole process, and logs requests only where they have a handler.
    """
    if log_level is None:
        for name, level in _before.items():
            logging.getLogger(name).setLevel(level)
        _before.clear()
    elif not _before:
        _before.update({name: logging.getLogger(name).level for name in LOGGERS})
    requests = logging.getLogger("uvicorn.access")
    requests.removeHandler(_any_handler)
    if access_log:
        requests.addHandler(_any_handler)
