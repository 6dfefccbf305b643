"""Who is in a room, as its members are told: at first all names, then the differences."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

from chatlib.core.log import log_of
from chatlib.stores.store import Store

PAUSE_SECONDS = 0.25  # at least, between two differences
# After a fault, until who is not there counts as having left: other processes may be about to say
# again who is connected to them.
DOUBT_SECONDS = 3.0
AGAIN_SECONDS = 1.0  # until people that could not be read are asked for again
NAMES = 200  # in a room with more people, only their number is told


class Presence:
    """The people of one room.

    Args:
        room: its name.
        store: where they are counted.
        post: gives a frame's text to the members.

    Attributes:
        told: the names that the members know of.
        telling: the task that tells them who has come and left; None: there was none yet.
    """

    def __init__(self, room: str, store: Store, post: Callable[[str], None]) -> None:
        self.room = room
        self.store = store
        self.post = post
        self.told: frozenset[str] = frozenset()
        self._changed = False
        self._doubt = False
        self.telling: asyncio.Task[None] | None = None

    async def load(self) -> None:
        """Find out who is there; `OSError` if that cannot be read."""
        self.told = frozenset(await self.store.people(self.room))

    def resync(self) -> None:
        """Take the hint that anything may have changed."""
        self._doubt = True
        self.change()

    def change(self) -> None:
        """Take the hint that somebody has come or left."""
        self._changed = True
        if self.telling is None or self.telling.done():
            self.telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        failed = False
        while self._changed:
            self._changed = False
            try:
                names = frozenset(await self.store.people(self.room))
            except OSError as error:
                if not failed:
                    what = "the people of room %r cannot be read: %s"
                    log_of(room=self.room).warning(what, self.room, error)
                failed = self._changed = True
                await asyncio.sleep(AGAIN_SECONDS)
                continue
            gone = self.told - names if self._doubt else frozenset()
            self._doubt = False
            names |= gone
            if names != self.told:
                before, self.told = self.told, names
                self.post(self.difference(before))
            if gone:  # looked for once more
                self._changed = True
            await asyncio.sleep(DOUBT_SECONDS if gone else PAUSE_SECONDS)

    def difference(self, before: frozenset[str]) -> str:
        """Return the frame that tells who has come and left since `before`.

        In a room with too many people names are forgotten; once there are fewer, all have joined.
        """
        known = before if len(before) <= NAMES else frozenset()
        many = len(self.told) > NAMES
        return json.dumps(
            {
                "type": "people",
                "room": self.room,
                "joined": [] if many else sorted(self.told - known),
                "left": [] if many else sorted(known - self.told),
                "count": len(self.told),
            },
            ensure_ascii=False,
        )

    def welcome(self) -> dict[str, Any]:
        """Return what a newcomer is told: the names, or None if they are many; and how many."""
        names = sorted(self.told) if len(self.told) <= NAMES else None
        return {"people": names, "count": len(self.told)}
