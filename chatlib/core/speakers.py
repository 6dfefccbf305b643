"""Which task is the handler of which connection, so that a handler which only speaks is told."""

import asyncio
from typing import Any

from fastapi import WebSocket, WebSocketDisconnect
from starlette.websockets import WebSocketState

from chatlib.core.line import Line

_connections: dict[asyncio.Task[Any], dict[WebSocket, Line]] = {}


def note_speaker(websocket: WebSocket, line: Line) -> None:
    """Take the task that runs for the handler of `websocket`."""
    task = asyncio.current_task()
    if task is None:
        return
    if task not in _connections:
        _connections[task] = {}
        task.add_done_callback(_forget_task)
    _connections[task][websocket] = line


def forget_speaker(websocket: WebSocket) -> None:
    """Note that the task that runs has no more to do with `websocket`, if it ever had."""
    try:
        task = asyncio.current_task()
    except RuntimeError:  # a plain thread
        return
    if task is not None:
        _connections.get(task, {}).pop(websocket, None)


def speaks_for() -> list[Line]:
    """Return the connections that the task that runs is the handler of."""
    task = asyncio.current_task()
    return list(_connections[task].values()) if task in _connections else []


def hear_out() -> None:
    """Tell the handler that runs that its client has gone, if nobody has.

    It would have to read to be told, and one that only speaks does not read. The handlers of the
    plain manager end in this way, since there a message goes to each socket.

    Raises:
        WebSocketDisconnect: the client has gone. It is raised once.
    """
    task = asyncio.current_task()
    mine = _connections.get(task) if task is not None else None
    if mine is None or len(mine) != 1:
        return
    ((websocket, line),) = mine.items()
    if line.ended:
        del mine[websocket]
        states = (websocket.client_state, websocket.application_state)
        if WebSocketState.DISCONNECTED not in states:
            raise WebSocketDisconnect(1006, "the client has gone")


def _forget_task(task: asyncio.Task[Any]) -> None:
    _connections.pop(task, None)
