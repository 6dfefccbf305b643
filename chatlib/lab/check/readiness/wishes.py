"""What of the checklist is wished for, and the report of it."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field

from chatlib.lab.check.readiness.bench import Bench, Say
from chatlib.lab.check.readiness.checklist import CHECKLIST, Point
from chatlib.lab.check.readiness.targets import Headers
from chatlib.lab.check.report import Report

Attempt = Callable[[Bench], Awaitable[None]]

NOT_YET = "not tried yet"
LEGEND = {
    "!": "! the app does not do it; a proxy in front of it may",
    "·": "· it could not be looked at here, so nothing is known of it",
}


class Readiness(Report):
    """What came of the checklist."""

    def __repr__(self) -> str:
        marks = {mark for _, mark, came in self.lines if came != NOT_YET}
        legend = [f"  {words}" for mark, words in LEGEND.items() if mark in marks]
        return "\n".join([super().__repr__(), *legend])

    @property
    def passed(self) -> bool:
        """Whether no point fails. A remark, and what was not looked at, is no failure."""
        marks = [mark for _, mark, _ in self.lines]
        return "✓" in marks and "✗" not in marks


@dataclass
class Wishes:
    """How to try it.

    Attributes:
        path: of the WebSocket; None for the first that the app has.
        headers: of each request, or a function that returns them for the server's address.
        say: see `Bench`.
        secret: the name of a parameter in the query that is a secret; None for the one that sounds
            like it.
        only: which points; None for all.
        strict: whether a remark is a failure.
        own: points of an exercise, by name, in place of those of the checklist or beside them.
            Then `only` gives their order.
        attempts: how to try those that are not of the checklist.
        cap: how many connections are tried at most; None for the checklist's number.
        flood: how many messages are sent at once; None for the checklist's number.
    """

    path: str | None = None
    headers: Headers | None = None
    say: Say | None = None
    secret: str | None = None
    only: Collection[str] | None = None
    strict: bool = False
    own: Mapping[str, Point] = field(default_factory=dict)
    attempts: Mapping[str, Attempt] = field(default_factory=dict)
    cap: int | None = None
    flood: int | None = None

    def point(self, name: str) -> Point:
        """Return the point of that name."""
        return self.own.get(name) or CHECKLIST[name]


def points(wishes: Wishes) -> list[tuple[str, Point]]:
    """Return the points that are wished for, and the first, on which they all stand."""
    wanted = CHECKLIST.keys() if wishes.only is None else {"enters", *wishes.only}
    order = wishes.only if wishes.own and wishes.only else CHECKLIST
    return [(k, wishes.point(k)) for k in dict.fromkeys(["enters", *order]) if k in wanted]
