"""The contract of the echo, as rules."""

from chatlib.core.guard import MAX_MESSAGE_BYTES
from chatlib.lab.check.report import Rules
from chatlib.lab.check.rules.common import (
    MARKS,
    WORDS,
    add_bad_input,
    add_no_traceback,
    page_of,
    texts_of_today,
)
from chatlib.lab.check.tools.bench import Bench
from chatlib.lab.check.tools.silence import stays_for_long
from chatlib.lab.check.tools.talk import APART, keep_apart

ECHO = Rules()


@ECHO.rule("a client is let in at /ws", hint="@app.websocket('/ws'), then accept()", essential=True)
async def echo_lets_in(bench: Bench) -> None:
    async with bench.client("/ws"):
        pass


@ECHO.rule(
    "each text m comes back as 'Message text was: m'",
    hint="send_text(f'Message text was: {text}'), in a loop",
    essential=True,
)
async def echo_answers(bench: Bench) -> None:
    async with bench.client("/ws") as client:
        texts = ("hello", "", "naïve ☕ <b>", " as it is\n", "x" * MAX_MESSAGE_BYTES)
        for text in (*texts, *WORDS, *texts_of_today()):
            await client.send(text)
            await client.hears(*echo_call(text))
    await stays_for_long(bench, "/ws")


@ECHO.rule("GET / is the page", hint=MARKS)
async def echo_page(bench: Bench) -> None:
    await page_of(bench)


@ECHO.rule("two clients do not hear each other", hint=APART)
async def echo_keeps_apart(bench: Bench) -> None:
    async with bench.client("/ws") as one, bench.client("/ws") as other:
        await keep_apart(one, other, echo_call, echo_call)


def echo_call(text: str) -> tuple[str, ...]:
    """Return what an echo client hears after it sent `text`."""
    return (f"Message text was: {text}",)


add_bad_input(ECHO, "/ws", "/ws", echo_call, None)
add_no_traceback(ECHO, "/ws")
