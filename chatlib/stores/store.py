"""What a store is: a log for each room, and word of what others have added to it.

The ids of a room's messages are 1, 2, 3 … without gaps, and the store gives them. What passes
between processes beside the log is a hint that there is more to read. It may be lost, doubled,
early or late: the ids show each loss, and one `read` repairs it.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, Protocol, Self

Durability = Literal["disk", "second", "memory", "unknown"]
History = Literal["new", "complete", "trimmed", "diverged"]

BODY_BYTES = 1024 * 1024  # the longest body
NAME_CHARACTERS = 200  # the longest name of a room or a person, and the longest key
LIMIT = 200  # how many entries a page has, unless it is asked for another number
BEGINNING = "0" * 8  # the tag of the place before the first message, in each room


class NotKept(Exception):  # noqa: N818 - what became of a message
    """This call has not kept the message, and will not. The text says why.

    One before with the same key, of which it is `Unsure`, may have.
    """


class Unsure(Exception):  # noqa: N818 - what is known of a message
    """The message may be in the log. The same call with the same key tells, and makes it so."""


class Cursor(NamedTuple):
    """A place in the history of a room: `17.a41f09c2`.

    The tag is a fingerprint of all messages up to this one. So a cursor finds out that a log has
    lost its last messages, even when it has as many again since.
    """

    id: int
    tag: str

    def __str__(self) -> str:
        return f"{self.id}.{self.tag}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the cursor that `text` writes.

        Raises:
            ValueError: it is none.
        """
        number, dot, tag = text.partition(".")
        digits = number.isascii() and number.isdecimal() and len(number) <= 15
        if not (dot and digits and len(tag) == 8 and set(tag) <= set("0123456789abcdef")):
            raise ValueError(f"expected a cursor such as 17.a41f09c2, got {text[:40]!r}")
        return cls(int(number), tag)


UNFIT = re.compile("[\0\ud800-\udfff]")
START = Cursor(0, BEGINNING)  # before the first message of any room


class Entry(NamedTuple):
    """A message as it is kept.

    Attributes:
        id: its number in its room.
        tag: the fingerprint of the history up to and with it.
        key: what its sender calls it.
        body: what was appended.
    """

    id: int
    tag: str
    key: str
    body: bytes


class Receipt(NamedTuple):
    """Where a message is kept; `again` if it was before, from a call with the same key."""

    id: int
    tag: str
    again: bool


class Page(NamedTuple):
    """A part of a room's log, as it was at one moment.

    Attributes:
        entries: in the order of their ids, without gaps.
        history: what became of what came after the cursor that was given. `"complete"`: all of it
            is kept, and the entries follow the cursor. `"trimmed"`: the oldest of it is no longer
            kept; the entries are the oldest that are. `"diverged"`: the log is not the one that
            the cursor comes from, it has lost its end or was replaced; the entries are its newest.
            `"new"`: no cursor was given.
        first: the id of the oldest message that is kept, or of the next one if none is.
        head: the place of the newest message.
        before: the place before the entries, or before those that would be there.
    """

    entries: list[Entry]
    history: History
    first: int
    head: Cursor
    before: Cursor


class Ear(Protocol):
    """What listens to a room. A store calls it in the event loop that `hear` was called in."""

    def new(self, entries: Sequence[Entry]) -> None:
        """Take messages that were appended, in this process or another.

        They follow each other. They may come twice or late, and some before them may be missing.
        """

    def head(self, cursor: Cursor) -> None:
        """Take the hint that the log reaches to `cursor`, or beyond."""

    def resync(self) -> None:
        """Take the hint that anything may have been missed, or the log be another one."""

    def people(self) -> None:
        """Take the hint that somebody has come or left."""

    def shout(self, data: bytes) -> None:
        """Take what another process has shouted."""


