"""What the hub keeps for a message, and what its members get."""

import base64
import json
from collections.abc import Mapping
from typing import Any

from chatlib.core.frames import Content, plain
from chatlib.stores.store import Cursor, Entry

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


def cursor_in(after: After, room: str) -> Cursor | None:
    """Return the cursor for `room` in what a client says.

    Raises:
        ValueError: it is none.
    """
    found = after.get(room) if isinstance(after, Mapping) else after
    return Cursor.parse(found) if isinstance(found, str) else found
