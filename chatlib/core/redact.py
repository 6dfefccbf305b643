"""Keep secrets, and faults that are the client's alone, out of the server's log."""

import logging
import re
from urllib.parse import unquote_plus

LOGGERS = ("uvicorn.error", "uvicorn.access")
SECRET_HEADERS = {"authorization", "cookie", "sec-websocket-protocol", "set-cookie"}
REDACTED = "[redacted]"
QUERY = re.compile(r"\?[^\s\"]+")


class RedactingFilter(logging.Filter):
    """Rewrites log records of uvicorn before any handler sees them.

    uvicorn logs the whole query string of each accepted WebSocket and of each request, and at the
    level DEBUG every header. It logs a traceback when a client sends text that is not UTF-8.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parameters: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact `record` in place, and let it pass."""
        if isinstance(record.args, tuple):
            record.args = tuple(self.redact(arg) for arg in record.args)
            if len(record.args) == 2 and str(record.args[0]).lower() in SECRET_HEADERS:
                record.args = (record.args[0], REDACTED)
        if record.msg == "Invalid UTF-8 sequence received from client.":
            record.exc_info = None
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True

    def redact(self, value: object) -> object:
        """Return `value` with the secret parameters of any query string in it replaced."""
        if not isinstance(value, str) or "?" not in value:
            return value
        return QUERY.sub(
            lambda query: "?" + "&".join(map(self.pair, query[0][1:].split("&"))), value
        )

    def pair(self, pair: str) -> str:
        """Return one `name=value` of a query string, redacted where the name is a secret's."""
        name, equals, _ = pair.partition("=")
        return f"{name}={REDACTED}" if equals and unquote_plus(name) in self.parameters else pair


_filter = RedactingFilter()


def redact_logs(*parameters: str) -> None:
    """Have uvicorn's log show `[redacted]` for the value of each query parameter named.

    It works on the loggers `uvicorn.error` and `uvicorn.access`, in this process, however and
    whenever they were configured. Call it as often as you like: names add up. The headers in which
    credentials travel, subprotocols included, are redacted too; uvicorn logs headers at DEBUG. Text
    that is not UTF-8 (the server closes with 1007) becomes one line without a traceback.
    """
    _filter.parameters.update(parameters)
    for name in LOGGERS:
        filters = logging.getLogger(name).filters
        if _filter not in filters:
            filters.insert(0, _filter)  # a filter that was there before may keep what it sees
