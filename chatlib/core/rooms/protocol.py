"""The protocol `chatlib.rooms.1`: what a client of a room may say, and what it is told.

Frames are text, each a JSON object, and `type` says which. A field that is not listed is an error
in what a client sends. In what it gets, it has to be ignored: there may be more one day.
"""

import json
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from chatlib.core.rooms.names import NAME_CHARACTERS, expect_person

SUBPROTOCOL = "chatlib.rooms.1"
TEXT_CHARACTERS = 4000
FRAME_BYTES = 16 * 1024
FIELD_CHARACTERS = 80  # of the name of a wrong field, which the client has chosen
KEY_PATTERN = r"^[A-Za-z0-9_-]{1,64}$"

UNAUTHENTICATED = 4401
FORBIDDEN = 4403
CHANGED = 4409
# What a client does after each close code.
CLOSES = {
    1000: "You have left.",
    1001: "You have left, or the server is going away. Come back if you have not left.",
    1002: "You sent what is no WebSocket frame. Do not come back with the same.",
    1003: "You sent a binary message. Do not come back with the same.",
    1006: "No close frame came: the network was cut, or you read too slowly. Come back at once, "
    "then back off.",
    1007: "You sent text that is not UTF-8. Do not come back with the same.",
    1008: "What you asked for cannot be: the reason says what. Do not come back with the same.",
    1009: "You sent a frame of more bytes than `max` in the welcome says. Do not send it again.",
    1011: "The server has failed. Come back, and back off.",
    1012: "The server restarts. Come back after a random part of `retry` milliseconds.",
    1013: "Too many connections or messages. Back off, from 5 seconds on.",
    UNAUTHENTICATED: "Your token is missing, wrong or expired. Get a new one, then come back.",
    FORBIDDEN: "You may not be in this room. Do not come back.",
    CHANGED: "The history of the room has changed. Come back with your cursor, and be told.",
}


Key = Annotated[str, Field(pattern=KEY_PATTERN, description="what you call this message")]
Person = Annotated[
    str,
    AfterValidator(expect_person),
    Field(min_length=1, max_length=NAME_CHARACTERS, description="a person's name"),
]
Text = Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS)]
Room = Annotated[str, Field(description="the room, or `@` and your name for your inbox")]
Id = Annotated[int, Field(ge=0, description="ids of a room are 1, 2, 3 … without gaps")]
Tag = Annotated[str, Field(pattern="^[0-9a-f]{8}$", description="a fingerprint of the history")]
Milliseconds = Annotated[int, Field(ge=0)]


class Up(BaseModel):
    """What a client sends."""

    model_config = ConfigDict(extra="forbid", strict=True)


class Down(BaseModel):
    """What a client gets."""

    model_config = ConfigDict(populate_by_name=True)


class Say(Up):
    """Say something in the room; or, with `to`, to one person: it goes to your inbox and to theirs.

    The same key again says it once.
    """

    type: Literal["say"]
    key: Key
    text: Text
    to: Person | None = None


class Types(Up):
    """You are typing. At most one a second is passed on."""

    type: Literal["typing"]


class Limits(Down):
    """The longest text, in characters, and the biggest frame, in bytes, that you may send."""

    text: int
    frame: int


class Welcome(Down):
    """The first frame, once. The messages that follow `after` come next, up to `head`, then more.

    `history` says what became of what you had missed. `complete`: all of it follows your cursor.
    `trimmed`: the oldest of it is no longer kept; what is kept follows. `diverged`: your cursor is
    of a history that is no more; the newest messages follow. `new`: you gave no cursor.
    """

    type: Literal["welcome"]
    room: Room
    you: Person
    history: Literal["new", "complete", "trimmed", "diverged"]
    after: Annotated[str, Field(description="the cursor before the first message that follows")]
    head: Id
    people: Annotated[list[str] | None, Field(description="null in a room of more than 200")]
    count: int
    beat: Annotated[float, Field(description="seconds from one beat to the next")]
    retry: Annotated[Milliseconds, Field(description="milliseconds, over which you come back")]
    max: Limits


