"""What one delivery costs a server: the instrument of chapter 05.

The server runs in a process of its own, since in the notebook's it would share the interpreter
lock with its clients, who are here.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from chatlib.lab.child import Child, ChildError
from chatlib.lab.crowd import Crowd, CrowdError, allow_files
from chatlib.lab.measured import FANOUT, program

__all__ = ["FANOUT", "MeasureError", "Trial", "compare", "stop"]

_running: set["Trial"] = set()


class MeasureError(RuntimeError):
    """A server did not deliver what it should; the message says what it wrote last."""


class Trial:
    """A server that broadcasts through a manager, and a crowd of its clients.

    A context manager: it starts the server, and ends it. A server also ends with the process that
    started it, even if that is killed.

    Args:
        manager: a class with `connect`, `disconnect` and `broadcast`. One that a notebook defines
            is sent to the server as source, with what it uses of the notebook's.
        ws: the protocol, as uvicorn's option `--ws` names it: its own, unless `FANOUT`.
        members: how many clients there are.
        compression: whether they offer compression, as browsers do.
        watched: whether the server can say where its time goes, which makes it slower.

    Raises:
        TypeError: the source of `manager` cannot be found.
    """

    def __init__(
        self,
        manager: type,
        ws: str = "auto",
        *,
        members: int = 100,
        compression: bool = False,
        watched: bool = False,
    ) -> None:
        self.members, self.compression = members, compression
        self._order = {
            "program": program(manager),
            "manager": manager.__name__,
            "ws": ws,
            "watched": watched,
        }
        self._crowd: Crowd | None = None
        self._child: Child | None = None
        self._empty = 0  # bytes that the server has in memory when nobody is connected

    def __enter__(self) -> "Trial":
        self.stop()
        allow_files()
        self._child = Child("from chatlib.lab.measured import main; main()")
        _running.add(self)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def connect(self) -> None:
        """Wait for the server, and have the clients come in. Harmless if they are in."""
        if self._crowd is None:
            port = self._ask(self._order)
            self._empty = self._ask("memory")
            with self._explained():
                self._crowd = Crowd(port, self.members, compression=self.compression)

    def run(self, *, in_flight: int = 32, deliveries: int = 20_000) -> float:
        """Return how many microseconds of CPU time the server takes for one delivery.

        Args:
            in_flight: how many messages are on their way at a time.
            deliveries: after about how many it ends.

        Raises:
            MeasureError: the server did not start, or not all messages came.
        """
        return 1e6 * self._each("cpu", in_flight, deliveries)

    def memory(self) -> float:
        """Return how many bytes of memory the server has for each client, which says nothing."""
        self.connect()
        return float((self._ask("memory") - self._empty) / self.members)

    def writes(self, *, in_flight: int = 32, deliveries: int = 10_000) -> float:
        """Return how often the server, which is `watched`, writes to a transport a delivery."""
        return self._each("writes", in_flight, deliveries)

    def layers(self, *, in_flight: int = 32, deliveries: int = 20_000) -> dict[str, float]:
        """Return which part of the time the server, which is `watched`, spends in which layer."""
        self.connect()
        self._ask("profile")
        self._deliver(in_flight, deliveries)
        seconds: dict[str, float] = self._ask("layers")
        total = sum(seconds.values())
        return {name: part / total for name, part in seconds.items()}

    def stop(self) -> None:
        """Hang up, and end the server. Harmless if it has ended."""
        _running.discard(self)
        if self._crowd is not None:
            self._crowd.close()
            self._crowd = None
        if self._child is not None:
            self._child.kill()
            self._child = None

    def _each(self, what: str, in_flight: int, deliveries: int) -> float:
        """Return by how much the server's count of `what` goes up for one delivery."""
        self.connect()
        before = self._ask(what)
        delivered = self._deliver(in_flight, deliveries)
        return float((self._ask(what) - before) / delivered)

    def _deliver(self, in_flight: int, deliveries: int) -> int:
        assert self._crowd is not None
        messages = max(1, deliveries // self.members)
        with self._explained():
            self._crowd.deliver(messages, in_flight)
        return messages * self.members

    def _ask(self, what: object) -> Any:
        if self._child is None:
            raise MeasureError("a trial runs inside `with`: with Trial(…) as trial: …")
        try:
            self._child.order(what)
            return self._child.answer()
        except ChildError:
            with self._explained():
                raise CrowdError("the server has ended") from None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Raise `MeasureError`, with the last line that the server wrote, where a client fails."""
        try:
            yield
        except (CrowdError, OSError) as error:
            last = self._child.last_words if self._child is not None else ""
            says = f"; the server says: {last}" if last else ""
            raise MeasureError(f"{error}{says}") from None


def compare(
    trials: Mapping[str, Trial],
    *,
    in_flight: Sequence[int] = (1, 32),
    deliveries: int = 10_000,
    rounds: int | None = None,
) -> dict[str, dict[int, list[float]]]:
    """Return what a delivery costs in each of `trials`, in microseconds, once for each round.

    By name, and by `in_flight`. They take turns, so that what else the machine does falls on all
    alike. There are at least as many messages as are to be `in_flight`.

    Without `rounds` there are three, or as many as the variable CHATLIB_ROUNDS says: one is enough
    where nobody looks at the result, and so is a tenth of the deliveries.
    """
    if rounds is None:
        rounds = int(os.environ.get("CHATLIB_ROUNDS", "3"))
        deliveries //= 10 if rounds == 1 else 1
    costs: dict[str, dict[int, list[float]]] = {name: {} for name in trials}
    with contextlib.ExitStack() as stack:
        for trial in trials.values():
            stack.enter_context(trial)
        for number in [number for _ in range(rounds) for number in in_flight]:
            for name, trial in trials.items():
                enough = max(deliveries, number * trial.members)
                cost = trial.run(in_flight=number, deliveries=enough)
                costs[name].setdefault(number, []).append(cost)
    return costs


def stop() -> None:
    """End every server that still runs: after a cell was interrupted, say."""
    for trial in list(_running):
        trial.stop()
