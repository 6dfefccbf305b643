"""The rules of the chapters' exercises."""

import json
from typing import Annotated, Any

import httpx2
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect

from chatlib.core.manager import ConnectionManager
from chatlib.lab.check.bench import Bench, Wrong, expect, shorten
from chatlib.lab.check.report import Rules
from chatlib.lab.serve import Server

PING, SAY = Rules(), Rules()
SHOUT, UNMASK, TOTAL = Rules(), Rules(), Rules()
GUESTS, BEARER = Rules(), Rules()
JOINED, WHISPER = Rules(), Rules()


# --- 00 start here --------------------------------------------------------------------------------


@PING.rule("GET /ping answers 200", hint="@app.get('/ping') above a function", essential=True)
async def ping_is_there(bench: Bench) -> None:
    expect((await get(bench, "/ping")).status_code, 200)


@PING.rule('the answer is {"pong": true}', hint="return a dict; FastAPI makes JSON of it")
async def ping_answers(bench: Bench) -> None:
    expect((await get(bench, "/ping")).json(), {"pong": True})


async def get(bench: Bench, path: str) -> httpx2.Response:
    """Return the answer to a GET of `path`."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(bench.server.http_url(path))


@SAY.rule(
    "say(url, 'hello') returns the two messages that come back",
    hint="async with websockets.connect(url) as client: send once, recv twice, return a list",
    essential=True,
)
async def say_returns_both(say: Any) -> None:
    with Server(a_chat()) as server:
        got = await say(server.ws_url("/ws/7"), "hello")
    expect(got, ["You wrote: hello", "Client #7 says: hello"])


@SAY.rule("it hangs up when it has them", hint="`async with` closes the connection at its end")
async def say_hangs_up(say: Any) -> None:
    with Server(a_chat()) as server:
        await say(server.ws_url("/ws/8"), "bye")
        # It returns only when the handler of every connection has ended.
        await server.settled()


def a_chat() -> FastAPI:
    """Return a chat of its own: the finished one may have the reader's page in it."""
    app, manager = FastAPI(), ConnectionManager()

    @app.websocket("/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: int) -> None:
        await manager.connect(websocket)
        async for text in websocket.iter_text():
            await manager.send_personal_message(f"You wrote: {text}", websocket)
            await manager.broadcast(f"Client #{client_id} says: {text}")
        manager.disconnect(websocket)

    return app


# --- 01 echo --------------------------------------------------------------------------------------


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
    hint="catch ValueError (what json.loads raises) and TypeError (what sum raises)",
)
async def total_says_what_is_wrong(bench: Bench) -> None:
    async with bench.client("/total") as client:
        for text in ("six", "6", '["one"]'):
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


# --- 02 items -------------------------------------------------------------------------------------


@GUESTS.rule(
    "a guest is let in and then closed with 4401",
    hint="a close code needs an open WebSocket to travel in",
    essential=True,
)
async def guests_are_closed(function: Any) -> None:
    with Server(app_that_greets(function)) as server:
        bench = Bench(server)
        async with bench.client("/ws?token=guest-1") as client:
            await client.is_closed_with(4401)


@GUESTS.rule("the reason is 'sign in first'", hint="websocket.close(code, reason)")
async def guests_are_told_why(function: Any) -> None:
    with Server(app_that_greets(function)) as server:
        async with Bench(server).client("/ws?token=guest-2") as client:
            await client.is_closed_with(4401, "sign in first")


@GUESTS.rule("anybody else stays connected", hint="close only a token that starts with 'guest-'")
async def members_stay(function: Any) -> None:
    with Server(app_that_greets(function)) as server:
        for query in ("?token=member-1", "?token=my-guest-1", ""):
            async with Bench(server).client(f"/ws{query}") as client:
                await client.send("hello")
                await client.hears("hello")


