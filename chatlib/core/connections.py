"""The list `active_connections`, as old code knows it, on a room."""

from collections.abc import Iterable, Iterator, MutableSequence
from typing import overload

from fastapi import WebSocket
from starlette.websockets import WebSocketState

from chatlib.core.room import Room


class Connections(MutableSequence[WebSocket]):
    """The members of a room, in the order in which they came, as a list that is always current.

    A WebSocket that is appended joins the room, and one that is removed leaves it. A loop over the
    list goes through a snapshot, so that joins and leaves meanwhile make it skip nobody.

    The list cannot be sorted, and an item cannot be replaced: the order is that of the joins.
    """

    def __init__(self, room: Room) -> None:
        self.room = room

    def __iter__(self) -> Iterator[WebSocket]:
        return iter(self.room.members)

    def __len__(self) -> int:
        return len(self.room.members)

    @overload
    def __getitem__(self, index: int) -> WebSocket: ...
    @overload
    def __getitem__(self, index: slice) -> list[WebSocket]: ...
    def __getitem__(self, index: int | slice) -> WebSocket | list[WebSocket]:
        return self.room.members[index]

    def __delitem__(self, index: int | slice) -> None:
        gone = self[index]
        for websocket in gone if isinstance(gone, list) else [gone]:
            self.room.leave(websocket)

    def __setitem__(self, index: object, value: object) -> None:
        raise TypeError(
            "connections are in the order of their joins: write remove(one) and append(another)"
        )

    def insert(self, index: int, value: WebSocket) -> None:
        """Have `value` join the room. Harmless if it is a member already.

        Raises:
            RuntimeError: as for `Room.join`: it has not been accepted, for one.
            TypeError: `index` is not the end.
        """
        if index < len(self):
            raise TypeError("connections are in the order of their joins: write append(websocket)")
        self.room.join(value)

    def remove(self, value: WebSocket) -> None:
        """Have `value` leave the room.

        Raises:
            ValueError: it is no member, and its connection has not ended.
        """
        states = (getattr(value, name, None) for name in ("client_state", "application_state"))
        # The room drops a connection that has ended by itself, before old code comes to do it.
        if value not in self and WebSocketState.DISCONNECTED not in states:
            raise ValueError("this WebSocket is not among the connections")
        self.room.leave(value)

    def index(self, value: WebSocket, *bounds: int) -> int:
        return self.room.members.index(value, *bounds)

    def copy(self) -> list[WebSocket]:
        return self.room.members

    def __add__(self, other: Iterable[WebSocket]) -> list[WebSocket]:
        return [*self, *other]

    def __radd__(self, other: Iterable[WebSocket]) -> list[WebSocket]:
        return [*other, *self]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, list | Connections):
            return NotImplemented
        return self.room.members == list(other)

    def __repr__(self) -> str:
        return repr(self.room.members)
