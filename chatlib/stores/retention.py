"""How much of a room is kept."""

from dataclasses import dataclass

from chatlib.stores.store import BEGINNING, Cursor, History


@dataclass(frozen=True)
class Retention:
    """What a room keeps: its newest messages, as far as all of these bounds allow.

    The newest message is kept whatever its size and age. A bound is looked at when a message is
    appended, so that a room to which nobody writes keeps what it has. Of `messages` there may be a
    hundredth more, since to drop some at a time takes less time.

    Attributes:
        messages: how many messages.
        bytes: how many bytes of bodies.
        seconds: how old a message may be.
    """

    messages: int = 10_000
    bytes: int = 64 * 1024 * 1024
    seconds: float | None = None

    def __post_init__(self) -> None:
        for name in ("messages", "bytes", "seconds"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"expected {name} above 0, got {value!r}")


DEFAULT = Retention()


def history_of(after: Cursor | None, first: int, head: Cursor, tag: str | None) -> History:
    """Return what became of what came after a cursor, in a log from `first` to `head`.

    `tag` is that of the message with the cursor's id, or of the place before the first one.
    """
    if after is None:
        return "new"
    if after.id > head.id or (after.id == 0 and after.tag != BEGINNING):
        return "diverged"
    if after.id < first - 1:
        return "trimmed"
    return "complete" if tag == after.tag else "diverged"


def span(
    history: History,
    after: Cursor | None,
    before: int | None,
    limit: int,
    first: int,
    head: Cursor,
) -> tuple[int, int]:
    """Return the ids of a page's entries, the first and the one after the last."""
    if after is not None and history == "complete":
        start = after.id + 1
    elif history == "trimmed":
        start = first
    else:
        end = head.id + 1 if before is None else max(first, min(before, head.id + 1))
        return max(first, end - limit), end
    return start, min(start + limit, head.id + 1)
