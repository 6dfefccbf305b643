"""The rules of an exercise of chapter 01, echo: undo the mask."""

import secrets
from itertools import cycle
from typing import Any

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Wrong, shorten
from chatlib.lab.check.tools.calling import call, expect_returned

UNMASK = Rules()
NOTHING_UNDONE = "nothing is undone yet: what did the client do to each byte?"
ANOTHER_KEY = "take the key from the parameter `key`: each frame has one of its own"


@UNMASK.rule(
    "it gives back the Hello of RFC 6455",
    hint="byte i of the payload is XORed with byte i % 4 of the key",
    essential=True,
)
async def unmask_hello(unmask: Any) -> None:
    await expect_unmasked(unmask, b"Hello", bytes.fromhex("37fa213d"))


@UNMASK.rule("it works for any length, 0 too", hint="it may be empty, or longer than the key")
async def unmask_any_length(unmask: Any) -> None:
    key = b"\x01\x02\x03\x04"
    for text in (b"and some more", b"", b"a", b"four", b"seventeen letters", b"and more " * 300):
        await expect_unmasked(unmask, text, key)
    # The length of a frame takes 2 bytes up to 65,535, and 8 above.
    await expect_unmasked(unmask, b"long" * 17_000, key)


@UNMASK.rule(
    "it works for any bytes and any key, zeros too",
    hint="0 is a byte as any other, in the payload, in the key and in what comes out",
)
async def unmask_any_bytes(unmask: Any) -> None:
    await expect_unmasked(unmask, b"\0a\0\0b\0", b"\x01\x02\x03\x04")
    await expect_unmasked(unmask, b"\x01\x02\x03\x04", b"\x01\x02\x03\x04")
    await expect_unmasked(unmask, b"as it is", b"\0\0\0\0")
    await expect_unmasked(unmask, bytes(range(256)), b"\0\xff\x80\x7f")
    for length in (1, 2, 3, 5, 16, 33, 126, 1001):
        await expect_unmasked(unmask, secrets.token_bytes(length), secrets.token_bytes(4))


async def expect_unmasked(unmask: Any, text: bytes, key: bytes) -> None:
    """Raise `Wrong` unless `unmask` undoes the masking of `text`."""
    masked = xored(text, key)
    got = await call(unmask, masked, key, takes="(payload, key)")
    hint = "bytes(…) makes bytes of numbers; to text it is never decoded"
    expect_returned(got, (bytes, bytearray, memoryview), "bytes", hint)
    if len(got) != len(text):
        raise Wrong(f"{len(text)} bytes, as many as went in", f"{len(got)}: {shorten(got)}")
    if bytes(got) == text:
        return
    expected, came = f"{shorten(text)} with the key {key.hex(' ')}", shorten(bytes(got))
    if bytes(got) == masked:
        raise Wrong(expected, f"{came}, the payload as it went in", hint=NOTHING_UNDONE)
    used = await key_used(unmask, key)
    if used is not None and bytes(got) == xored(masked, used):
        came += f", which the key {used.hex(' ')} gives"
        raise Wrong(expected, came, hint=None if set(used) <= set(key) else ANOTHER_KEY)
    raise Wrong(expected, came)


async def key_used(unmask: Any, key: bytes) -> bytes | None:
    """Return the key with which `unmask` really XORs, asked to do so with `key`; None if none."""
    payload = bytes(range(0, 160, 10))
    try:
        got = bytes(await call(unmask, payload, key, takes="(payload, key)"))
    except Exception:
        return None
    used = xored(payload, got)
    return used[:4] if len(got) == len(payload) and used == 4 * used[:4] else None


def xored(payload: bytes, key: bytes) -> bytes:
    """Return `payload` with each byte XORed with one of `key`, in turn."""
    return bytes(byte ^ each for byte, each in zip(payload, cycle(key), strict=False))
