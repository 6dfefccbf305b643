"""Frames of the protocol `chatlib.rooms.1` in a few words, as a trace shows them.

Tags are left out: they depend on when a message was said.
"""

import json
import re
from collections.abc import Callable
from typing import Any

from chatlib.core.rooms.protocol import CHANGED, FORBIDDEN, UNAUTHENTICATED
from chatlib.lab.words import count, printable, quoted

PATH = re.compile(r"/rooms/[^/]+$")
TAG = re.compile(r"(?<=\.)[0-9a-f]{8}\b")
CLOSES = {
    UNAUTHENTICATED: "no good token",
    FORBIDDEN: "not in this room",
    CHANGED: "the history has changed",
}
TEXT_CHARACTERS = 60
LINE_CHARACTERS = 200


def is_room(path: str) -> bool:
    """Return whether the connections to `path` speak the protocol."""
    return PATH.search(path.partition("?")[0]) is not None


def without_tags(path: str) -> str:
    """Return `path` with the tags of its cursors left out."""
    return TAG.sub("…", path)


def in_protocol(text: str, to_server: bool) -> str | None:
    """Return a frame in a few words, on one line; None if it is not of the protocol."""
    try:
        frame = json.loads(text)
        told = (UP if to_server else DOWN)[frame["type"]](frame)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return printable(told) if len(told) <= LINE_CHARACTERS else None


def said(frame: dict[str, Any]) -> str:
    """Return the text of a message, and to whom it is."""
    to = f" to {frame['to']}" if frame.get("to") else ""
    return f"{to}: {quoted(frame['text'], TEXT_CHARACTERS)}"


def welcome(frame: dict[str, Any]) -> str:
    after = frame["after"].partition(".")[0]
    return (
        f"welcome to {frame['room']}: {frame['history']}, after {after}, head {frame['head']}, "
        f"{count(frame['count'], 'other') if frame['count'] else 'nobody else'} here"
    )


def error(frame: dict[str, Any]) -> str:
    about = f" for {frame['key']}" if frame.get("key") else ""
    return f"error {frame['code']}{about}: {quoted(frame['text'], TEXT_CHARACTERS)}"


def people(frame: dict[str, Any]) -> str:
    told = [f"{' and '.join(frame[what])} {what}" for what in ("joined", "left") if frame[what]]
    return f"people: {', '.join(told) or frame['count']}"


UP: dict[str, Callable[[dict[str, Any]], str]] = {
    "say": lambda frame: f"say {frame['key']}{said(frame)}",
    "typing": lambda frame: "typing",
}
DOWN: dict[str, Callable[[dict[str, Any]], str]] = {
    "welcome": welcome,
    "message": lambda frame: f"message {frame['id']} from {frame['from']}{said(frame)}",
    "ack": lambda frame: (
        f"ack {frame['key']}: it is message {frame['id']}{', again' if frame['again'] else ''}"
    ),
    "error": error,
    "people": people,
    "typing": lambda frame: f"typing: {frame['from']}",
    "beat": lambda frame: f"beat: head {frame['head']}",
}
