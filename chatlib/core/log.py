"""What chatlib writes to the log, for those who operate an app.

The logger is a child of uvicorn's: its lines go where uvicorn's go, from the same level on. One
switch for all of it: `logging.getLogger("uvicorn.error.chatlib").setLevel(…)`. On other servers,
give that logger a handler.

Records have more than their text, for logs that programs read. What is about a connection has its
number in `connection`, counted from 1 in each process; what is about a room has its name in `room`.
A connection that has joined a room of a hub has that room's name too, the first one if they were
several. What is not known is None or not there: a plain `Room` has no name. Names of rooms come
from clients, and that of an inbox, `@ana`, is a person's. Besides:

- the end of a connection: `code`, `seconds`
- a member that was cut off: `reason`
- what `Guard` refused or closed: `reason`, `client`, and for a foreign page `origin`, `host`

A formatter that writes each record as a line of JSON:

    FIELDS = ("connection", "room", "code", "seconds", "reason", "client", "origin", "host")

    class JSONFormatter(logging.Formatter):
        def format(self, record):
            line = {
                "time": self.formatTime(record),
                "level": record.levelname,
                "logger": record.name,
                "message": record.getMessage(),
            }
            line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
            if record.exc_info:
                line["traceback"] = self.formatException(record.exc_info)
            return json.dumps(line)

    handler = logging.StreamHandler()
    handler.setFormatter(JSONFormatter())
    logging.getLogger("uvicorn.error").handlers = [handler]
    logging.getLogger("uvicorn.error").propagate = False

uvicorn sets up its loggers before it imports the app, so the app's module is a place for the last
four lines. In a file for `uvicorn --log-config`, the class is named under `formatters`, as `()`.
"""

import functools
import logging
import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from chatlib.core.line import Line
from chatlib.core.rate import Bucket

if TYPE_CHECKING:
    from websockets.protocol import Protocol

logger = logging.getLogger("uvicorn.error.chatlib")
logger.addHandler(logging.NullHandler())  # a library prints nothing by itself


def log_of(**extra: object) -> logging.LoggerAdapter[logging.Logger]:
    """Return the logger, with `extra` as attributes of each record."""
    return logging.LoggerAdapter(logger, extra)


def name_of(scope: Any) -> str:
    """Return what the log calls a connection: as uvicorn does, without the query string."""
    client = scope.get("client")
    address = f"{client[0]}:{client[1]} - " if client else ""
    return f'{address}"WebSocket {quote(scope.get("path", ""))}"'


def cut(text: str) -> str:
    """Return the beginning of what a client sent, in printable ASCII: it stays within its line."""
    return ascii(text[:200])[1:-1]


class Seldom:
    """Logs what clients can bring about as often as they like.

    Of each kind there are ten lines at once, and one a second after that. The next line says how
    many were left out.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.buckets: defaultdict[str, Bucket] = defaultdict(lambda: Bucket(1, 10))
        self.left_out: Counter[str] = Counter()

    def warning(self, kind: str, text: str, *args: object, **extra: object) -> None:
        """Log `text` with `args`, and `extra` as attributes of the record, if it is its turn."""
        with self.lock:
            if not self.buckets[kind].take():
                self.left_out[kind] += 1
                return
            left_out = self.left_out.pop(kind, 0)
        more = f" ({left_out} more like this one were not logged)" if left_out else ""
        logger.warning(text + "%s", *args, more, extra=extra)


def log_cut(scope: Any, line: Line, reason: str, waiting: int, room: str | None = None) -> None:
    """Note that a room cuts off a member for which `waiting` bytes wait."""
    extra = {"connection": line.number, "room": room, "reason": reason}
    line.why = f"cut off by a room, {reason}"
    logger.warning("%s %s: %d bytes waited for it", name_of(scope), line.why, waiting, extra=extra)


def log_end(scope: Any, line: Line, seconds: float, conn: "Protocol", app_closed: bool) -> None:
    """Note that a connection which was open for `seconds` has ended, how, and with which code."""
    sent, received = conn.close_sent, conn.close_rcvd
    close = received if conn.close_rcvd_then_sent or sent is None else sent
    if line.why:
        code, how = received.code if received is not None else 1006, line.why
    elif close is None:
        code, how = 1006, "lost"
    else:
        by = "client" if close is received else "app" if app_closed else "server"
        code, how = close.code, f"by the {by} with {close.code} {close.reason!r}"
    where = {"connection": line.number, "room": line.room or None}
    extra = {**where, "code": code, "seconds": seconds}
    logger.info("%s [closed] %s after %.1f s", name_of(scope), how, seconds, extra=extra)


def log_failure(line: Line, error: BaseException | None) -> None:
    """Note that a connection is closed, since a send of the app's failed."""
    what = "a send failed, so its connection is closed: %r"
    log_of(connection=line.number, room=line.room or None).warning(what, error)


@functools.cache  # once is enough
def log_slow_path() -> None:
    """Note that rooms send through a server's own `send`, one message to one client at a time."""
    logger.warning(
        "This server does not take ready frames, so each message of a room costs much more CPU "
        "time. Start the app with `uvicorn --ws chatlib.core.fanout:FanoutProtocol` (with or "
        "without --workers), or with `gunicorn -k chatlib.worker.FanoutWorker`; `fastapi run` and "
        "other servers cannot take them"
    )
