"""The rules of the exercises of chapter 05, fan-out."""

import asyncio
from typing import Any

from chatlib.lab.check.bench import Wrong, expect, shorten
from chatlib.lab.check.report import Rules

ENCODE, ONCE_A_TURN = Rules(), Rules()


@ENCODE.rule(
    "'Hello' becomes 81 05 and its five bytes",
    hint="put two bytes before the payload: 0x81, and how long the payload is",
    essential=True,
)
async def encode_hello(encode: Any) -> None:
    expect_frame(encode, "Hello", "81 05")


@ENCODE.rule("0 and 125 bytes: the second byte is the length", hint="125 is below 126, and so is 0")
async def encode_short(encode: Any) -> None:
    expect_frame(encode, "", "81 00")
    expect_frame(encode, "x" * 125, "81 7d")


@ENCODE.rule(
    "126 and 65,535 bytes: the second byte is 126, then the length in two bytes",
    hint="three numbers for struct.pack; the last of them takes two bytes",
)
async def encode_medium(encode: Any) -> None:
    expect_frame(encode, "x" * 126, "81 7e 00 7e")
    expect_frame(encode, "x" * 65535, "81 7e ff ff")


@ENCODE.rule(
    "65,536 bytes: the second byte is 127, then the length in eight bytes",
    hint="like the case before, with 127, and a last number that takes eight bytes",
)
async def encode_long(encode: Any) -> None:
    expect_frame(encode, "x" * 65536, "81 7f 00 00 00 00 00 01 00 00")


@ENCODE.rule(
    "the length counts bytes, and not characters",
    hint="ask for the length of what is sent, which the text is only before it is encoded",
)
async def encode_counts_bytes(encode: Any) -> None:
    expect_frame(encode, "Straße", "81 07")
    expect_frame(encode, "ß" * 63, "81 7e 00 7e")


def expect_frame(encode: Any, text: str, header: str) -> None:
    """Raise `Wrong` unless `encode(text)` is the bytes of `header` and then those of `text`."""
    got, begins, payload = encode(text), bytes.fromhex(header), text.encode()
    if not isinstance(got, bytes):
        raise Wrong("bytes", shorten(got))
    if got != begins + payload:
        came = f"{got[: len(begins)].hex(' ')} … ({len(got)} bytes in all)"
        raise Wrong(f"{header} and {len(payload)} bytes of text", came)


@ONCE_A_TURN.rule(
    "what is published reaches each member",
    hint="flush goes through the members, and writes to each of them",
    essential=True,
)
async def batch_arrives(batcher_class: Any) -> None:
    members, batcher = batch(batcher_class)
    batcher.publish(b"one")
    await asyncio.sleep(0)  # a turn of the event loop
    expect([b"".join(member) for member in members], [b"one"] * 3)


@ONCE_A_TURN.rule(
    "nothing is written before publish has returned",
    hint="publish only notes the frame, and asks the event loop to call flush soon",
)
async def batch_waits(batcher_class: Any) -> None:
    members, batcher = batch(batcher_class)
    batcher.publish(b"one")
    expect(members, [[], [], []])


@ONCE_A_TURN.rule(
    "three frames of one turn are one write, in their order",
    hint="flush makes one bytes of all that has been noted, and writes that",
)
async def batch_joins(batcher_class: Any) -> None:
    members, batcher = batch(batcher_class)
    for frame in (b"one ", b"two ", b"three"):
        batcher.publish(frame)
    await asyncio.sleep(0)
    expect(members[0], [b"one two three"])


@ONCE_A_TURN.rule(
    "the event loop is asked for one flush a turn, not for three",
    hint="remember that one is scheduled, and ask only if none is",
)
async def batch_schedules_once(batcher_class: Any) -> None:
    _, batcher = batch(batcher_class)
    loop: Any = asyncio.get_running_loop()
    asked: list[object] = []
    call_soon = loop.call_soon

    def count(callback: object, *args: Any, **options: Any) -> Any:
        asked.append(callback)
        return call_soon(callback, *args, **options)

    loop.call_soon = count
    try:
        for frame in (b"one", b"two", b"three"):
            batcher.publish(frame)
    finally:
        del loop.call_soon
    if len(asked) != 1:
        raise Wrong("one call of call_soon", len(asked))


@ONCE_A_TURN.rule(
    "the next turn writes what is new, and nothing twice",
    hint="flush forgets what it has written, and that it was scheduled",
)
async def batch_begins_again(batcher_class: Any) -> None:
    members, batcher = batch(batcher_class)
    for frame in (b"one", b"two"):
        batcher.publish(frame)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    expect(members[2], [b"one", b"two"])


class Writes(list[bytes]):
    """A member, which keeps each write."""

    def write(self, data: bytes) -> None:
        self.append(bytes(data))


def batch(batcher_class: Any) -> tuple[list[Writes], Any]:
    """Return three members, and a batcher that writes to them."""
    members = [Writes() for _ in range(3)]
    return members, batcher_class(members)
