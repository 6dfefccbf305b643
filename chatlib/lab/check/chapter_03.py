"""The rules of the exercises of chapter 03, chat."""

from typing import Any

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from chatlib.core.manager import ConnectionManager
from chatlib.lab.check.bench import Bench, Wrong, serving, shorten
from chatlib.lab.check.report import Rules

JOINED, WHISPER = Rules(), Rules()


@JOINED.rule(
    "those who are there hear 'Client #… joined the chat'",
    hint="broadcast before connect, or the newcomer hears it too",
    essential=True,
)
async def joined_is_told(bench: Bench) -> None:
    async with bench.client("/ws/201") as first, bench.client("/ws/202"):
        while (got := await first.next_message()) != "Client #202 joined the chat":
            if got != "Client #201 joined the chat":  # of itself: the next rule's concern
                raise Wrong("'Client #202 joined the chat'", shorten(got))


@JOINED.rule("the newcomer does not hear of itself", hint="broadcast before connect")
async def newcomer_hears_nothing(bench: Bench) -> None:
    async with bench.client("/ws/203"), bench.client("/ws/204") as newcomer:
        await newcomer.send("hello")
        while (got := await newcomer.next_message()) != "Client #204 says: hello":
            if got != "You wrote: hello":  # which a chat may send first
                raise Wrong("'Client #204 says: hello'", shorten(got))


@WHISPER.rule(
    "whisper('psst', 302) reaches client 302",
    hint="websocket.path_params['client_id'] is the id with which a member came, as text: '302'",
    essential=True,
)
async def whisper_arrives(manager: Any) -> None:
    async with serving(app_that_whispers(manager)) as server:
        bench = Bench(server)
        async with bench.client("/ws/301") as one, bench.client("/ws/302") as other:
            await one.send("302 psst")
            await other.hears("psst")


@WHISPER.rule("nobody else hears it", hint="send only where the id is the one asked for")
async def whisper_stays_private(manager: Any) -> None:
    async with serving(app_that_whispers(manager)) as server:
        bench = Bench(server)
        async with bench.client("/ws/303") as one, bench.client("/ws/304") as other:
            await one.send("304 psst")
            await other.hears("psst")
            await other.send("303 got it")
            await one.hears("got it")


@WHISPER.rule("both of two clients with one id hear it", hint="go through all members")
async def whisper_reaches_both(manager: Any) -> None:
    async with serving(app_that_whispers(manager)) as server:
        bench = Bench(server)
        async with bench.client("/ws/305") as one, bench.client("/ws/305") as other:
            await one.send("305 psst")
            await one.hears("psst")
            await other.hears("psst")


@WHISPER.rule(
    "a dead member stops nobody",
    hint="go through a copy, catch what broadcast catches, and drop the dead one",
)
async def whisper_survives_the_dead(manager: Any) -> None:
    app = app_that_whispers(manager)
    async with serving(app) as server:
        bench = Bench(server)
        async with bench.client("/ws/307") as dead:
            await dead.send("308 this one is forgotten by its handler")
            await dead.is_closed_with(4000)
        async with bench.client("/ws/307") as one, bench.client("/ws/309") as other:
            await other.send("307 still there?")
            await one.hears("still there?")
            await other.send("309 me too")
            await other.hears("me too")


def app_that_whispers(manager_class: type[ConnectionManager]) -> FastAPI:
    """Return a chat in which the text `302 psst` whispers `psst` to client 302."""
    app, manager = FastAPI(), manager_class()

    @app.websocket("/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: int) -> None:
        await manager.connect(websocket)
        try:
            while True:
                to, _, text = (await websocket.receive_text()).partition(" ")
                if to == "308":
                    await websocket.close(4000)
                    manager.active_connections.append(websocket)  # and so it stays there
                await manager.whisper(text, int(to))  # type: ignore[attr-defined]
        except WebSocketDisconnect:
            pass
        finally:
            manager.disconnect(websocket)

    return app
