"""One connection to one room: what its client says is kept, and answered."""

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import WebSocket, WebSocketDisconnect

from chatlib.core.frames import JSON
from chatlib.core.hub.envelope import inbox_of
from chatlib.core.hub.hub import Hub
from chatlib.core.log import Seldom
from chatlib.core.messages import receive_text
from chatlib.core.rate import Bucket
from chatlib.core.rooms.protocol import (
    EXAMPLE,
    FRAME_BYTES,
    TEXT_CHARACTERS,
    BadFrameError,
    Code,
    Say,
    parse,
)
from chatlib.stores.store import NotKept, Receipt, Unsure

TYPING_SECONDS = 1.0  # between two that are passed on
FLOOD = 5  # times as many frames as messages are allowed close a connection
TRY_SECONDS = 1.0  # after which a message that was not kept may be sent again


@dataclass(frozen=True)
class Limits:
    """How much a client may do.

    Attributes:
        messages: that a connection, or a name over HTTP, may say in `seconds`.
        seconds: see there.
        connections_per_name: in each process.
        connections: in each process.
        frame_bytes: of a frame.
    """

    messages: int = 20
    seconds: float = 10.0
    connections_per_name: int = 20
    connections: int = 10_000
    frame_bytes: int = FRAME_BYTES

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not value > 0:
                raise ValueError(f"expected {name} above 0, got {value!r}")

    def bucket(self, times: int = 1) -> Bucket:
        """Return what counts messages, or `times` as many frames."""
        return Bucket(times * self.messages / self.seconds, self.seconds)


class NobodyError(Exception):
    """There is no such person to write to."""