class Message(Down):
    """A message that the log has. Your cursor is `{id}.{tag}` from now on.

    One that an app has published, and no client said, has nobody in `from`.
    """

    type: Literal["message"]
    room: Room
    id: Id
    tag: Tag
    key: str
    sender: Annotated[Person | None, Field(alias="from")]
    text: str
    at: Annotated[Milliseconds, Field(description="Unix time in milliseconds; 0: unknown")]
    to: Annotated[Person | None, Field(description="if it was said to one person")] = None


class Ack(Down):
    """Your message is in the log, as durably as `/healthz` says; `again`: it was already.

    It may come before the message itself, or after it.
    """

    type: Literal["ack"]
    room: Room
    key: str
    id: Id
    tag: Tag
    again: bool


Code = Literal[
    "bad_json",
    "bad_message",
    "too_long",
    "slow_down",
    "not_allowed",
    "nobody",
    "try_again",
    "unsure",
]


class Error(Down):
    """What you sent was not done; `retry`: send it again with the same key, after `wait` seconds.

    `bad_json`, `bad_message`, `too_long`: it is not as described here. `slow_down`: too many.
    `not_allowed`: not here. `nobody`: there is no such person to write to. `try_again`: it is not
    kept. `unsure`: it may be kept.
    """

    type: Literal["error"]
    room: Room
    code: Code
    text: str
    retry: Annotated[bool, Field(description="whether to send it again")]
    key: Annotated[str | None, Field(description="of the message that it is about")] = None
    wait: Annotated[float | None, Field(description="seconds, before that")] = None
    expected: Annotated[str | None, Field(description="an example")] = None


class People(Down):
    """Who has come and left since you were told last. Above 200, only `count` is told."""

    type: Literal["people"]
    room: Room
    joined: list[str]
    left: list[str]
    count: int


class Typing(Down):
    """Somebody is typing: for 4 seconds, or until their next message. It may get lost."""

    type: Literal["typing"]
    room: Room
    sender: Annotated[Person, Field(alias="from")]


class Beat(Down):
    """It comes in its place among the messages. If you are not at `head`, you missed something."""

    type: Literal["beat"]
    room: Room
    head: Id


UP = (Say, Types)
DOWN = (Welcome, Message, Ack, Error, People, Typing, Beat)
EXAMPLE = '{"type": "say", "key": "k1", "text": "hello"} or {"type": "typing"}'
_up: TypeAdapter[Say | Types] = TypeAdapter(Annotated[Say | Types, Field(discriminator="type")])


class BadFrameError(ValueError):
    """What a client sent is not of the protocol.

    Attributes:
        code: `bad_json`, `bad_message` or `too_long`.
        key: of the message, if it had one.
    """

    def __init__(self, code: Code, text: str, key: str | None) -> None:
        super().__init__(text)
        self.code = code
        self.key = key


def parse(text: str) -> Say | Types:
    """Return what a client said.

    Raises:
        BadFrameError: it is not of the protocol.
    """
    try:
        return _up.validate_json(text)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_input=False)[0]
    if fault["type"] == "json_invalid":
        raise BadFrameError("bad_json", f"expected a JSON object: {fault['msg']}", None)
    where = ".".join(map(str, fault["loc"][1:]))[:FIELD_CHARACTERS]  # the first is the type
    too_long = fault["type"] == "string_too_long" and where == "text"
    if fault["type"].startswith("union_tag"):
        why = "expected the type say or typing"
    else:
        why = fault["msg"].removeprefix("Value error, ")
        why = f"{where}: {why}" if where else why
    raise BadFrameError("too_long" if too_long else "bad_message", why, key_in(text))


def key_in(text: str) -> str | None:
    """Return the key in a frame that is not of the protocol, if there is one."""
    frame: Any = json.loads(text)
    key = frame.get("key") if isinstance(frame, dict) else None
    return key if isinstance(key, str) and re.fullmatch(KEY_PATTERN, key) else None
