"""Where the messages of rooms are kept: in memory, in a file that processes share, or in Redis."""

from typing import Any

from chatlib.stores.address import shown
from chatlib.stores.store import Cursor, NotKept, Receipt, Store, Unsure

__all__ = ["Cursor", "NotKept", "Receipt", "Store", "Unsure", "store_at"]

SCHEMES = "'memory:', 'sqlite:///chat.db' or 'redis://host:6379/0'"


def store_at(address: str, **options: Any) -> Store:
    """Return the store at `address`, not yet open.

    Args:
        address: `memory:`, or `sqlite:///chat.db` for a file below the working directory and
            `sqlite:////var/lib/chat.db`, with four slashes, for one anywhere; or that of a Redis
            or Valkey, `redis://user:password@host:6379/0`, with `rediss:` for TLS.
        options: as its class has them: `retention`, say.

    Raises:
        ValueError: there is no such store.
        ImportError: the package that it needs is missing.
    """
    scheme, _, rest = address.partition(":")
    if address == "memory:":
        from chatlib.stores.memory import MemoryStore

        return MemoryStore(**options)
    if scheme == "sqlite" and rest.startswith("///") and len(rest) > 3:
        from chatlib.stores.sqlite import SQLiteStore

        return SQLiteStore(rest[3:], **options)
    if scheme in ("redis", "rediss") and rest.startswith("//"):
        from chatlib.stores.redis import RedisStore

        return RedisStore(address, **options)
    raise ValueError(f"expected the address of a store, {SCHEMES}, got {shown(address)!r}")
