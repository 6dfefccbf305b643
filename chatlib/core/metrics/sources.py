"""What figures are read from: a hub, and rooms that remember nothing."""

from collections.abc import Iterable
from dataclasses import dataclass

from chatlib.core.hub.hub import Hub
from chatlib.core.hub.ledger import HubStats
from chatlib.core.manager import ConnectionManager
from chatlib.core.room import Room
from chatlib.core.stats import Stats, total

Source = Hub | ConnectionManager | Room


class Sources:
    """A hub, if there is one, and rooms.

    Args:
        sources: at most one `Hub`, and any number of `ConnectionManager` and `Room`, which live for
            as long as the app.

    Attributes:
        hub: the hub, or None.
        rooms: the rooms, each once, also if it was given twice.

    Raises:
        TypeError: something is none of these, or there are two hubs.
    """

    def __init__(self, sources: Iterable[Source]) -> None:
        self.hub: Hub | None = None
        rooms: dict[Room, None] = {}
        for source in sources:
            if isinstance(source, Hub):
                if self.hub is not None:
                    raise TypeError("expected one Hub at most, got two")
                self.hub = source
            elif isinstance(source, ConnectionManager):
                rooms[source.room] = None
            elif isinstance(source, Room):
                rooms[source] = None
            else:
                raise TypeError(f"expected a Hub, a ConnectionManager or a Room, got {source!r}")
        self.rooms = list(rooms)

    def look(self) -> "Look":
        """Return the figures as they are now."""
        of_hub = None if self.hub is None else self.hub.stats
        each = [room.stats for room in self.rooms]
        return Look(
            hub=of_hub,
            all=total(each if of_hub is None else [of_hub, *each]),
            rooms=len(each) + (of_hub.rooms if of_hub else 0),
            largest=max([of_hub.largest if of_hub else 0, *(stats.members for stats in each)]),
        )


@dataclass(frozen=True)
class Look:
    """The figures of a moment.

    Attributes:
        hub: those of the hub, if there is one.
        all: those of all rooms together, with those of the hub.
        rooms: how many rooms there are.
        largest: how many members the room has that has most.
    """

    hub: HubStats | None
    all: Stats
    rooms: int
    largest: int
