"""How long a room waits for a member: *progress*, where a client takes too little."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Literal

from chatlib.core.log import log_cut
from chatlib.core.member import Member

REFILL = 0.05  # how much of a second comes back in each second
PLAIN_SECONDS = 0.5  # longer than what a kernel or a busy machine may take for a healthy client
ENOUGH = 2  # whole logs a second: whoever takes that much is waited for
# Clients that share a process, or a network, are served one after the other. The last of them holds
# up the others for nearly as long as it takes to serve them all: that is nobody's fault.
LOGS = 1.5
LOG_SECONDS = 0.7  # the most that is believed: bad clients that take turns could stretch it
# A client that is cut off may come back at once, and each time costs about 5 ms of CPU time: its
# handshake, and megabytes that the kernel takes for it. So it is cut off a second after it came.
LEAST_STAY = 1.0

OnFull = Literal["wait", "evict"]


@dataclass(slots=True)
class Judged:
    """What was found when the members of one event loop were last looked at.

    Attributes:
        at: when that was.
        full: whether one of them kept the log full.
    """

    at: float = 0.0
    full: bool = False


class Patience:
    """The rules for which members a room cuts off, and when.

    1. A member whose connection is full has to take `min_rate` bytes a second, on average over
       `patience` seconds.
    2. All members that hold up the others share `hold` seconds. A member holds up the others while
       a task waits to publish, this member keeps the log full, and a quarter of the members or more
       have had all there is. The seconds are spent while a member does that for more than half of
       the time, takes less than two logs a second, and has done so for longer than the last logs
       took. They come back slowly. Once they are used up, such a member is cut off after half a
       second; and one that has joined since then, as soon as it is a whole log behind and the
       others wait for it.

    A member that is cut off is out of the room at once. Its connection is cut at once too, but not
    sooner than `LEAST_STAY` seconds after it joined; the client itself, or the handler, may end it
    before.

    Args:
        limit, patience, min_rate, hold, on_full: as for `Room`.

    Attributes:
        interval: how often the members are looked at, in seconds.
        held_up: returns whether enough members have had all there is.
        evicted: how many members were cut off, by reason.
        room: what the log calls the room, if it has a name.
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
        self.interval = max(0.01, min(patience, hold or PLAIN_SECONDS) / 8)
        self.evicted: Counter[str] = Counter()
        self.room: str | None = None
        self._left = hold
        self._counted = self._spent = float("-inf")
        self._used_up_at = float("inf")
        self._noted = self._waited = 0.0
        self._wanted = 0
        self._log_seconds = (0.0, 0.0)  # for how long tasks waited in each of the last two logs

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

    def judge(self, members: Collection[Member], wanted: int, now: float, last: Judged) -> None:
        """Rule 2: cut off members that keep the log full, once `hold` is used up.

        `wanted` is the place that all have to reach before the next message has room. `members`
        are in one event loop, and `last` is what was found there.
        """
        passed = min(now - last.at, self.interval)  # longer: the event loop was blocked
        full = [m for m in members if m.cursor < wanted and not m.line.writable.is_set()]
        if self.on_full == "evict":
            for member in full:
                self._cut_off(member)
            return
        self._note_log(wanted, now, passed if last.full else 0.0)
        holding = set(full if full and self.held_up() else ())
        last.at, last.full = now, bool(full)
        for member in members:
            self.note_hold(member, now, member in holding)
        slow = {member for member in holding if self._holds_too_long(member)}
        if holding and self.spend(now, passed if slow else 0.0):
            for member in holding:
                plain = member in slow and member.held >= PLAIN_SECONDS
                if plain or member.since > self._used_up_at:
                    self._cut_off(member)

    def _note_log(self, wanted: int, now: float, waited: float) -> None:
        """Note for how long tasks have waited, and how long that took for each log."""
        self._waited += min(waited, now - self._noted)  # that of two event loops counts once
        self._noted = now
        if wanted - self._wanted >= self.limit:
            self._log_seconds = (self._log_seconds[1], self._waited)
            self._wanted, self._waited = wanted, 0.0

    def note_hold(self, member: Member, now: float, holds: bool) -> None:
        """Note for how long `member` has held up the others, less the time in which it did not."""
        passed = now - member.judged
        more = min(passed, self.interval) if member.holds else -passed
        member.held = max(0.0, member.held + more)
        since, place = member.seen
        if member.cursor - place >= ENOUGH * self.limit * (now - since):
            member.held = 0.0
        if holds and not member.held:
            member.seen = (now, member.cursor)
        member.judged, member.holds = now, holds

    def _holds_too_long(self, member: Member) -> bool:
        others = self._waited - member.held  # what the others needed for their part of this log
        usual = LOGS * min(max(*self._log_seconds, others), LOG_SECONDS)
        known = member.since <= self._used_up_at
        return member.held >= self.interval / 2 + (usual if known else 0.0)

    def _cut_off(self, member: Member) -> None:
        nothing = member.mark is not None and member.line.progress() == member.mark[1]
        self.evict(member, "stalled" if nothing else "slow")

    def evict(self, member: Member, reason: str) -> None:
        """Cut off `member`. Call it in its event loop."""
        self.evicted[reason] += 1
        line = member.line
        log_cut(member.websocket.scope, line, reason, member.waiting_bytes, self.room)
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
