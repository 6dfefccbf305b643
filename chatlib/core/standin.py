"""What unit tests have in place of a WebSocket: mocks, and classes with little but `send_text`.

They know no server and no event loop, so a room sends to them by their methods and waits for that,
as the plain manager does.
"""

from typing import Any

from fastapi import WebSocket

from chatlib.core.frames import Content, plain
from chatlib.core.line import line_in


def is_stand_in(websocket: object) -> bool:
    """Return whether this is no WebSocket: neither of that class, nor with a line of its own."""
    known = issubclass(type(websocket), WebSocket) or line_in(getattr(websocket, "scope", None))
    return not known


async def send_to_stand_in(message: Content, stand_in: Any) -> bool:
    """Send `message`; return whether that went well."""
    data = plain(message)
    try:
        await (stand_in.send_text(data) if isinstance(data, str) else stand_in.send_bytes(data))
    except Exception:
        return False
    return True
