"""`check.chat` tells right apps from wrong ones."""

import broken
import pytest
from answers import expect_accepted, expect_rejected
from fastapi import APIRouter, FastAPI, WebSocket, WebSocketDisconnect
from fastapi.responses import HTMLResponse

import chatlib.chat
from chatlib import ConnectionManager, Guard, Room, receive_text
from chatlib.core.pages import add_page
from chatlib.lab import check

LET_IN = "a client is let in at /ws/{client_id}"
SENDER = "the sender hears 'You wrote: m', then what all hear"
OTHERS = "everybody else hears 'Client #… says: m'"
LEFT = "those who remain hear 'Client #… left the chat'"
CUT = "a client whose connection is cut has left too"
ONE_ID = "two clients may bear one id"
NO_ID = "an id that is no integer: refused with 403"
PAGE = "GET / is the page"
BINARY = "a binary message: closed with 1003, nobody else notices"
FOREIGN = "a page of another origin is refused with 403"
OWN = "a page of the same host and port is let in"
QUIET = "none of this, and no way of leaving, left a traceback in the log"


def chat(wrong=None, path="/ws/{client_id}"):
    app, manager, history = FastAPI(), ConnectionManager(), []
    add_page(app, "chat")
    app.add_middleware(Guard)

    async def tell(text):
        history.append(text)
        await manager.broadcast(text)

    @app.websocket(path)
    async def endpoint(websocket: WebSocket, client_id: int):
        await manager.connect(websocket)
        if wrong == "history":
            for text in history:
                await websocket.send_text(text)
        if wrong == "joined":
            await tell(f"Client #{client_id} joined the chat")
        left = "clean"
        try:
            while True:
                text = await receive_text(websocket)
                await manager.send_personal_message(f"You wrote: {text}", websocket)
                if wrong == "others alone":
                    manager.disconnect(websocket)
                await tell(f"Client #{client_id} says: {text}")
                if wrong == "others alone":
                    manager.active_connections.append(websocket)
                if wrong == "forgets await":
                    tell(text)
        except WebSocketDisconnect as gone:
            left = "cut" if gone.code == 1006 else "clean"
        manager.disconnect(websocket)
        for _ in range(2 if wrong == "left twice" else 1):
            if not (wrong == "cut in silence" and left == "cut"):
                await tell(f"Client #{client_id} left the chat")

    return app


def page_of_its_own():
    app = FastAPI()
    app.get("/", response_class=HTMLResponse)(
        lambda: "<!DOCTYPE html><title>Chat</title><h1>WebSocket Chat</h1>"
    )
    app.mount("/", chat())
    return app


WRONG = {
    "another path": (broken.chat("another path"), LET_IN, "your app has: /elsewhere"),
    "no id": (chat(path="/ws"), LET_IN, "what varies in it is {a_name}"),
    "another order": (broken.chat("another order"), SENDER, "got: 'Client #102 says: hello'"),
    "the sender hears nothing of it": (chat("others alone"), SENDER, "got: nothing within 1 s"),
    "newcomers are announced": (chat("joined"), SENDER, "joined the chat'"),
    "newcomers are told what was": (chat("history"), SENDER, "got: 'Client #101 left the chat'"),
    "no broadcast": (broken.chat("no broadcast"), SENDER, "got: nothing within 1 s"),
    "left twice": (chat("left twice"), LEFT, "got: 'Client #106 left the chat'"),
    "it leaves in silence": (broken.chat("leaves in silence"), LEFT, "disconnect, then broadcast"),
    "one connection an id": (broken.chat("one connection an id"), ONE_ID, "keep connections"),
    "any id": (broken.chat("any id"), NO_ID, "got: let in"),
    "no page": (broken.chat("no page"), PAGE, "got: 404"),
    "a page of its own without an id": (page_of_its_own(), PAGE, "Your ID:"),
    "text for granted": (broken.chat("takes text for granted"), BINARY, "KeyError: 'text'"),
    "one out, all out": (broken.chat("one out, all out"), LEFT, "close 1001"),
    "no guard": (broken.chat("no guard"), FOREIGN, "app.add_middleware(Guard)"),
    "a guard against all browsers": (broken.chat("hermit"), OWN, "compare Origin with Host"),
    "no except": (broken.chat("lets it escape"), LEFT, "disconnect, then broadcast"),
}


def on_a_room():
    """The same by chatlib's room, on a router."""
    app, router, room = FastAPI(), APIRouter(), Room()
    add_page(app, "chat")
    app.add_middleware(Guard)

    @router.websocket("/ws/{number}")
    async def talk(ws: WebSocket, number: int):
        await ws.accept()
        room.join(ws)
        try:
            while True:
                text = await receive_text(ws)
                await ws.send_text(f"You wrote: {text}")
                await room.publish(f"Client #{number} says: {text}")
        except WebSocketDisconnect:
            pass
        finally:
            room.leave(ws)
            await room.publish(f"Client #{number} left the chat")

    app.include_router(router)
    return app


def on_a_set():
    """The same by a set of WebSockets."""
    app, members = FastAPI(), set()
    add_page(app, "chat")
    app.add_middleware(Guard)

    async def tell(text):
        for member in list(members):
            try:
                await member.send_text(text)
            except (RuntimeError, WebSocketDisconnect):
                members.discard(member)

    @app.websocket("/ws/{client_id}")
    async def talk(ws: WebSocket, client_id: int):
        await ws.accept()
        members.add(ws)
        while (message := await ws.receive())["type"] == "websocket.receive":
            if (text := message.get("text")) is None:
                await ws.close(1003, "text alone")
                break
            await ws.send_text(f"You wrote: {text}")
            await tell(f"Client #{client_id} says: {text}")
        members.discard(ws)
        await tell(f"Client #{client_id} left the chat")

    return app


RIGHT = {
    "the finished one": chatlib.chat.app,
    "the manager": chat(),
    "a room, on a router": on_a_room(),
    "a set": on_a_set(),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.chat(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.chat(RIGHT[name]))
