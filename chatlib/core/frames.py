"""Messages as frames that are ready to go to any client."""

import inspect
import json
import struct
from collections.abc import Iterator
from typing import Any

from fastapi.encoders import jsonable_encoder
from pydantic import BaseModel
from starlette.types import Message

TEXT, BINARY = 0x81, 0x82  # the first byte of a frame that is a whole message

Binary = bytes | bytearray | memoryview
Json = BaseModel | dict[Any, Any] | list[Any] | tuple[Any, ...]
Content = str | Binary | Json


def plain(message: Content) -> str | bytes:
    """Return what is sent for `message`: itself, or the JSON for it.

    That is the JSON of Starlette's `send_json`; and what JSON does not know, such as a time, an
    enum or a model, goes as FastAPI writes it in a response.

    Raises:
        TypeError: `message` is not text, not bytes, and not what is sent as JSON.
        ValueError: JSON cannot express what is in it.
    """
    if isinstance(message, str):
        return message
    if isinstance(message, bytes | bytearray | memoryview):
        return bytes(message)
    if isinstance(message, BaseModel):
        return message.model_dump_json(by_alias=True)
    if isinstance(message, dict | list | tuple):
        try:
            return JSON.encode(message)
        except TypeError:  # it has keys that JSON does not know
            return JSON.encode(known(message))
    raise TypeError(
        "a message is text (str) or bytes; or a Pydantic model, a dict, a list or a tuple, which "
        f"goes as JSON; got {described(message)}"
    )


def known(value: object) -> Any:
    """Return `value`, which JSON does not know, as something that it does."""
    try:
        return jsonable_encoder(value)
    except Exception as error:  # its own code may raise anything
        raise ValueError(f"JSON cannot express {described(value)}") from error


# As Starlette's `send_json`, but for NaN, which no browser would parse.
JSON = json.JSONEncoder(default=known, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def described(value: object) -> str:
    """Return what `value` is; and what to write, if an `await` is missing."""
    forgotten = "; write await before the call that made it" if inspect.isawaitable(value) else ""
    return f"{type(value).__name__}: {value!r:.80}{forgotten}"


def encode(message: Content) -> bytes:
    """Return `message` as a frame that any client may be sent.

    What a server sends is not masked (RFC 6455, section 5.1), and a frame may go uncompressed on a
    connection that has negotiated compression (RFC 7692, section 6), so one frame fits them all.

    Raises:
        TypeError: `message` is not text, not bytes, and not what is sent as JSON.
        ValueError: JSON or UTF-8 cannot express it. UTF-8 cannot express half a surrogate pair.
    """
    data = plain(message)
    first, payload = (TEXT, data.encode()) if isinstance(data, str) else (BINARY, data)
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def decode(frames: bytes) -> Iterator[Message]:
    """Yield the ASGI message that sends each of `frames`, which are as `encode` makes them."""
    return (message for _, message in sized(frames))


def sized(frames: bytes) -> Iterator[tuple[int, Message]]:
    """Yield the size of each of `frames`, and the ASGI message that sends it."""
    start = 0
    while start < len(frames):
        first, size, head = frames[start], frames[start + 1], 2
        if size == 126:
            (size,), head = struct.unpack_from("!H", frames, start + 2), 4
        elif size == 127:
            (size,), head = struct.unpack_from("!Q", frames, start + 2), 10
        payload = frames[start + head : start + head + size]
        start += head + size
        if first == TEXT:
            yield head + size, {"type": "websocket.send", "text": payload.decode()}
        else:
            yield head + size, {"type": "websocket.send", "bytes": payload}


_decoded: tuple[bytes, list[tuple[int, Message]]] = (b"", [])


def messages_of(frames: bytes) -> list[tuple[int, Message]]:
    """Return the size of each of `frames`, and the ASGI message that sends it.

    The members in step are written the same bytes, one after the other: they are decoded once.
    """
    global _decoded
    known, messages = _decoded
    if known is not frames:
        messages = list(sized(frames))
        _decoded = (frames, messages)
    return messages
