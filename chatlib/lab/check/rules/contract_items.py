"""The contract of the item socket, as rules."""

import secrets

from chatlib.lab.check.report import Rules
from chatlib.lab.check.rules.common import (
    MARKS,
    add_bad_input,
    add_no_traceback,
    add_origin,
    page_of,
    texts_of_today,
)
from chatlib.lab.check.tools.bench import Bench, Wrong, shorten
from chatlib.lab.check.tools.silence import stays_for_long
from chatlib.lab.check.tools.talk import APART, keep_apart
from chatlib.lab.check.tools.wrong import in_case

ITEMS = Rules()

ITEM = "/items/foo/ws"


@ITEMS.rule(
    "a token in the query opens /items/{item_id}/ws",
    hint="the dependency takes `token` from the query",
    essential=True,
)
async def items_token(bench: Bench) -> None:
    async with bench.client(f"{ITEM}?token=t0"):
        pass


@ITEMS.rule(
    "each text is answered with the credential, then the text and the item",
    hint="two messages an answer: 'Session cookie or query token value is: …', "
    "'Message text was: …, for item ID: …'",
    essential=True,
)
async def items_answers(bench: Bench) -> None:
    async with bench.client("/items/a%20b/ws?token=t1") as client:
        for text in ("hello", "", "naïve ☕ <b>", " as it is\n"):
            await client.send(text)
            await client.hears(*items_call(text, "t1", "a b"))
    item, token = secrets.token_hex(4), secrets.token_urlsafe(9)
    async with bench.client(f"/items/{item}/ws?token={token}") as client:
        for text in texts_of_today():
            await client.send(text)
            await client.hears(*items_call(text, token, item))
    await stays_for_long(bench, f"{ITEM}?token=t10", messages=2)


@ITEMS.rule("two clients do not hear each other", hint=APART)
async def items_keep_apart(bench: Bench) -> None:
    async with (
        bench.client(f"{ITEM}?token=one") as one,
        bench.client("/items/bar/ws?token=other&q=1") as other,
    ):
        await keep_apart(
            one,
            other,
            lambda text: items_call(text, "one", "foo"),
            lambda text: items_call(text, "other", "bar", 1),
        )


@ITEMS.rule("the cookie `session` opens it too", hint="a parameter session: Annotated[…, Cookie()]")
async def items_cookie(bench: Bench) -> None:
    for session in ("c1", secrets.token_hex(4)):
        async with bench.client(ITEM, cookie=f"session={session}") as client:
            await client.send("m")
            await client.hears(*items_call("m", session, "foo"))


@ITEMS.rule("where both come, the cookie wins", hint="session or token, in this order")
async def items_cookie_wins(bench: Bench) -> None:
    async with bench.client(f"{ITEM}?token=t2", cookie="session=c2") as client:
        await client.send("m")
        await client.hears(*items_call("m", "c2", "foo"))


@ITEMS.rule("an empty cookie counts as none", hint="'' is not None, but it is false")
async def items_empty_cookie(bench: Bench) -> None:
    async with bench.client(f"{ITEM}?token=t3", cookie="session=") as client:
        await client.send("m")
        await client.hears(*items_call("m", "t3", "foo"))


@ITEMS.rule("q is told if it was given, 0 too", hint="if q is not None, since 0 is false")
async def items_q(bench: Bench) -> None:
    for q in (3, 0, -1, 1000 + secrets.randbelow(1000)):
        async with bench.client(f"{ITEM}?token=t4&q={q}") as client:
            await client.send("m")
            await client.hears(*items_call("m", "t4", "foo", q))


@ITEMS.rule(
    "neither cookie nor token, or an empty token: refused with 403",
    hint="raise WebSocketException(1008) before accept()",
)
async def items_refuses(bench: Bench) -> None:
    for query, cookie in (
        ("", "no=c3"),
        ("?token=", "no=c3"),
        ("?q=1", "session="),
        ("?token=", "session="),
        ("?session=c4", "token=c4"),
    ):
        with in_case(f"the query {query or '?'} and the cookie {cookie}"):
            await bench.is_refused(f"{ITEM}{query}", cookie=cookie)
    await bench.is_refused(ITEM)


@ITEMS.rule("a q that is no integer: refused with 403", hint="q: int | None = None")
async def items_refuses_q(bench: Bench) -> None:
    for q in ("three", "1.5", "", "1e3", "true"):
        with in_case(f"q={q}"):
            await bench.is_refused(f"{ITEM}?token=t5&q={q}")


@ITEMS.rule("the token never reaches the log", hint="redact_logs('token')")
async def items_redacts(bench: Bench) -> None:
    token = f"secret-{secrets.token_hex(4)}"
    async with bench.client(f"{ITEM}?token={token}"):
        pass
    for line in bench.server.log:
        if token in str(line):
            raise Wrong("no token in the log", shorten(str(line).replace(token, "secret…")))


@ITEMS.rule("GET / is the page", hint=MARKS)
async def items_page(bench: Bench) -> None:
    page = await page_of(bench, title="Chat", heading="WebSocket Chat")
    for value in ("foo", "some-key-token"):
        if value not in page.values:
            raise Wrong(f"a field that begins with {value!r}", sorted(page.values) or "no field")


def items_call(text: str, credential: str, item: str, q: int | None = None) -> tuple[str, ...]:
    """Return what an items client hears after it sent `text`."""
    told = () if q is None else (f"Query parameter q is: {q}",)
    return (
        f"Session cookie or query token value is: {credential}",
        *told,
        f"Message text was: {text}, for item ID: {item}",
    )


add_bad_input(
    ITEMS, f"{ITEM}?token=t6", f"{ITEM}?token=t7", lambda text: items_call(text, "t7", "foo"), None
)
add_origin(ITEMS, f"{ITEM}?token=t8")
add_no_traceback(ITEMS, f"{ITEM}?token=t9")
