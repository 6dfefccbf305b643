"""What the hub keeps for a message, and what its members get."""

import base64
import json
from collections.abc import Mapping, Sequence

from chatlib.core.frames import Content, plain
from chatlib.stores.store import Cursor, Entry, expect_name

HEAD = {"type", "room", "id", "tag"}


def refuse(constant: str) -> None:
    """Refuse NaN and Infinity, which Python takes for JSON and browsers do not."""
    raise ValueError(f"{constant} is no JSON")


STRICT = json.JSONDecoder(parse_constant=refuse)

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
    """Return what members of `room` get. The body is put behind its id and tag as it is.

    A body that cannot be put there was damaged, or is another program's. Its place is told all the
    same: members would wait for it without end.
    """
    return head_of(room, entry) + (
        '"unreadable":true}' if is_damaged(entry) else entry.body.decode()
    )


def head_of(room: str, entry: Entry) -> str:
    """Return how each message begins."""
    return f'{{"type":"message","room":{json.dumps(room)},"id":{entry.id},"tag":"{entry.tag}",'


def is_damaged(entry: Entry) -> bool:
    """Return whether the body is not the end of a JSON object, or has a field of the head's."""
    try:
        fields = STRICT.decode("{" + entry.body.decode())
    except (ValueError, RecursionError):
        return True
    return not HEAD.isdisjoint(fields)


def expect_room(room: str) -> None:
    """Raise `ValueError` if `room` is no name of a room for all. Such names come from clients."""
    expect_name("room", room)
    if room.startswith("@"):
        raise ValueError(f"expected a room, got {room!r}: what begins with @ is a person's inbox")


def inbox_of(name: str) -> str:
    """Return the room of a person; `ValueError` if `name` is none."""
    expect_name("name", name)
    expect_name("name", room := f"@{name}")  # a room's name has to have room for it
    return room


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
        room: cursor if isinstance(cursor, Cursor) else Cursor.parse(str(cursor))
        for room, cursor in after.items()
    }
