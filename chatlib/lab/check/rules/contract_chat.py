"""The contract of the chat, as rules."""

import time

from chatlib.lab.check.report import Rules
from chatlib.lab.check.rules.common import (
    MARKS,
    WORDS,
    add_bad_input,
    add_no_traceback,
    add_origin,
    page_of,
    texts_of_today,
)
from chatlib.lab.check.tools.bench import Bench, Wrong, shorten
from chatlib.lab.check.tools.silence import stays_for_long
from chatlib.lab.check.tools.talk import in_any_order
from chatlib.lab.check.tools.wrong import in_case

CHAT = Rules()


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
        for text in (
            "hello",
            "",
            "naïve ☕ <b>",
            " as it is\n",
            "hello",
            *WORDS,
            *texts_of_today(),
        ):
            await client.send(text)
            await client.hears(*chat_call(text, 102))
    await stays_for_long(bench, "/ws/102", messages=2, times=0)  # nor does a page hear more of it


@CHAT.rule("everybody else hears 'Client #… says: m'", hint="broadcast to all", essential=True)
async def chat_broadcasts(bench: Bench) -> None:
    late = time.time_ns() // 1_000_000  # as the page makes its id
    async with (
        bench.client("/ws/103") as one,
        bench.client("/ws/104") as other,
        bench.client(f"/ws/{late}") as third,
    ):
        await one.send("first")
        for client in (other, third):
            await client.hears("Client #103 says: first")
        await third.send("second")
        await third.hears(*chat_call("second", late))
        await other.send("second")
        await other.hears(f"Client #{late} says: second", *chat_call("second", 104))
        await one.hears(*chat_call("first", 103), f"Client #{late} says: second")
        for client in (one, third):
            await client.hears("Client #104 says: second")
        for _ in range(3):  # at the same time
            await one.send("mine")
            await other.send("yours")
            said = ("Client #103 says: mine", "Client #104 says: yours")
            await in_any_order(one, "You wrote: mine", *said)
            await in_any_order(other, "You wrote: yours", *said)
            await in_any_order(third, *said)


@CHAT.rule(
    "those who remain hear 'Client #… left the chat'",
    hint="catch WebSocketDisconnect; after that disconnect, then broadcast",
)
async def chat_leaving(bench: Bench) -> None:
    async with bench.client("/ws/105") as stays, bench.client("/ws/114") as stays_too:
        async with bench.client("/ws/106"):
            pass
        for client in (stays, stays_too):
            await client.hears("Client #106 left the chat")
        await stays.send("gone?")
        await stays.hears(*chat_call("gone?", 105))
        await stays_too.hears("Client #105 says: gone?")


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
    for client_id in ("ana", "1.5"):
        with in_case(f"/ws/{client_id}"):
            await bench.is_refused(f"/ws/{client_id}")


@CHAT.rule("GET / is the page", hint=MARKS)
async def chat_page(bench: Bench) -> None:
    page = await page_of(bench, title="Chat", heading="WebSocket Chat")
    if "Your ID:" not in page.text:
        raise Wrong("a page that says 'Your ID:'", shorten(page.text.strip()))


def chat_call(text: str, client_id: int) -> tuple[str, ...]:
    """Return what the sender of `text` hears."""
    return (f"You wrote: {text}", f"Client #{client_id} says: {text}")


add_bad_input(
    CHAT, "/ws/110", "/ws/111", lambda text: chat_call(text, 111), "Client #110 left the chat"
)
add_origin(CHAT, "/ws/112")
add_no_traceback(CHAT, "/ws/113")
