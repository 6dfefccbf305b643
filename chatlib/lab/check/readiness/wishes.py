"""What of the checklist is wished for, and the report of it."""

from collections.abc import Collection
from dataclasses import dataclass

from chatlib.lab.check.readiness.bench import Say
from chatlib.lab.check.readiness.checklist import CHECKLIST, Point
from chatlib.lab.check.readiness.targets import Headers
from chatlib.lab.check.report import Report


class Readiness(Report):
    """What came of the checklist."""

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
    """

    path: str | None = None
    headers: Headers | None = None
    say: Say | None = None
    secret: str | None = None
    only: Collection[str] | None = None
    strict: bool = False


def points(wishes: Wishes) -> list[tuple[str, Point]]:
    """Return the points that are wished for, and the first, on which they all stand."""
    only = wishes.only
    return [(k, v) for k, v in CHECKLIST.items() if only is None or k in only or k == "enters"]
