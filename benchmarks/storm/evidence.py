"""What a round leaves for the checker."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from benchmarks.storm.records import Acked, Record
from chatlib.stores.store import Cursor


class Kept(NamedTuple):
    """A message as the store has it."""

    id: int
    tag: str
    key: str
    sender: str


class Reset(NamedTuple):
    """The log lost all that came after the message `kept`.

    `until_then` are the places of all that it had, where acknowledgements may have been on their
    way: those of a place that was lost may come later.
    """

    at: float
    kept: int
    until_then: frozenset[Cursor] = frozenset()

    def lost(self, ack: Acked, until: float = float("inf")) -> bool:
        """Return whether what `ack` acknowledges was lost in it, and that before `until`."""
        late = Cursor(ack.id, ack.tag) in self.until_then
        return (ack.at < self.at or late) and self.at < until and self.kept < ack.id


@dataclass
class Evidence:
    """All that is known once everybody has caught up.

    Attributes:
        records: of all clients.
        log: what the store has, from its oldest message to its newest.
        resets: what the store was made to lose.
        keeps: how many messages the store keeps, if that is so little that clients may miss some.
            It knows the key of a message for as long: said again later, it is a new message.
    """

    records: Sequence[Record]
    log: Sequence[Kept]
    resets: Sequence[Reset] = ()
    keeps: int | None = None

    def forgot(self, one: int, two: int) -> bool:
        """Return whether the key of the message `one` was forgotten before the message `two`."""
        return self.keeps is not None and abs(two - one) >= self.keeps

    @property
    def told(self) -> bool:
        """Whether clients may be told that messages are missing."""
        return self.keeps is not None or bool(self.resets)