class Rooms:
    """What a client may do in the rooms of a hub, over a WebSocket or HTTP.

    Args:
        hub: whose rooms.
        known: says whether there is a person of a name; None: whoever is in the room or has an
            inbox.
        limits: for each client.
        retry: over how many milliseconds clients come back after a restart.
    """

    def __init__(
        self,
        hub: Hub,
        known: Callable[[str], Awaitable[bool]] | None,
        limits: Limits,
        retry: int,
    ) -> None:
        self.hub = hub
        self.known = known
        self.limits = limits
        self.retry = retry
        self._lines = Seldom()

    def unreadable(self, error: OSError, **about: object) -> str:
        """Log that the store cannot be used, and return what a client is told of that.

        `about` says of which room it is, and for which connection: see `chatlib.core.log`.
        """
        about = {"room": None, **about}
        self._lines.warning("unreadable", "the store cannot be used: %s", error, **about)
        return "the store cannot be used just now"

    async def keep(
        self, room: str, sender: str, key: str, text: str, to: str | None
    ) -> tuple[str, Receipt]:
        """Keep what `sender` says; return in which room, and where.

        Raises:
            NobodyError: there is no person `to`.
            NotKept, Unsure: as `Store.append`.
        """
        said = {"key": key, "from": sender, "text": text, "at": time.time_ns() // 1_000_000}
        if to is not None:
            await self._expect_known(to, room)
            said["to"] = to
        body = JSON.encode(said)[1:].encode()
        name = f"{sender}:{key}"
        try:
            if to is None or to == sender:
                place = room if to is None else inbox_of(sender)
                return place, await self.hub.append(place, name, body)
            await self.hub.append(inbox_of(to), name, body)
            # One's own inbox comes last: its receipt says that both are kept.
            return inbox_of(sender), await self._append_too(inbox_of(sender), name, body)
        except (NotKept, Unsure) as error:
            what = "a message is not kept, or may not be: %s"
            self._lines.warning("not kept", what, error, room=room)
            raise

    async def _append_too(self, room: str, key: str, body: bytes) -> Receipt:
        """Append what another room has already; `Unsure` if that fails."""
        try:
            return await self.hub.append(room, key, body)
        except NotKept as error:
            raise Unsure(f"it is in one inbox, and not yet in yours: {error}") from error

    async def _expect_known(self, name: str, room: str) -> None:
        """Raise `NobodyError` if there is no such person; `NotKept` if nobody can say."""
        try:
            known = await self._knows(name, room)
        except OSError as error:
            raise NotKept(self.unreadable(error, room=room)) from error
        if not known:
            raise NobodyError(f"there is no {name} here, and {name} has had no message yet")

    async def _knows(self, name: str, room: str) -> bool:
        if self.known is not None:
            return await self.known(name)
        inbox = inbox_of(name)
        if name in await self.hub.people(room) or await self.hub.people(inbox):
            return True
        return (await self.hub.store.heads([inbox]))[inbox].id > 0


class Talk:
    """A connection that has been accepted, of a client that may be in the room.

    Args:
        rooms: what it may do.
        websocket: the connection.
        room: the name, or the inbox of `name`.
        name: of the person.
    """

    def __init__(self, rooms: Rooms, websocket: WebSocket, room: str, name: str) -> None:
        self.rooms = rooms
        self.websocket = websocket
        self.room = room
        self.name = name
        self.private = room == inbox_of(name)
        self._messages = rooms.limits.bucket()
        self._frames = rooms.limits.bucket(FLOOD)
        self._typing = Bucket(1 / TYPING_SECONDS)
        self._gone = False

    def welcome(self) -> dict[str, object]:
        """Return what the welcome says besides what the hub's does."""
        limits = {"text": TEXT_CHARACTERS, "frame": self.rooms.limits.frame_bytes}
        return {"you": self.name, "retry": self.rooms.retry, "max": limits}

    async def listen(self) -> None:
        """Do what the client says until it has gone, which raises `WebSocketDisconnect`."""
        while True:
            text = await self._receive()
            if not self._frames.take():
                if not self._gone:
                    await self.websocket.close(1013, "too many messages: wait, then come back")
                raise WebSocketDisconnect(1013)
            try:
                frame = parse(text)
            except BadFrameError as error:
                await self._refuse(error.code, str(error), key=error.key, expected=EXAMPLE)
                continue
            if isinstance(frame, Say):
                await self._say(frame)
            elif self.private:
                await self._refuse("not_allowed", "nobody else is in your inbox to see you type")
            elif self._typing.take():
                typing = {"type": "typing", "room": self.room, "from": self.name}
                self.rooms.hub.shout(self.room, typing)

    async def _say(self, say: Say) -> None:
        key = say.key
        if self.private and say.to is None:
            why = "in your inbox, `to` says whom you write to"
            await self._refuse("bad_message", why, key=key)
            return
        if not self._messages.take():
            limits = self.rooms.limits
            why = f"at most {limits.messages} messages in {limits.seconds:g} seconds"
            await self._refuse("slow_down", why, key=key, wait=self._messages.wait())
            return
        try:
            room, receipt = await self.rooms.keep(self.room, self.name, key, say.text, say.to)
        except NobodyError as error:
            await self._refuse("nobody", str(error), key=key)
        except NotKept as error:
            await self._refuse("try_again", str(error), key=key, wait=TRY_SECONDS)
        except Unsure as error:
            await self._refuse("unsure", str(error), key=key, wait=TRY_SECONDS)
        else:
            await self._send({"type": "ack", "room": room, "key": key, **receipt._asdict()})

    async def _refuse(
        self,
        code: Code,
        text: str,
        *,
        key: str | None = None,
        wait: float | None = None,
        expected: str | None = None,
    ) -> None:
        """Tell the client that what it sent was not done; with `wait`, that it may come again."""
        more = {"key": key, "wait": wait, "expected": expected}
        error = {"code": code, "text": text, "retry": wait is not None}
        error |= {name: value for name, value in more.items() if value is not None}
        await self._send({"type": "error", "room": self.room, **error})

    async def _receive(self) -> str:
        """Return the next message; once the client has gone, as long as it had said more."""
        if not self._gone:
            return await receive_text(self.websocket)
        message = await self.websocket.receive()
        text: str | None = message.get("text")
        if text is None:
            raise WebSocketDisconnect(message.get("code", 1005))
        return text

    async def _send(self, frame: dict[str, object]) -> None:
        """Answer. Nothing is raised if the client has gone: `_receive` tells how it left."""
        if not self._gone:
            try:
                await self.websocket.send_text(JSON.encode(frame))
            except WebSocketDisconnect:
                self._gone = True