def app_that_greets(function: Any) -> FastAPI:
    """Return an app whose `/ws` calls `function` with the WebSocket, then echoes one text."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await function(websocket)
        if websocket.application_state.name == "CONNECTED":
            await websocket.send_text(await websocket.receive_text())

    return app


@BEARER.rule(
    "Authorization: Bearer t opens the door, and the credential is t",
    hint="a parameter authorization: Annotated[str | None, Header()], then partition(' ')",
    essential=True,
)
async def bearer_opens(dependency: Any) -> None:
    with Server(app_that_depends(dependency)) as server:
        async with Bench(server).client("/ws", authorization="Bearer t1") as client:
            await client.hears("t1")


@BEARER.rule(
    "no header, or another scheme: refused with 403", hint="raise WebSocketException(1008)"
)
async def bearer_refuses(dependency: Any) -> None:
    with Server(app_that_depends(dependency)) as server:
        bench = Bench(server)
        await bench.is_refused("/ws")
        await bench.is_refused("/ws", authorization="Basic dDE6")
        await bench.is_refused("/ws", authorization="Bearer ")


def app_that_depends(dependency: Any) -> FastAPI:
    """Return an app whose `/ws` sends what `dependency` returned."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(
        websocket: WebSocket, credential: Annotated[Any, Depends(dependency)]
    ) -> None:
        await websocket.accept()
        await websocket.send_text(str(credential))

    return app


# --- 03 chat --------------------------------------------------------------------------------------


@JOINED.rule(
    "those who are there hear 'Client #… joined the chat'",
    hint="broadcast before connect, or the newcomer hears it too",
    essential=True,
)
async def joined_is_told(bench: Bench) -> None:
    async with bench.client("/ws/201") as first, bench.client("/ws/202"):
        await first.hears("Client #202 joined the chat")


@JOINED.rule("the newcomer does not hear of itself", hint="broadcast before connect")
async def newcomer_hears_nothing(bench: Bench) -> None:
    async with bench.client("/ws/203"), bench.client("/ws/204") as newcomer:
        await newcomer.send("hello")
        while (got := await newcomer.next_message()) != "Client #204 says: hello":
            if got != "You wrote: hello":  # which a chat may send first
                raise Wrong("'Client #204 says: hello'", shorten(got))


@WHISPER.rule(
    "whisper('psst', 302) reaches client 302",
    hint="websocket.path_params['client_id'] is the id with which a member came",
    essential=True,
)
async def whisper_arrives(manager: Any) -> None:
    with Server(app_that_whispers(manager)) as server:
        bench = Bench(server)
        async with bench.client("/ws/301") as one, bench.client("/ws/302") as other:
            await one.send("302 psst")
            await other.hears("psst")


@WHISPER.rule("nobody else hears it", hint="send only where the id is the one asked for")
async def whisper_stays_private(manager: Any) -> None:
    with Server(app_that_whispers(manager)) as server:
        bench = Bench(server)
        async with bench.client("/ws/303") as one, bench.client("/ws/304") as other:
            await one.send("304 psst")
            await other.hears("psst")
            await other.send("303 got it")
            await one.hears("got it")


@WHISPER.rule("both of two clients with one id hear it", hint="go through all members")
async def whisper_reaches_both(manager: Any) -> None:
    with Server(app_that_whispers(manager)) as server:
        bench = Bench(server)
        async with bench.client("/ws/305") as one, bench.client("/ws/305") as other:
            await one.send("305 psst")
            await one.hears("psst")
            await other.hears("psst")


def app_that_whispers(manager_class: type[ConnectionManager]) -> FastAPI:
    """Return a chat in which the text `302 psst` whispers `psst` to client 302."""
    app, manager = FastAPI(), manager_class()

    @app.websocket("/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: int) -> None:
        await manager.connect(websocket)
        try:
            while True:
                to, _, text = (await websocket.receive_text()).partition(" ")
                await manager.whisper(text, int(to))  # type: ignore[attr-defined]
        except WebSocketDisconnect:
            pass
        finally:
            manager.disconnect(websocket)

    return app
