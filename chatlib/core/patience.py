"""How long a room waits for a member: *progress*, where a client takes too little."""

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Literal

from chatlib.core.log import log_cut
from chatlib.core.member import Member

REFILL = 0.05  # how much of a second comes back in each second
PLAIN_SECONDS = 0.5  # longer than what a kernel or a busy machine may take for a healthy client
# A client that is cut off may come back at once, and each time costs about 5 ms of CPU time: its
# handshake, and megabytes that the kernel takes for it. So it is cut off a second after it came.
LEAST_STAY = 1.0

OnFull = Literal["wait", "evict"]


class Patience:
    """The rules for which members a room cuts off, and when.

    1. A member whose connection is full has to take `min_rate` bytes a second, on average over
       `patience` seconds.
    2. All members that hold up the others share `hold` seconds. A member holds up the others while
       a task waits to publish, this member keeps the log full and takes less than `limit` bytes a
       second, and a quarter of the members or more have had all there is. The seconds come back
       slowly. Once they are used up, such a member is cut off after half a second; and one that
       has joined since then, as soon as it is a whole log behind and the others wait for it.

    A member that is cut off is out of the room at once. Its connection is cut at once too, but not
    sooner than `LEAST_STAY` seconds after it joined; the client itself, or the handler, may end it
    before.

    Args:
        limit, patience, min_rate, hold, on_full: as for `Room`.

    Attributes:
        interval: how often the members are looked at, in seconds.
        held_up: returns whether enough members have had all there is.
        evicted: how many members were cut off, by reason.
    """

    def __init__(
        self,
        limit: int,
        patience: float,
        min_rate: float,
        hold: float,
        on_full: OnFull,
    ) -> None:
        if limit <= 0 or patience <= 0 or min_rate < 0 or hold < 0:
            raise ValueError(
                "limit and patience are above 0, min_rate and hold are not below; "
                f"got {limit=}, {patience=}, {min_rate=}, {hold=}"
            )
        if on_full not in ("wait", "evict"):
            raise ValueError(f"on_full is 'wait' or 'evict'; got {on_full!r}")
        self.limit = limit
        self.patience = patience
        self.min_rate = min_rate
        self.hold = hold
        self.on_full = on_full
        self.held_up: Callable[[], bool] = lambda: True
        self.interval = max(0.01, min(patience, hold or patience) / 8)
        self.evicted: Counter[str] = Counter()
        self._left = hold
        self._counted = self._spent = float("-inf")
        self._used_up_at = float("inf")

    def look(self, members: Iterable[Member], now: float, late: float) -> None:
        """Rule 1: cut off members that have taken less than `min_rate` for `patience` seconds.

        The time does not count while its line takes more: then it is the server that has not
        written yet. The last `late` seconds do not count: the event loop was blocked.
        """
        rate = max(self.min_rate, 1 / self.patience)
        for member in list(members):
            if member.mark is None or member.line.writable.is_set():
                member.mark = None
                continue
            since, then = member.mark
            since += late
            taken = member.line.progress() - then
            if taken >= rate * self.patience:
                member.mark = (now, then + taken)
            elif now - since >= self.patience + member.line.in_flight / rate:
                self.evict(member, "slow" if taken else "stalled")
            else:
                member.mark = (since, then)

    def judge(self, members: Iterable[Member], wanted: int, now: float, seconds: float) -> None:
        """Rule 2: cut off members that keep the log full, once `hold` is used up.

        `wanted` is the place that all have to reach before the next message has room; `seconds`
        have passed since the last look.
        """
        holding = [m for m in members if m.cursor < wanted and not m.line.writable.is_set()]
        if not holding:
            return
        if self.on_full == "wait":
            if not self.held_up():
                return
            crawling = [m for m in holding if self._crawls(m, now) >= self.interval / 2]
            if not self.spend(now, seconds if crawling else 0.0):
                return
            plain = [m for m in crawling if self._crawls(m, now) >= PLAIN_SECONDS]
            holding = [m for m in holding if m in plain or m.since > self._used_up_at]
        for member in holding:
            nothing = member.mark is not None and member.line.progress() == member.mark[1]
            self.evict(member, "stalled" if nothing else "slow")

    def _crawls(self, member: Member, now: float) -> float:
        """Return for how many seconds `member` has taken less than `limit` bytes a second."""
        when, taken = member.seen
        if member.line.progress() - taken < self.limit * (now - when):
            return now - when
        return 0.0

    def remember(self, members: Iterable[Member], now: float) -> bool:
        """Note which members take enough now; return whether there are any to look at later."""
        watched = [member for member in members if member.mark is not None]
        for member in watched:
            if not self._crawls(member, now):
                member.seen = (now, member.line.progress())
        return bool(watched)

    def evict(self, member: Member, reason: str) -> None:
        """Cut off `member`. Call it in its event loop."""
        self.evicted[reason] += 1
        line = member.line
        log_cut(member.websocket.scope, line, reason, member.waiting_bytes)
        line.abort(after=member.since + LEAST_STAY - line.loop.time())

    def spend(self, now: float, seconds: float) -> bool:
        """Note that the others were held up for `seconds`; return whether `hold` is used up.

        Seconds that two event loops note are counted once.
        """
        self._left = min(self.hold, self._left + max(0.0, now - self._counted) * REFILL)
        self._counted = now
        if self._left >= self.hold / 2:
            self._used_up_at = float("inf")
        if seconds:
            self._left -= min(seconds, now - self._spent)
            self._spent = now
        if self._left <= 0:
            self._used_up_at = min(self._used_up_at, now)
        return self._left <= 0