class Store(Protocol):
    """Keeps the messages of any number of rooms.

    Attributes:
        durable: what a message that is kept survives. `"disk"`: a loss of power. `"second"`: the
            same, save the last second or so. `"memory"`: not the end of the process that holds it.
        lease: for how many seconds the people of a process that has ended are counted still; None:
            they are not.
    """

    @property
    def durable(self) -> Durability: ...

    @property
    def lease(self) -> float | None: ...

    async def open(self) -> None:
        """Get ready. Call it once, before all others.

        Raises:
            OSError: the place cannot be used. The text says in a sentence why.
        """

    async def close(self) -> None:
        """Let go of all that is held. Appends that wait are kept first, or fail."""

    async def append(self, room: str, key: str, body: bytes) -> Receipt:
        """Keep `body`; return where, once that is as `durable` as this store makes it.

        A room keeps one message for a key: another call with the same key changes nothing, and
        returns what the first one did, for as long as the message is kept. Of two calls by one
        task, the first has the lower id. After a cancelled call the message may be kept or not.

        Raises:
            ValueError: a name or the body is too long, or cannot be a name. It is not kept.
            NotKept: it was refused: the disk is full, or the file is locked for too long.
            Unsure: the way to the store failed after the message had left.
        """
        raise NotImplementedError

    async def read(
        self,
        room: str,
        *,
        after: Cursor | None = None,
        before: int | None = None,
        limit: int = LIMIT,
    ) -> Page:
        """Return the `limit` entries that follow `after`, or come last before the id `before`.

        With neither: the newest ones.

        Raises:
            ValueError: both are given, or `room` cannot be a name.
        """
        raise NotImplementedError

    async def heads(self, rooms: Iterable[str]) -> dict[str, Cursor]:
        """Return the place of the newest message of each of `rooms`."""
        raise NotImplementedError

    async def hear(self, room: str, ear: Ear) -> None:
        """Have `ear` told of what happens in `room` from now on, until `unhear`."""

    async def unhear(self, room: str, ear: Ear) -> None:
        """Have `ear` told nothing more of `room`. Harmless if it was not."""

    def shout(self, room: str, data: bytes) -> None:
        """Tell the ears of other processes, at most once, and keep nothing. In any thread."""

    async def enter(self, room: str, name: str) -> None:
        """Note one more connection of the person `name` to `room`."""

    async def leave(self, room: str, name: str) -> None:
        """Note one connection less."""

    async def people(self, room: str) -> dict[str, int]:
        """Return who is connected to `room`, in all living processes, and how often."""
        raise NotImplementedError

    async def check(self) -> None:
        """Prove the way to the store and back. It writes nothing.

        Raises:
            OSError: it does not answer as it should. The text says in a sentence why.
        """


def next_tag(tag: str, body: bytes) -> str:
    """Return the tag of a message that follows one with `tag`."""
    digest = hashlib.sha1(tag.encode("ascii") + body, usedforsecurity=False)
    return digest.hexdigest()[:8]


def expect_message(room: str, key: str, body: bytes) -> None:
    """Raise `ValueError` unless a store can keep this."""
    expect_name("room", room)
    expect_name("key", key)
    if not isinstance(body, bytes):
        raise TypeError(f"expected the body as bytes, got {type(body).__name__}")
    if len(body) > BODY_BYTES:
        raise ValueError(f"expected a body of at most {BODY_BYTES} bytes, got {len(body)}")


def expect_part(room: str, after: Cursor | None, before: int | None) -> None:
    """Raise `ValueError` unless a store can be asked for this part of a log."""
    expect_name("room", room)
    if after is not None and before is not None:
        raise ValueError(f"expected `after` or `before`, got both: {after} and {before}")


def expect_name(what: str, name: str) -> None:
    """Raise `ValueError` unless `name` can be the name of a room or a person, or a key."""
    if not isinstance(name, str):
        raise TypeError(f"expected the {what} as text, got {type(name).__name__}")
    if not 0 < len(name) <= NAME_CHARACTERS:
        raise ValueError(f"expected a {what} of 1 to {NAME_CHARACTERS} characters, got {len(name)}")
    if not (name.isascii() and name.isprintable()) and UNFIT.search(name):
        raise ValueError(f"expected a {what} that UTF-8 can express, without NUL: {name!r}")
