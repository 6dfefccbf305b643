"""Keep secrets, and faults that are the client's alone, out of the server's log."""

import logging
from typing import Any
from urllib.parse import unquote_plus

# Each needs the filter: a logger does not filter what its children log.
LOGGERS = ("uvicorn.error", "uvicorn.access", "uvicorn.asgi")
SECRET_HEADERS = {
    *("authorization", "cookie", "proxy-authorization", "sec-websocket-protocol", "set-cookie"),
    *("x-api-key", "x-auth-token"),
}
REDACTED = "[redacted]"


class RedactingFilter(logging.Filter):
    """Rewrites log records of uvicorn before any handler sees them.

    uvicorn logs the whole query string of each accepted WebSocket and of each request, at the level
    DEBUG every header, and at the level TRACE each ASGI scope. It logs a traceback when a client
    sends text that is not UTF-8.
    """

    def __init__(self) -> None:
        super().__init__()
        self.parameters: set[str] = set()  # in small letters

    def filter(self, record: logging.LogRecord) -> bool:
        """Redact `record` in place, and let it pass."""
        if not record.args:
            record.msg = self.redact(record.msg)
        elif isinstance(record.args, tuple):
            record.args = tuple(map(self.redact, record.args))
            header = str(record.args[0]).lower()
            if len(record.args) == 2 and (header in SECRET_HEADERS or header in self.parameters):
                record.args = (record.args[0], REDACTED)
        if record.exc_info and record.exc_info[0] and str(record.msg).startswith("! "):
            # What websockets logs at DEBUG; the exception quotes the header.
            record.msg, record.exc_info = f"{record.msg}: {record.exc_info[0].__name__}", None
        if record.msg == "Invalid UTF-8 sequence received from client.":
            record.exc_info = None
            record.levelno, record.levelname = logging.INFO, "INFO"
        return True

    def redact(self, value: Any) -> Any:
        """Return `value`, a text or an ASGI scope or message, without the secrets in it."""
        if isinstance(value, str):
            path, mark, query = value.partition("?")
            return path + mark + self.query(query)
        if isinstance(value, dict):
            return {key: self.item(key, item) for key, item in value.items()}
        return value

    def item(self, key: Any, item: Any) -> Any:
        """Return what stands under `key` in an ASGI scope or message, redacted if it is secret."""
        if key == "query_string" and isinstance(item, bytes):
            return self.query(item.decode("latin-1")).encode("latin-1")
        if key in {"subprotocol", "subprotocols"} and item:
            return REDACTED
        return item

    def query(self, query: str) -> str:
        """Return `query` with the values of the secret parameters replaced.

        It is taken apart as Starlette does it, so that each spelling of a name is found. A value
        goes up to the next `&`, quotes and spaces included.
        """
        return "&".join(map(self.pair, query.split("&")))

    def pair(self, pair: str) -> str:
        """Return one `name=value` of a query string, redacted where the name is a secret's."""
        name, equals, _ = pair.partition("=")
        secret = equals and unquote_plus(name).lower() in self.parameters
        return f"{name}={REDACTED}" if secret else pair


_filter = RedactingFilter()


def redact_logs(*parameters: str) -> None:
    """Have uvicorn's log show `[redacted]` for the value of each query parameter named.

    It works on uvicorn's loggers, `uvicorn.error`, `uvicorn.access` and `uvicorn.asgi`, at each
    level, in this process, however and whenever they were configured. Call it as often as you like:
    names add up. They may be written in small letters or capitals. uvicorn logs headers at DEBUG:
    those in which credentials travel, subprotocols included, are redacted too, and so are those
    with a name that you give.

    Text that is not UTF-8 (the server closes with 1007) becomes one line without a traceback. What
    clients say once they are connected is not redacted: at DEBUG, uvicorn logs the beginning of
    each message.
    """
    _filter.parameters.update(name.lower() for name in parameters)
    for name in LOGGERS:
        filters = logging.getLogger(name).filters
        if _filter not in filters:
            filters.insert(0, _filter)  # a filter that was there before may keep what it sees
