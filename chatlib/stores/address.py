"""The address of a store, as it may be shown to people and written to a log."""

from urllib.parse import urlsplit, urlunsplit


def may_show_a_password(address: str) -> bool:
    """Return whether a password may stand where `shown` does not see it.

    That is so if a `/`, `?` or `#` in it ends what the password is a part of.
    """
    try:
        parts = urlsplit(address)
    except ValueError:
        return False
    query = parts.query if "=" not in parts.query else ""
    return "@" not in parts.netloc and "@" in parts.path + query + parts.fragment


def shown(address: str) -> str:
    """Return `address` without its password, and without its query, which may have one too."""
    try:
        parts = urlsplit(address)
    except ValueError:
        return f"{address.partition(':')[0]}:…"
    who, at, where = parts.netloc.rpartition("@")
    user, colon, _ = who.partition(":")
    if not (at or parts.query):
        return address
    return urlunsplit(parts._replace(netloc=user + ":***" * bool(colon) + at + where, query=""))
