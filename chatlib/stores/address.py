"""The address of a store, as it may be shown to people and written to a log."""

from urllib.parse import urlsplit, urlunsplit


def shown(address: str) -> str:
    """Return `address` without its password, and without its query, which may have one too."""
    parts = urlsplit(address)
    who, at, where = parts.netloc.rpartition("@")
    user, colon, _ = who.partition(":")
    if not (at or parts.query):
        return address
    return urlunsplit(parts._replace(netloc=user + ":***" * bool(colon) + at + where, query=""))
