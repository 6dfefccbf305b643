"""Bytes, texts and close codes in a few words, as the instruments write them."""

import unicodedata

CLOSE_CODES = {
    1000: "normal closure",
    1001: "going away",
    1002: "protocol error",
    1003: "unsupported data",
    1005: "no status received",
    1006: "abnormal closure",
    1007: "invalid frame payload data",
    1008: "policy violation",
    1009: "message too big",
    1010: "mandatory extension",
    1011: "internal error",
    1012: "service restart",
    1013: "try again later",
    1014: "bad gateway",
    1015: "TLS handshake",
}
SHOWN_BYTES = 12  # of a payload
SHOWN_CHARACTERS = 40  # of a text
PATH_CHARACTERS = 60
DOTS = "…"


def count(size: int, of: str = "byte") -> str:
    """Return a number of bytes, or of something else, in words."""
    return f"{size:,} {of}{'' if size == 1 else 's'}"


def elided(data: bytes) -> str:
    """Return the first bytes in hex."""
    return data[:SHOWN_BYTES].hex(" ") + (f" {DOTS}" if len(data) > SHOWN_BYTES else "")


def quoted(text: str, size: int = SHOWN_CHARACTERS) -> str:
    """Return `text` as Python writes it, cut to about `size` characters."""
    shown = text[:size]
    if shown == text and len(repr(text)) <= size + 2:
        return repr(text)
    while len(repr(shown)) > size + 2:  # what cannot be printed takes up to ten
        shown = shown[:-1]
    return f"{shown!r}{DOTS} ({len(text):,} characters)"


def close_name(code: int) -> str:
    """Return what a close code stands for."""
    if 3000 <= code < 4000:
        return "registered by a library"
    if 4000 <= code < 5000:
        return "the application's own"
    return CLOSE_CODES.get(code, "unknown")


def printable(text: str) -> str:
    """Return `text` with an escape for what would break a line or turn its direction."""
    return "".join(
        c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text
    )


def shortened(text: str | bytes) -> str:
    """Return the beginning of `text`, printable."""
    shown = printable(str(text))
    return shown if len(shown) <= PATH_CHARACTERS else f"{shown[: PATH_CHARACTERS - 1]}…"


def width(text: str) -> int:
    """Return how many columns `text` takes."""
    wide = sum(unicodedata.east_asian_width(c) in "WF" for c in text)
    return len(text) + wide - sum(bool(unicodedata.combining(c)) for c in text)
