"""What the hub keeps for a message, and what its members get."""

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any

from chatlib.core.frames import Content, plain
from chatlib.stores.store import Cursor, Entry, expect_name

After = str | Cursor | Mapping[str, str | Cursor] | None


def body_of(message: Content) -> bytes:
    """Return what is kept for `message`: the end of a JSON object, as `text_of` needs it.

    Raises:
        TypeError, ValueError: it cannot be sent.
    """
    data = plain(message)
    if isinstance(data, bytes):
        return b'"base64":"%s"}' % base64.b64encode(data)
    if isinstance(message, str):
        data = json.dumps(message, ensure_ascii=False)
    return b'"data":%s}' % data.encode()


def text_of(room: str, entry: Entry) -> str:
    """Return what members of `room` get. The body is put behind its id and tag as it is."""
    head = f'{{"type":"message","room":{json.dumps(room)},"id":{entry.id},"tag":"{entry.tag}",'
    return head + entry.body.decode()


def message_of(room: str, entry: Entry) -> dict[str, Any]:
    """Return the same as a dict."""
    message: dict[str, Any] = json.loads(text_of(room, entry))
    return message


def inbox(name: str) -> str:
    """Return the room of a person."""
    return f"@{name}"


def expect_room(room: str) -> None:
    """Raise `ValueError` unless `room` can be the name of a room, and is not that of an inbox."""
    expect_name("room", room)
    if room.startswith("@"):
        raise ValueError(f"expected the name of a room, got that of an inbox: {room!r}")


def cursors_in(after: After, rooms: Sequence[str]) -> dict[str, Cursor]:
    """Return the cursors in what a client says of where it is in `rooms`.

    Raises:
        ValueError: one is none, or there is one for several rooms.
    """
    if after is None:
        return {}
    if not isinstance(after, Mapping):
        if len(rooms) != 1:
            raise ValueError(f"expected a cursor for each room by its name, got {after!r} for all")
        after = {rooms[0]: after}
    return {
        room: Cursor.parse(cursor) if isinstance(cursor, str) else cursor
        for room, cursor in after.items()
    }
