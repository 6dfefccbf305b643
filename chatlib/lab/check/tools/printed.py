"""Tracebacks that the reader's code prints or logs by itself, where it should leave none."""

import contextlib
import logging
import sys
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

from chatlib.lab.log import LOGGERS

MARK = "Traceback (most recent call last)"

# What was noted while the rules of a report were tried.
printed: ContextVar[list[str]] = ContextVar("printed")


class Noting:
    """A stream that passes everything on to `stream`, and puts tracebacks into `noted` too."""

    def __init__(self, stream: Any, noted: list[str]) -> None:
        self.stream = stream
        self.noted = noted

    def write(self, text: str) -> Any:
        if MARK in text:
            self.noted.append(text)
        return self.stream.write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)


@contextlib.contextmanager
def noting_tracebacks() -> Iterator[list[str]]:
    """Have the tracebacks that any thread prints or logs meanwhile in a list.

    Those that a server logs are not among them: they are in its `log`.
    """
    noted: list[str] = []
    new_record = logging.getLogRecordFactory()

    def noting(*args: Any, **options: Any) -> logging.LogRecord:
        record = new_record(*args, **options)
        if record.name not in LOGGERS and record.exc_info and record.exc_info[1]:
            noted.append(record.getMessage())
        return record

    out, err = contextlib.redirect_stdout, contextlib.redirect_stderr
    logging.setLogRecordFactory(noting)  # a handler may print to a stream that it took before
    try:
        with out(Noting(sys.stdout, noted)), err(Noting(sys.stderr, noted)):
            yield noted
    finally:
        logging.setLogRecordFactory(new_record)
