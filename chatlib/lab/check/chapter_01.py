"""The rules of the exercises of chapter 01, echo."""

import json
from typing import Any

from chatlib.lab.check.bench import Bench, Wrong, expect, shorten
from chatlib.lab.check.report import Rules

SHOUT, UNMASK, TOTAL = Rules(), Rules(), Rules()


@SHOUT.rule("a client is let in at /shout", hint="accept() comes first", essential=True)
async def shout_lets_in(bench: Bench) -> None:
    async with bench.client("/shout"):
        pass


@SHOUT.rule("each text comes back in capitals", hint="text.upper(), in a loop", essential=True)
async def shout_answers(bench: Bench) -> None:
    async with bench.client("/shout") as client:
        for text in ("hello", "Straße", "again"):
            await client.send(text)
            await client.hears(text.upper())


@SHOUT.rule("a client that leaves leaves no traceback", hint="catch WebSocketDisconnect")
async def shout_ends_quietly(bench: Bench) -> None:
    async with bench.client("/shout"):
        pass
    await bench.no_traceback()


@UNMASK.rule(
    "it gives back the Hello of RFC 6455",
    hint="byte i of the payload is XORed with byte i % 4 of the key",
    essential=True,
)
async def unmask_hello(unmask: Any) -> None:
    got = unmask(bytes.fromhex("7f9f4d5158"), bytes.fromhex("37fa213d"))
    expect(got, b"Hello")


@UNMASK.rule("it works for any length, 0 too", hint="enumerate(payload), and bytes(…) around all")
async def unmask_any_length(unmask: Any) -> None:
    key = b"\x01\x02\x03\x04"
    for text in (b"", b"a", b"four", b"and some more"):
        masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(text))
        expect(unmask(masked, key), text)


@TOTAL.rule(
    '[1, 2, 3] is answered with {"total": 6}',
    hint="json.loads(text), then send_json({'total': …})",
    essential=True,
)
async def total_answers(bench: Bench) -> None:
    async with bench.client("/total") as client:
        for numbers in ([1, 2, 3], [], [0.5, 1]):
            await client.send(json.dumps(numbers))
            expect(await answer(client), {"total": sum(numbers)})


@TOTAL.rule(
    'anything else is answered with {"error": …}, and the connection stays',
    hint="not all JSON is a list; json.loads raises ValueError, and sum TypeError",
)
async def total_says_what_is_wrong(bench: Bench) -> None:
    async with bench.client("/total") as client:
        for text in ("six", "6", "{}", '["one"]'):
            await client.send(text)
            got = await answer(client)
            if not isinstance(got, dict) or not isinstance(got.get("error"), str):
                raise Wrong(f'{{"error": a text}} for {text}', got)
        await client.send("[4, 5]")
        expect(await answer(client), {"total": 9})


async def answer(client: Any) -> Any:
    """Return the next message, read as JSON."""
    got = await client.next_message()
    try:
        return json.loads(got)
    except (TypeError, ValueError):
        raise Wrong("JSON", shorten(got) if isinstance(got, str) else got) from None
