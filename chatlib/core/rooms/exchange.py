"""An example of the protocol: what goes over the wire when somebody says something."""

from pydantic import BaseModel

from chatlib.core.frames import JSON
from chatlib.core.rooms.protocol import Ack, Message, Say
from chatlib.stores.store import Cursor, next_tag

BEFORE = Cursor(17, "a41f09c2")  # the message that the room had before


def exchange() -> dict[str, str]:
    """Return the frames `say`, `ack` and `message`, in this order, each by its type."""
    say = Say(type="say", key="k1", text="hello")
    place = {"room": "lobby", "id": BEFORE.id + 1}
    said = {"key": say.key, "from": "ana", "text": say.text, "at": 1_767_225_600_000}
    tag = next_tag(BEFORE.tag, JSON.encode(said)[1:].encode())
    ack = Ack.model_validate({"type": "ack", "key": say.key, "tag": tag, "again": False, **place})
    message = Message.model_validate({"type": "message", "tag": tag, **place, **said})
    return {frame.type: encoded(frame) for frame in (say, ack, message)}


def encoded(frame: BaseModel) -> str:
    """Return a frame as it goes over the wire."""
    return JSON.encode(frame.model_dump(by_alias=True, exclude_none=True))
