"""The rooms over HTTP: say, read, and see who is there."""

import json
import math
import secrets
from collections.abc import Awaitable
from typing import Annotated, TypeVar

from fastapi import Depends, FastAPI, Header, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from chatlib.core.hub.envelope import inbox_of
from chatlib.core.hub.feed import PAGE
from chatlib.core.hub.presence import NAMES
from chatlib.core.rate import Buckets
from chatlib.core.rooms.entrance import LAST, Entrance, RefusedError
from chatlib.core.rooms.identity import BadTokenError, Claim
from chatlib.core.rooms.message import frame_of
from chatlib.core.rooms.names import MINE
from chatlib.core.rooms.protocol import FORBIDDEN, Key, Message, Person, Text
from chatlib.core.rooms.talk import NobodyError, Rooms
from chatlib.stores.store import NotKept, Unsure

RETRY_SECONDS = 1.0
STATUS = {FORBIDDEN: 403}  # of a close code; 422 for the others
T = TypeVar("T")


class Post(BaseModel):
    """A message to say. `key` may be in the header `Idempotency-Key` instead."""

    model_config = {"extra": "forbid"}

    text: Text
    key: Key | None = None
    to: Person | None = None


class Posted(BaseModel):
    """Where a message is kept; `again` if it was already."""

    room: str
    key: str
    id: int
    tag: str
    again: bool


class Past(BaseModel):
    """A part of a room's history.

    `first` is the id of the oldest message that is kept, `head` that of the newest one, and `more`
    says whether there are older ones than these.
    """

    messages: list[Message]
    first: int
    head: int
    more: bool


class Present(BaseModel):
    """Who is in a room, in all processes; above 200, only how many."""

    people: list[str] | None
    count: int


class Me(BaseModel):
    """Who is signed in, and until when, in seconds of Unix time."""

    name: str
    expires: float


def add_routes(app: FastAPI, entrance: Entrance) -> None:
    """Add the routes to `app`. Who may come in at `entrance` may use them."""
    rooms = entrance.rooms
    hub = rooms.hub
    buckets = Buckets(rooms.limits.bucket)

    def signed_in(request: Request) -> Claim:
        try:
            return entrance.tokens.of(request)
        except BadTokenError as error:
            challenge = {"WWW-Authenticate": "Bearer"}
            raise HTTPException(401, str(error), headers=challenge) from None

    Caller = Annotated[Claim, Depends(signed_in)]  # noqa: N806 - a type

    async def open_to(room: str, caller: Caller) -> str:
        """Return the name in the store of the room that `caller` asks for."""
        try:
            await entrance.may(caller.name, room)
        except RefusedError as refused:
            raise HTTPException(STATUS.get(refused.code, 422), str(refused)) from None
        return inbox_of(caller.name) if room == MINE else room

    Open = Annotated[str, Depends(open_to)]  # noqa: N806 - a type

    @app.get("/me")
    def me(caller: Caller) -> Me:
        return Me(name=caller.name, expires=caller.expires)

    @app.post("/rooms/{room}/messages", status_code=201, response_model=Posted)
    async def post(
        post: Post,
        name: Open,
        caller: Caller,
        response: Response,
        idempotency_key: Annotated[Key | None, Header()] = None,
    ) -> Posted:
        if name == inbox_of(caller.name) and post.to is None:
            raise HTTPException(422, "in your inbox, `to` says whom you write to")
        bucket = buckets.of(caller.name)
        if not bucket.take():
            most = f"at most {rooms.limits.messages} messages in {rooms.limits.seconds:g} seconds"
            raise later(429, most, bucket.wait())
        key = post.key or idempotency_key or secrets.token_hex(16)
        try:
            where, receipt = await rooms.keep(name, caller.name, key, post.text, post.to)
        except NobodyError as error:
            raise HTTPException(422, str(error)) from None
        except (NotKept, Unsure) as error:
            unsure = "it may be kept; the same key again tells: " * isinstance(error, Unsure)
            raise later(503, f"{unsure}{error}") from None
        response.status_code = 200 if receipt.again else 201
        return Posted(room=where, key=key, **receipt._asdict())

    @app.get("/rooms/{room}/messages", response_model=Past)
    async def past(
        name: Open,
        before: Annotated[int | None, Query(ge=1, le=2**53)] = None,
        limit: Annotated[int, Query(ge=1, le=PAGE)] = LAST,
    ) -> JSONResponse:
        page = await answered(rooms, name, hub.store.read(name, before=before, limit=limit))
        messages = [json.loads(frame_of(name, entry)) for entry in page.entries]
        oldest = page.entries[0].id if page.entries else page.first
        more = bool(page.entries) and oldest > page.first
        past = {"messages": messages, "first": page.first, "head": page.head.id, "more": more}
        return JSONResponse(past)

    @app.get("/rooms/{room}/people")
    async def people(name: Open) -> Present:
        names = sorted(await answered(rooms, name, hub.people(name)))
        return Present(people=names if len(names) <= NAMES else None, count=len(names))


async def answered(rooms: Rooms, room: str, question: Awaitable[T]) -> T:
    """Return what the store answers about `room`; HTTP 503 if it cannot."""
    try:
        return await question
    except OSError as error:
        raise later(503, rooms.unreadable(error, room=room)) from None


def later(status: int, why: str, seconds: float = RETRY_SECONDS) -> HTTPException:
    """Return what says that the same request may work in so many seconds."""
    return HTTPException(status, why, headers={"Retry-After": str(math.ceil(seconds))})
