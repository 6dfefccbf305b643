"""Which task is the handler of which connection: a handler that only speaks has to be told."""

import asyncio
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from chatlib.core.line import Line

# None for a task in which several have joined: it is the handler of none.
_handlers: dict[asyncio.Task[Any], tuple[WebSocket, Line] | None] = {}


def note_speaker(websocket: WebSocket, line: Line) -> None:
    """Note that the running task is the handler of `websocket`, if it can be that."""
    task = asyncio.current_task()
    if task is None or line.handler not in (None, task):
        return
    known = _handlers.get(task, (websocket, line))
    if task not in _handlers:
        task.add_done_callback(_forget)
    _handlers[task] = (websocket, line) if known is not None and known[1] is line else None
    line.handler = task


def _forget(task: asyncio.Task[Any]) -> None:
    _handlers.pop(task, None)


def forget_speaker(line: Line) -> None:
    """Note that the handler of `line` has left all rooms with it."""
    if line.handler is not None and _handlers.get(line.handler) is not None:
        _handlers.pop(line.handler, None)


def spoken_for() -> Line | None:
    """Return the connection of which the running task is the handler."""
    task = asyncio.current_task()
    known = _handlers.get(task) if task is not None else None
    return None if known is None else known[1]


async def hear_out() -> None:
    """Wait until the handler that runs has been sent what it said itself, where that is needed.

    Raises:
        WebSocketDisconnect: its client has gone, and nobody has told it: it would have to read to
            be told, and one that only speaks does not read. It is raised once. The handlers of the
            plain manager end in this way, since there a message goes to each socket.
    """
    task = asyncio.current_task()
    known = _handlers.get(task) if task is not None else None
    if task is None or known is None:
        return
    websocket, line = known
    if not line.ended:
        await line.spoken()
    if line.ended:
        _handlers.pop(task, None)
        states = (websocket.client_state, websocket.application_state)
        if WebSocketState.DISCONNECTED not in states:
            raise WebSocketDisconnect(1006, "the client has gone")
