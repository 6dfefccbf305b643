"""The rules of two exercises of chapter 01, echo: shout and total."""

import json
import secrets
import string
from typing import Any

from chatlib.lab.check.report import Rules
from chatlib.lab.check.rules.common import WORDS
from chatlib.lab.check.tools.bench import Bench, Client, Outcome, Wrong, shorten
from chatlib.lab.check.tools.silence import stays_for_long
from chatlib.lab.check.tools.talk import APART, keep_apart

SHOUT, TOTAL = Rules(), Rules()
ROUNDS = 12
TEXTS = ("hello", "Straße", "again", "", *WORDS, "  as IT is, ", " two\n lines\t\n", "naïve ☕")
SUM = "sum(…) adds up any numbers, whole or not, and is 0 where there are none"
AS_IT_IS = "a text is no number: convert nothing, leave nothing out, and sum(…) raises TypeError"
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
    await stays_for_long(bench, "/shout")


@SHOUT.rule("two clients do not hear each other", hint=APART)
async def shout_keeps_apart(bench: Bench) -> None:
    async with bench.client("/shout") as one, bench.client("/shout") as other:
        await keep_apart(one, other, shouted, shouted)


def shouted(text: str) -> tuple[str, ...]:
    """Return what a client hears after it sent `text`."""
    return (text.upper(),)


@SHOUT.rule("a client that leaves leaves no traceback", hint="catch WebSocketDisconnect")
async def shout_ends_quietly(bench: Bench) -> None:
    bench.begins()
    async with bench.client("/shout"):
        pass
    async with bench.client("/shout") as client:
        await client.send("on my way")
        await client.vanish()
    await bench.no_traceback()


# --- total --------------------------------------------------------------------------------------


@TOTAL.rule(
    '[1, 2, 3] is answered with {"total": 6}',
    hint="json.loads(text), then send_json({'total': …})",
    essential=True,
)
async def total_answers(bench: Bench) -> None:
    async with bench.client("/total") as client:
        for numbers in ([1, 2, 3], [], [0.5, 1], [-4, 4], [10**12, 1]):
            await client.send(json.dumps(numbers))
            await adds_up_to(client, sum(numbers), numbers)
        await client.send(" [ 7,\n8 ] ")
        await adds_up_to(client, 15, [7, 8])
        for length in (1, 4, 50):
            numbers = [secrets.randbelow(1000) for _ in range(length)]
            await client.send(json.dumps(numbers))
            await adds_up_to(client, sum(numbers), numbers)
    await stays_for_long(bench, "/total", text="[1]")


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


@TOTAL.rule("two clients do not hear each other", hint=APART)
async def total_keeps_apart(bench: Bench) -> None:
    async with bench.client("/total") as one, bench.client("/total") as other:
        for number in range(3):
            await one.send(f"[{number}]")
            await other.send(f"[{number}, 10]")
            await adds_up_to(one, number, [number], hint=APART)
            await adds_up_to(other, number + 10, [number, 10], hint=APART)


@TOTAL.rule("a client that leaves leaves no traceback", hint="catch WebSocketDisconnect")
async def total_ends_quietly(bench: Bench) -> None:
    bench.begins()
    async with bench.client("/total"):
        pass
    async with bench.client("/total") as client:
        await client.vanish()
    await bench.no_traceback()


async def adds_up_to(
    client: Client, total: float, numbers: list[Any], hint: str | None = None
) -> None:
    """Wait for the answer that says `total`; `hint` is for another number."""
    got, expected = await answer(client), {"total": total}
    right = isinstance(got, dict) and list(got) == ["total"]
    if not right or isinstance(got["total"], bool | str) or got["total"] != total:
        wanted = f"{json.dumps(expected)} for {shorten(numbers)}"
        raise Wrong(wanted, shorten(got), hint=(hint or SUM) if right else None)


async def says_error(client: Client, text: str) -> None:
    """Wait for the answer that says that there is an error in `text`."""
    expected = f'{{"error": a text}} for {text or "an empty text"}'
    got = await answer(client, expected)
    if not isinstance(got, dict) or not isinstance(got.get("error"), str) or "total" in got:
        hint = AS_IT_IS if text in MIXED and isinstance(got, dict) and "total" in got else None
        raise Wrong(expected, shorten(got), hint=hint)


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
