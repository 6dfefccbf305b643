"""What a client of a room gets of a message, whatever has published it."""

import json

from pydantic import ValidationError

from chatlib.core.frames import JSON
from chatlib.core.hub.envelope import head_of, text_of
from chatlib.core.rooms.protocol import Message
from chatlib.stores.store import Entry


def frame_of(room: str, entry: Entry) -> str:
    """Return the frame of a message.

    What no client has said (an app has published it in the room, by its hub) has nobody in `from`.
    Its text is what was published, if that was text; else it is empty.
    """
    text = text_of(room, entry)
    try:
        Message.model_validate_json(text)
    except ValidationError:
        data = json.loads(text).get("data")
        words = data if isinstance(data, str) else ""
        words = words.encode(errors="replace").decode()  # it may have half a character
        message = {"key": entry.key, "from": None, "text": words, "at": 0}
        return head_of(room, entry) + JSON.encode(message)[1:]
    return text
