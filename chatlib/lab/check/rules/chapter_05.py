"""The rules of the first exercise of chapter 05: the frame that a server sends."""

from typing import Any

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Wrong, shorten
from chatlib.lab.check.tools.calling import call, expect_returned

ENCODE = Rules()


@ENCODE.rule(
    "'Hello' becomes 81 05 and its five bytes",
    hint="put two bytes before the payload: 0x81, and how long the payload is",
    essential=True,
)
async def encode_hello(encode: Any) -> None:
    expect_frame(await framed(encode, "Hello"), "Hello", "81 05")


# The three cases are essential: the rules below would fail without them, and say another reason.


@ENCODE.rule(
    "0 to 125 bytes: the second byte is the length",
    hint="the second byte is how many bytes the payload has: for 0 bytes too, and for 125",
    essential=True,
)
async def encode_short(encode: Any) -> None:
    for length in (0, 1, 10, 64, 124, 125):
        text = text_of(length)
        expect_frame(await framed(encode, text), text, f"81 {length:02x}")


@ENCODE.rule(
    "126 to 65,535 bytes: the second byte is 126, then the length in two bytes",
    hint="three numbers for struct.pack; the last of them takes two bytes",
    essential=True,
)
async def encode_medium(encode: Any) -> None:
    for length in (126, 127, 128, 255, 256, 258, 4660, 32768, 65535):
        text = text_of(length)
        expect_frame(await framed(encode, text), text, f"81 7e {length:04x}")


@ENCODE.rule(
    "65,536 bytes and more: the second byte is 127, then the length in eight bytes",
    hint="like the case before, with 127, and a last number that takes eight bytes",
    essential=True,
)
async def encode_long(encode: Any) -> None:
    for length in (65536, 65537, 66051, 1_193_046):
        text = text_of(length)
        expect_frame(await framed(encode, text), text, f"81 7f {length:016x}")


@ENCODE.rule(
    "the length counts bytes, and not characters",
    hint="encode the text first, and ask those bytes for their length",
)
async def encode_counts_bytes(encode: Any) -> None:
    for text, header in (
        ("Straße", "81 07"),
        ("☕" * 41 + "é", "81 7d"),
        ("ß" * 63, "81 7e 00 7e"),
        ("€" * 21845, "81 7e ff ff"),
        ("🙂" * 16384, "81 7f 00 00 00 00 00 01 00 00"),
    ):
        expect_frame(await framed(encode, text), text, header)


@ENCODE.rule(
    "the text is sent as it is, each time",
    hint="encode(text) changes nothing in the text, and keeps nothing for the next one",
)
async def encode_leaves_the_text(encode: Any) -> None:
    # Among them a byte order mark, and a letter with its accent written apart.
    texts = (" a b\r\n", "\x00", "\ufeffe\u0301", "\x81\x05Hello", "Hello", "", "Hello", "b" * 200)
    frames = [await framed(encode, text) for text in texts]
    for text, frame in zip(texts, frames, strict=True):
        size = len(text.encode())
        header = f"81 {size:02x}" if size < 126 else f"81 7e {size:04x}"
        expect_frame(frame, text, header)


async def framed(encode: Any, text: str) -> Any:
    """Return what `encode`, plain or async, makes of `text`."""
    return await call(encode, text, takes="(text)")


def text_of(length: int) -> str:
    """Return a text of `length` bytes whose parts differ."""
    numbers = "".join(f"{number} " for number in range(min(length, 20000)))
    return (numbers * (length // max(1, len(numbers)) + 1))[:length]


def expect_frame(got: Any, text: str, header: str) -> None:
    """Raise `Wrong` unless `got` is the bytes of `header` and then those of `text`."""
    begins, payload = bytes.fromhex(header), text.encode()
    expect_returned(got, (bytes, bytearray, memoryview), "bytes")
    got, expected = bytes(got), f"{begins.hex(' ')} and {len(payload)} bytes of text"
    if got[: len(begins)] != begins or len(got) != len(begins) + len(payload):
        came = f"{got[: len(begins)].hex(' ')} … ({len(got)} bytes in all)"
        raise Wrong(expected, came)
    if got != begins + payload:
        raise Wrong(expected, f"{begins.hex(' ')} and other bytes: {shorten(got[len(begins) :])}")
