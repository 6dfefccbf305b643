"""The rules of the exercises of chapter 01, echo."""

import json
import secrets
import string
from typing import Any

from chatlib.lab.check.bench import Bench, Client, Outcome, Wrong, expect, shorten
from chatlib.lab.check.calling import call, expect_returned
from chatlib.lab.check.common import WORDS
from chatlib.lab.check.report import Rules

SHOUT, UNMASK, TOTAL = Rules(), Rules(), Rules()
ROUNDS = 12
TEXTS = ("hello", "Straße", "again", "", *WORDS, "  as IT is, ", " two\n lines\t\n", "naïve ☕")
ENDED = "the loop goes on after an answer: a `try` of its own is inside of it, for one text"


@SHOUT.rule(
    "a client is let in at /shout", hint="await websocket.accept() comes first", essential=True
)
async def shout_lets_in(bench: Bench) -> None:
    async with bench.client("/shout"):
        pass


@SHOUT.rule("each text comes back in capitals", hint="text.upper(), in a loop", essential=True)
async def shout_answers(bench: Bench) -> None:
    async with bench.client("/shout") as client:
        for text in TEXTS:
            await client.send(text)
            await client.hears(text.upper())
        for number in range(ROUNDS):
            text = "".join(secrets.choice(string.ascii_letters) for _ in range(number**3))
            await client.send(text)
            await client.hears(text.upper())


@SHOUT.rule("two clients do not hear each other", hint="answer on the websocket that asked")
async def shout_keeps_apart(bench: Bench) -> None:
    async with bench.client("/shout") as one, bench.client("/shout") as other:
        for _ in range(2):
            await one.send("mine")
            await one.hears("MINE")
            await other.send("yours")
            await other.hears("YOURS")
        for _ in range(3):  # at the same time
            await one.send("mine too")
            await other.send("and yours")
            await one.hears("MINE TOO")
            await other.hears("AND YOURS")


@SHOUT.rule("a client that leaves leaves no traceback", hint="catch WebSocketDisconnect")
async def shout_ends_quietly(bench: Bench) -> None:
    async with bench.client("/shout"):
        pass
    async with bench.client("/shout") as client:
        await client.send("on my way")
        await client.vanish()
    await bench.no_traceback()


# --- unmask -------------------------------------------------------------------------------------


@UNMASK.rule(
    "it gives back the Hello of RFC 6455",
    hint="byte i of the payload is XORed with byte i % 4 of the key",
    essential=True,
)
async def unmask_hello(unmask: Any) -> None:
    await expect_unmasked(unmask, b"Hello", bytes.fromhex("37fa213d"))


@UNMASK.rule("it works for any length, 0 too", hint="enumerate(payload), and bytes(…) around all")
async def unmask_any_length(unmask: Any) -> None:
    key = b"\x01\x02\x03\x04"
    for text in (b"", b"a", b"four", b"and some more", b"seventeen letters", b"and more " * 300):
        await expect_unmasked(unmask, text, key)


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
    masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(text))
    got = await call(unmask, masked, key, takes="(payload, key)")
    hint = "bytes(…) makes bytes of numbers; to text it is never decoded"
    expect_returned(got, (bytes, bytearray, memoryview), "bytes", hint)
    if len(got) != len(text):
        raise Wrong(f"{len(text)} bytes, as many as went in", f"{len(got)}: {shorten(got)}")
    expect(bytes(got), text)


# --- total --------------------------------------------------------------------------------------


@TOTAL.rule(
    '[1, 2, 3] is answered with {"total": 6}',
    hint="json.loads(text), then send_json({'total': …})",
    essential=True,
)
async def total_answers(bench: Bench) -> None:
    async with bench.client("/total") as client:
        for numbers in ([1, 2, 3], [], [0.5, 1], [-4, 4], [10**9, 1]):
            await client.send(json.dumps(numbers))
            await adds_up_to(client, sum(numbers), numbers)
        await client.send(" [ 7,\n8 ] ")
        await adds_up_to(client, 15, [7, 8])
        for length in (1, 4, 50):
            numbers = [secrets.randbelow(1000) for _ in range(length)]
            await client.send(json.dumps(numbers))
            await adds_up_to(client, sum(numbers), numbers)


# All of them raise where they are read or added up, or are no list.
NO_LISTS = ("six", "6", "{}", '["one"]', "", "null", "true", '"6"', '{"1": 2}', "[1, 2", "[[1], 2]")
# What is a number at the beginning, or looks like one.
MIXED = ('["1", "2"]', '[1, "two"]', "[1, null]", '[1, 2, "3"]', "[1, {}]", "[[], []]", '["", ""]')
NO_JSON = ("[1 + 1]", "[1, 2,]", "(1, 2)", "[0x10]", "[True]", "sum([1, 2])", "1, 2", "[1] [2]")


@TOTAL.rule(
    'anything else is answered with {"error": …}, and the connection stays',
    hint="not all JSON is a list; json.loads raises ValueError, and sum TypeError",
)
async def total_says_what_is_wrong(bench: Bench) -> None:
    async with bench.client("/total") as client:
        for text in (*NO_LISTS, *MIXED):
            await client.send(text)
            await says_error(client, text)
        await client.send("[4, 5]")
        await adds_up_to(client, 9, [4, 5])


@TOTAL.rule(
    "what Python could read, and JSON is not, is an error too",
    hint="json.loads(text) reads JSON; never eval what a stranger sent, it runs it",
)
async def total_is_no_eval(bench: Bench) -> None:
    async with bench.client("/total") as client:
        for text in NO_JSON:
            await client.send(text)
            await says_error(client, text)


@TOTAL.rule("a client that leaves leaves no traceback", hint="catch WebSocketDisconnect")
async def total_ends_quietly(bench: Bench) -> None:
    async with bench.client("/total"):
        pass
    async with bench.client("/total") as client:
        await client.vanish()
    await bench.no_traceback()


async def adds_up_to(client: Client, total: float, numbers: list[Any]) -> None:
    """Wait for the answer that says `total`."""
    got, expected = await answer(client), {"total": total}
    right = isinstance(got, dict) and list(got) == ["total"]
    if not right or isinstance(got["total"], bool | str) or got["total"] != total:
        raise Wrong(f"{json.dumps(expected)} for {shorten(numbers)}", shorten(got))


async def says_error(client: Client, text: str) -> None:
    """Wait for the answer that says that there is an error in `text`."""
    expected = f'{{"error": a text}} for {text or "an empty text"}'
    got = await answer(client, expected)
    if not isinstance(got, dict) or not isinstance(got.get("error"), str) or "total" in got:
        raise Wrong(expected, shorten(got))


async def answer(client: Client, expected: str = "JSON") -> Any:
    """Return the next message, read as JSON."""
    got = await client.next_message()
    if isinstance(got, bytes):
        raise Wrong("a text", f"the bytes {shorten(got)}", hint="send_json(…) sends a text")
    if isinstance(got, Outcome):
        raise Wrong(expected, got, hint=None if got.code is None else ENDED)
    try:
        read = json.loads(got)
    except ValueError:
        hint = "send_json({…}) makes JSON of a dict; str(…) does not"
        raise Wrong("JSON", shorten(got), hint=hint) from None
    if isinstance(read, str):
        hint = "that is JSON of JSON: give send_json the dict itself"
        raise Wrong("a JSON object", shorten(got), hint=hint)
    return read
