"""`check.chat` tells right apps from wrong ones."""

import asyncio
import contextlib
import traceback
from typing import Annotated

import broken
import pytest
from answers import expect_accepted, expect_rejected
from fastapi import APIRouter, FastAPI, Path, WebSocket, WebSocketDisconnect, WebSocketException
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
UTF8 = "text that is not UTF-8: 1007, nobody else notices"
TOO_BIG = "more than 64 KiB: 1009, nobody else notices"
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
            left = "clean" if gone.code == 1000 else "cut"
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


class Members:
    """A manager that forgets who cannot be reached; what is wrong with others is in a subclass."""

    def __init__(self):
        self.all = []

    async def connect(self, websocket):
        await websocket.accept()
        self.all.append(websocket)

    def disconnect(self, websocket):
        if websocket in self.all:
            self.all.remove(websocket)

    def listeners(self, text):
        return list(self.all)

    async def broadcast(self, text):
        for member in self.listeners(text):
            try:
                await member.send_text(text)
            except (RuntimeError, WebSocketDisconnect):
                self.disconnect(member)


class LastTwo(Members):
    def listeners(self, text):
        return self.all[-2:]


class TellsOne(Members):
    def listeners(self, text):
        return self.all[: 1 if text.endswith("left the chat") else None]


class TwoAtMost(Members):
    async def connect(self, websocket):
        if len(self.all) == 2:
            raise WebSocketException(1008)
        await super().connect(websocket)


class OnceEach(Members):
    def __init__(self):
        super().__init__()
        self.said = set()

    def listeners(self, text):
        heard = text in self.said
        self.said.add(text)
        return [] if heard else super().listeners(text)


class Unguarded(Members):
    async def broadcast(self, text):
        for member in list(self.all):
            await member.send_text(text)


class AtOnce(Members):
    async def broadcast(self, text):
        sending = (member.send_text(text) for member in self.all)
        await asyncio.gather(*sending, return_exceptions=True)


async def stripped(websocket):
    return (await receive_text(websocket)).strip()


async def in_a_minute(websocket):
    return await asyncio.wait_for(receive_text(websocket), 60)


async def shared(websocket, latest={}):  # noqa: B006 - that is the mistake
    latest["text"] = await receive_text(websocket)
    await asyncio.sleep(0.01)
    return latest["text"]


def with_manager(members=None, *, read=receive_text, number=int, gone=lambda: None, late=False):
    """Return a chat on `members`, which reads by `read`, and calls `gone` when a client leaves.

    If `late`, all are told that a client left before it is taken off.
    """
    app, members = FastAPI(), members or Members()
    add_page(app, "chat")
    app.add_middleware(Guard)

    @app.websocket("/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: number):
        await members.connect(websocket)
        try:
            while True:
                text = await read(websocket)
                await websocket.send_text(f"You wrote: {text}")
                await members.broadcast(f"Client #{client_id} says: {text}")
        except WebSocketDisconnect:
            gone()
        finally:
            if not late:
                members.disconnect(websocket)
            await members.broadcast(f"Client #{client_id} left the chat")
            members.disconnect(websocket)

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
    "one connection an id": (broken.chat("one connection an id"), ONE_ID, "keep connections"),
    "any id": (broken.chat("any id"), NO_ID, "got: let in"),
    "no page": (broken.chat("no page"), PAGE, "got: 404"),
    "a page of its own without an id": (page_of_its_own(), PAGE, "Your ID:"),
    "text for granted": (broken.chat("takes text for granted"), BINARY, "KeyError: 'text'"),
    "cut in silence": (chat("cut in silence"), CUT, "clean up in `finally`"),
    "all out after 1007": (broken.chat("one out by 1007, all out"), UTF8, "close 1001"),
    "all out after 1009": (broken.chat("one out by 1009, all out"), TOO_BIG, "close 1001"),
    "without the spaces": (with_manager(read=stripped), SENDER, "as it is"),
    "a timeout": (with_manager(read=in_a_minute), SENDER, "a timeout ran out"),
    "the last two hear": (with_manager(LastTwo()), OTHERS, "got: nothing"),
    "two at most": (with_manager(TwoAtMost()), OTHERS, "to be let in"),
    "once the same text": (with_manager(OnceEach()), SENDER, "got: nothing"),
    "one is told who left": (with_manager(TellsOne()), LEFT, "got: nothing"),
    "one text for all": (with_manager(read=shared), OTHERS, "You wrote"),
    "ids of an int32": (with_manager(number=Annotated[int, Path(lt=2**31)]), OTHERS, "HTTP 403"),
    "it told all before it took the client off": (
        with_manager(Unguarded(), late=True),
        SENDER,
        "must be off your list",
    ),
    "a traceback that it prints": (with_manager(gone=traceback.print_exc), QUIET, "prints or logs"),
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


class Queues(Members):
    """A queue and a task for each."""

    def __init__(self):
        self.queues = {}

    async def connect(self, websocket):
        await websocket.accept()
        queue = asyncio.Queue()
        self.queues[websocket] = queue, asyncio.create_task(self.deliver(websocket, queue))

    async def deliver(self, websocket, queue):
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await websocket.send_text(await queue.get())

    def disconnect(self, websocket):
        if websocket in self.queues:
            self.queues.pop(websocket)[1].cancel()

    async def broadcast(self, text):
        for queue, _ in self.queues.values():
            queue.put_nowait(text)


@contextlib.asynccontextmanager
async def lifespan(app):
    yield {"members": Members()}


def in_a_context():
    """Coming and going as a context manager, with the members in the app's state."""
    app = FastAPI(lifespan=lifespan)
    add_page(app, "chat")
    app.add_middleware(Guard)

    @contextlib.asynccontextmanager
    async def member(members, websocket, client_id):
        await members.connect(websocket)
        try:
            yield
        except WebSocketDisconnect:
            pass
        finally:
            members.disconnect(websocket)
            await members.broadcast(f"Client #{client_id} left the chat")

    @app.websocket("/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: int):
        members = websocket.state.members
        async with member(members, websocket, client_id):
            while True:
                text = await receive_text(websocket)
                await websocket.send_text(f"You wrote: {text}")
                await members.broadcast(f"Client #{client_id} says: {text}")

    return app


RIGHT = {
    "a manager of its own": with_manager(),
    "gather": with_manager(AtOnce()),
    "queues": with_manager(Queues()),
    "a context manager, and a lifespan": in_a_context(),
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
