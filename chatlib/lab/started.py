"""What a notebook has started, by name: running a cell again replaces the one before."""

import atexit
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar


class Stoppable(Protocol):
    """What can be stopped, and more than once."""

    def stop(self) -> object: ...


Kind = TypeVar("Kind", bound=Stoppable)


class Started(Generic[Kind]):
    """What was started, one under each name. All of it is stopped when this process ends."""

    def __init__(self) -> None:
        self._by_name: dict[str, Kind] = {}
        atexit.register(self.stop)

    def __len__(self) -> int:
        return len(self._by_name)

    def start(self, make: Callable[[], Kind], name: str = "") -> Kind:
        """Return what `make` makes, in place of what was started under this name, which is stopped.

        If `make` raises, there is none under this name.
        """
        if name in self._by_name:
            self._by_name.pop(name).stop()
        self._by_name[name] = made = make()
        return made

    def stop(self) -> None:
        """Stop all that was started. Harmless if there is none."""
        while self._by_name:
            self._by_name.popitem()[1].stop()
