"""What a client notes of all that it says and gets, in order, each with the time."""

from dataclasses import dataclass, field
from typing import NamedTuple

from chatlib.stores.store import START, Cursor


class Opened(NamedTuple):
    """A connection was accepted. `after` is the cursor that the client asked with."""

    at: float
    after: Cursor | None


class Welcomed(NamedTuple):
    """The welcome of a connection; `people` are the names in it."""

    at: float
    history: str
    after: Cursor
    head: int
    people: frozenset[str]


class Heard(NamedTuple):
    """A message."""

    at: float
    id: int
    tag: str
    key: str
    sender: str


class Said(NamedTuple):
    """A message was sent; `again` if it had been before."""

    at: float
    key: str
    again: bool


class Acked(NamedTuple):
    """The log has a message of this client."""

    at: float
    key: str
    id: int
    tag: str
    again: bool


class Refused(NamedTuple):
    """An error came, about the message `key` if it says so."""

    at: float
    code: str
    key: str | None


class Changed(NamedTuple):
    """People have come and left."""

    at: float
    joined: frozenset[str]
    left: frozenset[str]


class Beat(NamedTuple):
    """The server says which message is the newest."""

    at: float
    head: int


class Closed(NamedTuple):
    """A connection has ended, with a close code; 1006 if there was none."""

    at: float
    code: int
    reason: str


Event = Opened | Welcomed | Heard | Said | Acked | Refused | Changed | Beat | Closed


@dataclass
class Record:
    """All that one client noted.

    Attributes:
        name: of the person.
        in_order: whether it said one message at a time, so that they are kept in their order.
        left: whether it left for good before the end.
        connections: how many it had.
        cursor, people, acks: up to where it has heard, who is there, and how many are acknowledged.
    """

    name: str
    in_order: bool = True
    left: bool = False
    connections: int = 0
    events: list[Event] = field(default_factory=list)
    cursor: Cursor = START
    people: frozenset[str] = frozenset()
    acks: int = 0

    def note(self, event: Event) -> None:
        """Add what has happened."""
        self.events.append(event)
        match event:
            case Welcomed():
                self.cursor, self.people = event.after, event.people
            case Heard():
                self.cursor = Cursor(event.id, event.tag)
            case Changed():
                self.people = (self.people - event.left) | event.joined
            case Acked():
                self.acks += 1

    def of(self, kind: type) -> list[Event]:
        """Return the events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]
