"""Apps that keep the contracts but for one mistake, which is named in a call."""

from typing import Annotated

from fastapi import Cookie, FastAPI, Query, Response, WebSocket, WebSocketDisconnect
from fastapi import WebSocketException as Refusal

from chatlib import ConnectionManager, Guard, receive_text
from chatlib.core.pages import add_page


class Hermit:
    """Middleware that lets in no browser at all, the visitor's own page included."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        if any(name == b"origin" for name, _ in scope.get("headers", ())):
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await self.app(scope, receive, send)


def new_app(page, wrong):
    """Return an app with a page and a guard, unless one of these is what is wrong."""
    app = FastAPI()
    if wrong == "bare page":

        @app.get("/")
        def bare_page() -> Response:
            return Response("<!DOCTYPE html><title>Chat</title>", media_type="text/html")

    elif wrong == "page of plain text":

        @app.get("/")
        def plain_page() -> Response:
            return Response("<!DOCTYPE html>", media_type="text/plain")

    elif wrong != "no page":
        add_page(app, page)
    if wrong != "no guard" and page != "echo":
        app.add_middleware(Hermit if wrong == "hermit" else Guard)
    return app


async def converse(websocket, members, answer, wrong):
    """Answer each text by `answer(text)`, until the client leaves."""
    members.append(websocket)
    try:
        while True:
            binary = wrong == "takes text for granted"
            await answer(await (websocket.receive_text() if binary else receive_text(websocket)))
    except WebSocketDisconnect as gone:
        if wrong == "lets it escape":
            raise
        if wrong in {"one out, all out", f"one out by {gone.code}, all out"}:
            for member in members:
                if member is not websocket:
                    await member.close(1001)
    finally:
        members.remove(websocket)


def echo(wrong=None):
    app, members = new_app("echo", wrong), []

    @app.websocket("/elsewhere" if wrong == "another path" else "/ws")
    async def endpoint(websocket: WebSocket):
        async def answer(text):
            words = text if wrong == "other words" else f"Message text was: {text}"
            for member in members if wrong == "answers all" else [websocket]:
                await member.send_text(words)

        await websocket.accept()
        await converse(websocket, members, answer, wrong)

    return app


def items(wrong=None):
    app, members = new_app("items", wrong), []
    number = str if wrong == "any q" else int

    @app.websocket("/elsewhere" if wrong == "another path" else "/items/{item}/ws")
    async def endpoint(
        websocket: WebSocket,
        item: str,
        session: Annotated[str | None, Cookie()] = None,
        token: Annotated[str | None, Query()] = None,
        q: number | None = None,
    ):
        async def answer(text):
            said = [
                f"Session cookie or query token value is: {credential}",
                *([f"Query parameter q is: {q}"] if told else []),
                f"Message text was: {text}, for item ID: {item}",
            ]
            for line in reversed(said) if wrong == "another order" else said:
                for member in members if wrong == "answers all" else [websocket]:
                    await member.send_text(line)

        told = q if wrong == "0 is no number" else q is not None
        if wrong == "no cookies":
            session = None
        credential = session or token
        if wrong == "the token wins":
            credential = token or session
        if wrong == "an empty cookie is one" and session is not None:
            credential = session
        if not credential and wrong != "open to all":
            raise Refusal(1008)
        await websocket.accept()
        await converse(websocket, members, answer, wrong)

    return app


def chat(wrong=None):
    app, members, manager = new_app("chat", wrong), [], ConnectionManager()
    by_id = {}
    number = str if wrong == "any id" else int

    async def broadcast(text):
        if wrong == "one connection an id":
            for member in list(by_id.values()):
                await member.send_text(text)
        elif wrong != "no broadcast":
            await manager.broadcast(text)

    @app.websocket("/elsewhere" if wrong == "another path" else "/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: number):
        async def answer(text):
            personal = manager.send_personal_message(f"You wrote: {text}", websocket)
            if wrong == "another order":
                await broadcast(f"Client #{client_id} says: {text}")
                await personal
            else:
                await personal
                await broadcast(f"Client #{client_id} says: {text}")

        await manager.connect(websocket)
        by_id[client_id] = websocket
        await converse(websocket, members, answer, wrong)
        manager.disconnect(websocket)
        if by_id.get(client_id) is websocket:
            del by_id[client_id]
        if wrong != "leaves in silence":
            await broadcast(f"Client #{client_id} left the chat")

    return app
