"""Hundreds of clients that listen, are told to go, and come back by a rule.

    with Visitors(server, 500, come_back) as visitors:
        server.signal(signal.SIGTERM)
        ...
        visitors.all_back()
        record = visitors.record()

They run in a process of their own: in the notebook's they would share the interpreter lock with
what else it does.
"""

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

from chatlib.lab.child import Child, ChildError
from chatlib.lab.crowd import allow_files
from chatlib.lab.cut import HasPort, port_of
from chatlib.lab.measured import program

ALL_IN_SECONDS = 30.0  # a guard
PATIENCE_SECONDS = 10.0  # in which a handshake has to be answered
COMERS = 50  # that are on their way in at a time, when they come first
START = "from chatlib.lab.visiting import main; main()"

_running: set["Visitors"] = set()


def many(number: int) -> int:
    """Return `number`, or a fifth of it where the variable CHATLIB_ROUNDS says 1: nobody looks."""
    return number if os.environ.get("CHATLIB_ROUNDS") != "1" else number // 5


class VisitorsError(RuntimeError):
    """Not all came in, or their process has ended."""


def stay_away(code: int, attempt: int, retry: float) -> None:
    """Never come back. This is a rule of when to."""


@dataclass(frozen=True)
class Record:
    """What happened to all visitors, in seconds by `time.monotonic`.

    Attributes:
        told: when each connection ended that they had, and with which code: 1006, if none came.
        tries: of each connect when it began, when it was answered, and whether it was let in.
    """

    told: list[tuple[float, int]]
    tries: list[tuple[float, float, bool]]

    @property
    def codes(self) -> Counter[int]:
        """How many connections ended with each code."""
        return Counter(code for _, code in self.told)

    @property
    def told_at(self) -> list[float]:
        """When each connection ended, the first one first."""
        return sorted(moment for moment, _ in self.told)

    def in_since(self, moment: float) -> list[float]:
        """Return when visitors were let in that connected after `moment`, the first one first."""
        return sorted(end for began, end, is_in in self.tries if is_in and began >= moment)

    def refused_since(self, moment: float) -> int:
        """Return how many connects after `moment` were refused, or not answered in time."""
        return sum(not is_in for began, _, is_in in self.tries if began >= moment)

    def waits_since(self, moment: float) -> list[float]:
        """Return how long each handshake took that began after `moment` and let in, sorted."""
        return sorted(end - began for began, end, is_in in self.tries if is_in and began >= moment)


class Visitors:
    """Clients in a process of their own, which ends with this one.

    They have come in when this returns. A context manager, which has them vanish.

    Args:
        server: a port of 127.0.0.1, or what has one.
        number: how many there are.
        come_back: the rule, `come_back(code, attempt, retry)`: after how many seconds a visitor
            connects again; None: never. It is called with the close code, 1006 where none came or
            the server could not be reached; with the number of tries that have failed since the
            connection was lost, from 0; and with `retry`. It is sent there as source, with what it
            uses of the notebook's.
        back_to: where they come back to, as a proxy would lead them; None: to `server`.
        path: where they connect; `{number}` in it is the number of each, from 0.
        retry: the seconds over which the server wants a restart to be spread.
        at_once: how many are on their way in at a time, when they come first.
        deaf: whether they read nothing once they are in.
        patience: seconds in which a handshake has to be answered.

    Raises:
        VisitorsError: not all were let in.
    """

    def __init__(
        self,
        server: HasPort | int,
        number: int,
        come_back: Callable[[int, int, float], float | None] = stay_away,
        *,
        back_to: HasPort | int | None = None,
        path: str = "/ws/{number}",
        retry: float = 4.0,
        at_once: int = COMERS,
        deaf: bool = False,
        patience: float = PATIENCE_SECONDS,
    ) -> None:
        allow_files()
        self.number = number
        self._child = Child(START)
        _running.add(self)
        try:
            self._child.order(
                {
                    "program": program(come_back),
                    "come_back": come_back.__name__,
                    "port": port_of(server),
                    "back_to": port_of(server if back_to is None else back_to),
                    "number": number,
                    "path": path,
                    "retry": retry,
                    "at_once": at_once,
                    "deaf": deaf,
                    "patience": patience,
                }
            )
            self._come()
        except BaseException:
            self.stop()
            raise

    def _come(self) -> None:
        refused, inside = self._ask("come")
        if refused:
            raise VisitorsError(f"{inside} of {self.number} visitors were let in")

    def all_told(self, times: int = 1, seconds: float = ALL_IN_SECONDS) -> None:
        """Wait until each has been told to go `times` times.

        Raises:
            VisitorsError: some have not after `seconds`.
        """
        told, _, _ = self._ask({"wait_for": "told", "times": times, "seconds": seconds})
        if told < times * self.number:
            raise VisitorsError(f"{told} connections have ended after {seconds:g} s")

    def all_back(self, times: int = 1, seconds: float = ALL_IN_SECONDS) -> None:
        """Wait until each has been told to go `times` times, and is in again or stays away.

        Raises:
            VisitorsError: some have not, or are still out, after `seconds`.
        """
        told, inside, over = self._ask({"wait_for": "back", "times": times, "seconds": seconds})
        if told < times * self.number or inside + over < self.number:
            raise VisitorsError(f"{inside} of {self.number} visitors are in after {seconds:g} s")

    def record(self) -> Record:
        """Return what has happened to them so far."""
        got = self._ask("record")
        told = [(moment, code) for moment, code in got["told"]]
        return Record(told, [(began, end, is_in) for began, end, is_in in got["tries"]])

    def _ask(self, what: object) -> Any:
        try:
            self._child.order(what)
            return self._child.answer()
        except ChildError as error:
            raise VisitorsError(f"the visitors have ended: {error}") from None

    def stop(self) -> None:
        """Have them vanish. Harmless if they have."""
        self._child.kill()
        _running.discard(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


def stop() -> None:
    """Have all visitors vanish. Harmless if there are none."""
    while _running:
        _running.pop().stop()
