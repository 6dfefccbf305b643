"""Messages as frames that are ready to go to any client."""

import struct
from collections.abc import Iterator

from starlette.types import Message

TEXT, BINARY = 0x81, 0x82  # the first byte of a frame that is a whole message


def encode(message: str | bytes) -> bytes:
    """Return `message` as a frame that any client may be sent.

    What a server sends is not masked (RFC 6455, section 5.1), and a frame may go uncompressed on a
    connection that has negotiated compression (RFC 7692, section 6), so one frame fits them all.

    Raises:
        TypeError: `message` is neither text nor bytes.
        UnicodeEncodeError: it is text that UTF-8 cannot express: half a surrogate pair.
    """
    if isinstance(message, str):
        first, payload = TEXT, message.encode()
    elif isinstance(message, bytes | bytearray | memoryview):
        first, payload = BINARY, bytes(message)
    else:
        raise TypeError(
            f"a message is text (str) or bytes; got {type(message).__name__}: {message!r:.80}"
        )
    size = len(payload)
    if size < 126:
        return bytes((first, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", first, 126, size) + payload
    return struct.pack("!BBQ", first, 127, size) + payload


def decode(frames: bytes) -> Iterator[Message]:
    """Yield the ASGI message that sends each of `frames`, which are as `encode` makes them."""
    start = 0
    while start < len(frames):
        first, size = frames[start], frames[start + 1]
        start += 2
        if size == 126:
            (size,) = struct.unpack_from("!H", frames, start)
            start += 2
        elif size == 127:
            (size,) = struct.unpack_from("!Q", frames, start)
            start += 8
        payload = frames[start : start + size]
        start += size
        if first == TEXT:
            yield {"type": "websocket.send", "text": payload.decode()}
        else:
            yield {"type": "websocket.send", "bytes": payload}
