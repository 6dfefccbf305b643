"""Where a Redis is, how its keys are called, and connections to it."""

import functools
import hashlib
import os
import ssl
from collections.abc import Iterable, Sequence
from importlib import resources
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from redis.asyncio import BlockingConnectionPool, Connection, Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.exceptions import RedisError

from chatlib.stores.address import may_show_a_password, shown

READERS = 8  # connections on which is read; what comes in while all are in use waits
RETRIES = 3  # of what changes nothing


class Script(NamedTuple):
    """A script that Redis runs, and what it calls it."""

    text: bytes
    digest: str


@functools.cache
def script(name: str) -> Script:
    """Return the script in `lua/NAME.lua`."""
    text = resources.files("chatlib.stores").joinpath("lua", f"{name}.lua").read_bytes()
    return Script(text, hashlib.sha1(text, usedforsecurity=False).hexdigest())


SCRIPTS = ("append", "page", "heads", "person", "people", "lease", "bury")


def run(name: str, keys: Sequence[str], arguments: Iterable[str | bytes | int]) -> list[Any]:
    """Return the command that runs a script."""
    return ["EVALSHA", script(name).digest, len(keys), *keys, *arguments]


class Place:
    """A Redis at an address, and the names of the keys that a store has there.

    Args:
        url: as the package redis takes it: `redis://user:password@host:6379/0`, `rediss://` for
            TLS.
        prefix: how all keys begin.
        timeout: how many seconds an answer may take.

    Attributes:
        shown: the address without its password.

    Raises:
        ValueError: there is no such address.
    """

    def __init__(self, url: str, prefix: str, timeout: float) -> None:
        self.prefix = prefix
        self.timeout = timeout
        if url.startswith("redis") and may_show_a_password(url):
            raise ValueError(
                "expected an address such as redis://:password@127.0.0.1:6379/0, got one in whose "
                "password stands a /, ? or #, which has to be written as %2F, %3F or %23"
            )
        try:
            self.shown = shown(url)
            parts = urlsplit(url)
            if parts.scheme != "unix" and not (parts.path[1:] or "0").isdecimal():
                raise ValueError(f"{parts.path!r} is no number of a database")
            options: dict[str, Any] = dict(parse_url(url))
            self._kind = options.pop("connection_class", Connection)
            self._options = {
                **options,
                "protocol": 2,
                "decode_responses": False,
                "encoding": "utf-8",
                "driver_info": None,
                "socket_timeout": timeout,
                "socket_connect_timeout": timeout,
            }
            self.database = self._options.setdefault("db", 0)
            self.connection()
        except (ValueError, TypeError) as error:
            why = str(error).replace("AbstractConnection.__init__() got an ", "")
            got = getattr(self, "shown", "what is no address")
            raise ValueError(
                f"expected an address such as redis://127.0.0.1:6379/0, got {got!r}: {why}"
            ) from None

    def connection(self) -> Connection:
        """Return a new connection, which is not open yet, and tries nothing twice."""
        connection: Connection = self._kind(**self._options, retry=Retry(NoBackoff(), 0))
        return connection

    def client(self, patience: float) -> Redis:
        """Return a client for what changes nothing: it tries again."""
        return self._client(patience, READERS, RETRIES)

    def lone_client(self, patience: float) -> Redis:
        """Return a client with one connection, which tries nothing twice.

        A network may lose answers alone. Then Redis does once what it was asked to, and not again.
        """
        return self._client(patience, 1, 0)

    def _client(self, patience: float, connections: int, retries: int) -> Redis:
        pool = BlockingConnectionPool(
            connection_class=self._kind,
            max_connections=connections,
            timeout=patience,
            retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), retries),
            **self._options,
        )
        return Redis.from_pool(pool)

    def keys(self, room: str) -> list[str]:
        """Return the keys of a room's log: the stream, what is known of it, the ids of its keys."""
        return [f"{self.rooms}{room}}}:{part}" for part in ("log", "meta", "keys")]

    def people(self, room: str, worker: str) -> list[str]:
        """Return the keys of the people of a room: through a worker, and all its workers."""
        return [f"{self.rooms}{room}}}:people:{worker}", f"{self.rooms}{room}}}:workers"]

    def rooms_of(self, worker: str) -> str:
        """Return the key of the rooms in which a worker has people."""
        return f"{self.prefix}:worker:{worker}"

    @property
    def rooms(self) -> str:
        """How the keys of a room begin, before its name."""
        return f"{self.prefix}:{{"

    @property
    def leases(self) -> str:
        """The key of the leases of all workers."""
        return f"{self.prefix}:workers"

    @property
    def channels(self) -> str:
        """How the channel of a room begins. Databases share channels, so it has theirs."""
        return f"{self.prefix}:{self.database}:room:"

    def channel_of(self, worker: str) -> str:
        """Return the channel on which a worker hears itself."""
        return f"{self.prefix}:{self.database}:worker:{worker}"

    def error(self, what: str, why: Exception | str) -> OSError:
        """Return the error that says, in a sentence, what is not possible and why."""
        return OSError(f"{what} {self.shown}: {reason(why)}")


def reason(error: Exception | str) -> str:
    """Return why, in the words of the system or of Redis."""
    if isinstance(error, str):
        return error
    if isinstance(error, RedisError) and isinstance(error.__context__, OSError):
        error = error.__context__
    number = getattr(error, "errno", None) or 0
    if number > 0 and not isinstance(error, ssl.SSLError):  # whose numbers are its own
        return os.strerror(number)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
