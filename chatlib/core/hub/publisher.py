"""Publishing in rooms of a store: all of a hub that needs no WebSocket."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from typing import Any, Self

from chatlib.core.frames import Content
from chatlib.core.hub.appends import Appends
from chatlib.core.hub.envelope import body_of, expect_room, inbox_of, text_of
from chatlib.stores import store_at
from chatlib.stores.store import Entry, Receipt, Store


class Publisher:
    """Publishes in the rooms of a store: for a process that serves no WebSockets, such as a script.

        async with Publisher("sqlite:///app.db") as publisher:
            await publisher.publish("orders", {"item": "tea"})

    It belongs to the event loop in which it is opened, except for `publish_from_thread`.

    Args:
        store: an address, as `store_at` takes it, or a store.

    Attributes:
        render: makes the text that members get, of a room and an entry of its log. It never raises.
        appends: what became of what was published, and how long that took.
    """

    def __init__(self, store: str | Store) -> None:
        self.render: Callable[[str, Entry], str] = text_of
        self.store = store_at(store) if isinstance(store, str) else store
        self.appends = Appends()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def __aenter__(self) -> Self:
        """Open the store.

        Raises:
            OSError: it cannot be used. The text says why.
        """
        await self.store.open()
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        self._loop = None
        await self.store.close()

    @property
    def is_open(self) -> bool:
        """Whether it can publish: it has been opened, and not closed since."""
        return self._loop is not None

    def _expect_open(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            raise RuntimeError(
                "the hub is not open: write FastAPI(lifespan=hub.lifespan), or `async with hub:`; "
                "and in a test, `with TestClient(app) as client:`"
            )
        return self._loop

    async def publish(self, room: str, message: Content, *, key: str | None = None) -> Receipt:
        """Keep `message` in `room`; return where, once it is kept as durably as the store keeps it.

        Args:
            room: any name of 1 to 200 characters that does not begin with `@`.
            message: text, bytes, what JSON can express, or a Pydantic model.
            key: what the caller calls it. The same key again changes nothing: so a call that failed
                with `Unsure`, or whose answer was lost, can be made again.

        Raises:
            TypeError, ValueError: it cannot be sent, or is too long, or `room` or `key` is no name.
            RuntimeError: the hub is not open.
            chatlib.stores.NotKept: this call has not kept it, and will not.
            chatlib.stores.Unsure: it may be kept.

        To cancel the call leaves the same doubt as `Unsure`: the message may be kept or not.
        """
        expect_room(room)
        return await self._publish(room, message, key)

    async def _publish(self, room: str, message: Content, key: str | None) -> Receipt:
        self._expect_open()
        key = new_key() if key is None else key
        return await self.append(room, key, body_of(message))

    async def append(self, room: str, key: str, body: bytes) -> Receipt:
        """Keep `body` as it is, as `Store.append` does, and count it in `appends`.

        It does not look whether the hub is open.
        """
        return await self.appends.append(self.store, room, key, body)

    def publish_from_thread(
        self, room: str, message: Content, *, key: str | None = None
    ) -> Receipt:
        """Do as `publish`, from another thread: a `def` route, say. It blocks until that is done.

        Raises:
            RuntimeError: the hub is not open, or this is its own thread, where it would block what
                it waits for: `await hub.publish(…)` there.
        """
        loop = self._expect_open()
        if asyncio._get_running_loop() is loop:
            raise RuntimeError("this is the event loop of the hub: await hub.publish(…) here")
        publishing = self.publish(room, message, key=key)
        return asyncio.run_coroutine_threadsafe(publishing, loop).result()

    async def send_to(self, name: str, message: Content, *, key: str | None = None) -> Receipt:
        """Do as `publish`, for the inbox of a person, which all connections with that name hear."""
        return await self._publish(inbox_of(name), message, key)

    async def read(
        self, room: str, *, before: int | None = None, limit: int = 50
    ) -> list[dict[str, Any]]:
        """Return the newest messages of `room`, or those before an id, as members get them."""
        self._expect_open()
        expect_room(room)
        page = await self.store.read(room, before=before, limit=limit)
        return [json.loads(self.render(room, entry)) for entry in page.entries]

    async def people(self, room: str) -> dict[str, int]:
        """Return who is in `room`, in all processes, and with how many connections."""
        self._expect_open()
        return await self.store.people(room)


def new_key() -> str:
    """Return a key that no other message has.

    It begins with the time, so that an index of keys grows at its end: that costs a store less
    than random places do.
    """
    return f"{time.time_ns():016x}-{secrets.token_hex(8)}"
