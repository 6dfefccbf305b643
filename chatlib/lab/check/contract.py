"""The contract of the three apps, as rules. The reader, the library and its tests share them."""

from chatlib.core.guard import MAX_MESSAGE_BYTES
from chatlib.lab.check.bench import Bench, Wrong, shorten
from chatlib.lab.check.common import add_bad_input, add_no_traceback, add_origin, page_of
from chatlib.lab.check.report import Rules

ECHO, ITEMS, CHAT = Rules(), Rules(), Rules()

MARKS = "an HTML page begins with <!DOCTYPE html>; add_page(app, …) brings a finished one"


# --- echo ---------------------------------------------------------------------------------------


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
        for text in ("hello", "", "naïve ☕ <b>", "x" * MAX_MESSAGE_BYTES):
            await client.send(text)
            await client.hears(f"Message text was: {text}")


@ECHO.rule("GET / is the page", hint=MARKS)
async def echo_page(bench: Bench) -> None:
    await page_of(bench)


@ECHO.rule("two clients do not hear each other", hint="answer on the websocket that asked")
async def echo_keeps_apart(bench: Bench) -> None:
    async with bench.client("/ws") as one, bench.client("/ws") as other:
        await one.send("mine")
        await other.send("yours")
        await other.hears("Message text was: yours")
        await one.hears("Message text was: mine")


def echo_call(text: str) -> tuple[str, ...]:
    """Return what an echo client hears after it sent `text`."""
    return (f"Message text was: {text}",)


# --- items --------------------------------------------------------------------------------------

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
        for text in ("hello", "again"):
            await client.send(text)
            await client.hears(*items_call(text, "t1", "a b"))


@ITEMS.rule("the cookie `session` opens it too", hint="a parameter session: Annotated[…, Cookie()]")
async def items_cookie(bench: Bench) -> None:
    async with bench.client(ITEM, cookie="session=c1") as client:
        await client.send("m")
        await client.hears(*items_call("m", "c1", "foo"))


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
    for q in (3, 0):
        async with bench.client(f"{ITEM}?token=t4&q={q}") as client:
            await client.send("m")
            await client.hears(*items_call("m", "t4", "foo", q))


@ITEMS.rule(
    "neither cookie nor token, or an empty token: refused with 403",
    hint="raise WebSocketException(1008) before accept()",
)
async def items_refuses(bench: Bench) -> None:
    await bench.is_refused(ITEM)
    await bench.is_refused(f"{ITEM}?token=")


@ITEMS.rule("a q that is no integer: refused with 403", hint="q: int | None = None")
async def items_refuses_q(bench: Bench) -> None:
    await bench.is_refused(f"{ITEM}?token=t5&q=three")


@ITEMS.rule("the token never reaches the log", hint="redact_logs('token')")
async def items_redacts(bench: Bench) -> None:
    async with bench.client(f"{ITEM}?token=secret-of-the-check"):
        pass
    for line in bench.server.log:
        if "secret-of-the-check" in str(line):
            raise Wrong("no token in the log", shorten(str(line)))


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


# --- chat ---------------------------------------------------------------------------------------


@CHAT.rule("a client is let in at /ws/{client_id}", hint="@app.websocket", essential=True)
async def chat_lets_in(bench: Bench) -> None:
    async with bench.client("/ws/101"):
        pass


@CHAT.rule(
    "the sender hears 'You wrote: m', then what all hear",
    hint="first send_personal_message, then broadcast",
    essential=True,
)
async def chat_answers(bench: Bench) -> None:
    async with bench.client("/ws/102") as client:
        for text in ("hello", "", "naïve ☕ <b>"):
            await client.send(text)
            await client.hears(*chat_call(text, 102))


@CHAT.rule("everybody else hears 'Client #… says: m'", hint="broadcast to all", essential=True)
async def chat_broadcasts(bench: Bench) -> None:
    async with bench.client("/ws/103") as one, bench.client("/ws/104") as other:
        await one.send("first")
        await other.hears("Client #103 says: first")
        await other.send("second")
        await other.hears(*chat_call("second", 104))
        await one.hears(*chat_call("first", 103), "Client #104 says: second")


@CHAT.rule("those who remain hear 'Client #… left the chat'", hint="disconnect, then broadcast")
async def chat_leaving(bench: Bench) -> None:
    async with bench.client("/ws/105") as stays:
        async with bench.client("/ws/106"):
            pass
        await stays.hears("Client #106 left the chat")


@CHAT.rule("a client whose connection is cut has left too", hint="clean up in `finally`")
async def chat_cut(bench: Bench) -> None:
    async with bench.client("/ws/107") as stays:
        async with bench.client("/ws/108") as cut:
            await cut.vanish()
        await stays.hears("Client #108 left the chat")
        await stays.send("still here")
        await stays.hears(*chat_call("still here", 107))


@CHAT.rule("two clients may bear one id", hint="keep connections, not ids")
async def chat_same_id(bench: Bench) -> None:
    async with bench.client("/ws/109") as one, bench.client("/ws/109") as other:
        await one.send("a")
        await one.hears(*chat_call("a", 109))
        await other.hears("Client #109 says: a")
        await other.send("b")
        await other.hears(*chat_call("b", 109))
        await one.hears("Client #109 says: b")


@CHAT.rule("an id that is no integer: refused with 403", hint="client_id: int")
async def chat_refuses_id(bench: Bench) -> None:
    await bench.is_refused("/ws/ana")


@CHAT.rule("GET / is the page", hint=MARKS)
async def chat_page(bench: Bench) -> None:
    page = await page_of(bench, title="Chat", heading="WebSocket Chat")
    if "Your ID:" not in page.text:
        raise Wrong("a page that says 'Your ID:'", shorten(page.text.strip()))


def chat_call(text: str, client_id: int) -> tuple[str, ...]:
    """Return what the sender of `text` hears."""
    return (f"You wrote: {text}", f"Client #{client_id} says: {text}")


# --- what they have in common -------------------------------------------------------------------

add_bad_input(ECHO, "/ws", "/ws", echo_call, None)
add_bad_input(
    ITEMS, f"{ITEM}?token=t6", f"{ITEM}?token=t7", lambda text: items_call(text, "t7", "foo"), None
)
add_bad_input(
    CHAT, "/ws/110", "/ws/111", lambda text: chat_call(text, 111), "Client #110 left the chat"
)
add_origin(ITEMS, f"{ITEM}?token=t8")
add_origin(CHAT, "/ws/112")
add_no_traceback(ECHO, "/ws")
add_no_traceback(ITEMS, f"{ITEM}?token=t9")
add_no_traceback(CHAT, "/ws/113")
