"""The figures of all processes of an app, by prometheus-client's multiprocess mode.

Each process writes its own into files of a folder, and whichever is asked reads the files of all.
prometheus-client does that for its own counters, one file for each process id; it has no way for
what is read when somebody asks, so here the files are written with its `MmapedDict`, and read with
its `MultiProcessCollector`. What the app counts with prometheus-client is in the same folder.

A process that was killed leaves its files. Its counters go on counting, or else sums would fall;
the next process that starts goes on in them. Its gauges are of nobody: `sweep` removes them. A
process id does not tell whether it lives, since another process may have it by now; so each process
holds locks on files, which the system lets go of when it dies.
"""

import contextlib
import functools
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.mmap_dict import mmap_key
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from chatlib.core.metrics.figures import Figure, Values
from chatlib.core.metrics.files import Files, Slot, keep
from chatlib.core.metrics.text import text_of
from chatlib.core.times import BOUNDS, Times, name_of_bound
from chatlib.stores.locks import Held, is_held

LIVES = ".alive"


def new_name() -> str:
    """Return what the gauges of a process are called, beside what is in them."""
    return f"{os.getpid()}-{secrets.token_hex(4)}"


class Shared:
    """The figures of this process, where others find them.

    Args:
        folder: is made if need be.

    Raises:
        OSError: it cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._told: dict[Figure, dict[tuple[str, ...], float]] = {}
        self._begin_gauges()
        self._begin_sums()

    def _begin_gauges(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        name = new_name()
        self._lives = Held(self.folder / f"{name}{LIVES}")
        self._gauges = Files(self.folder, name)

    def _begin_sums(self, before: Mapping[str, float] | None = None) -> None:
        self._slot = Slot(self.folder)
        self._sums = Files(self.folder, f"slot-{self._slot.number}", before)

    def write(self, figures: Mapping[Figure, Values | Times]) -> None:
        """Write all figures; `OSError` if that cannot be."""
        self._keep()
        for figure, values in figures.items():
            if figure.kind == "gauge":
                assert not isinstance(values, Times)
                past = self._told.setdefault(figure, {})
                for labels, value in {**past, **values}.items():
                    key = key_of(figure, figure.name, figure.labels, labels)
                    self._gauges.set(f"gauge_{figure.several}", key, value)
                    past[labels] = 0.0  # once it is no more: nothing can be taken out of a file
                continue
            for key, value in sums_of(figure, values):
                self._sums.set(figure.kind, key, value)

    def _keep(self) -> None:
        """Begin anew where somebody has tidied up."""
        try:
            keep(self._lives, self._gauges)
        except FileNotFoundError:
            self._end_gauges()
            self._begin_gauges()
        try:
            keep(self._slot, self._sums)
        except FileNotFoundError:
            self._sums.remove()
            self._slot.close()
            self._begin_sums(self._sums.before)

    def _end_gauges(self) -> None:
        self._gauges.close()
        with contextlib.suppress(FileNotFoundError):
            bury(self._gauges.name, self.folder)
        self._lives.close()

    def close(self) -> None:
        """Leave the sums to the others, and take the gauges away."""
        self._end_gauges()
        self._sums.close()
        self._slot.close()


def sums_of(figure: Figure, values: Values | Times) -> Iterator[tuple[str, float]]:
    """Yield each sum of a counter or a histogram, with its key in the file."""
    if not isinstance(values, Times):
        for labels, value in values.items():
            yield key_of(figure, figure.name, figure.labels, labels), value
        return
    for most, number in zip(BOUNDS, values.counts, strict=True):
        where = (name_of_bound(most),)
        yield key_of(figure, f"{figure.name}_bucket", ("le",), where), number
    yield key_of(figure, f"{figure.name}_sum", (), ()), values.seconds


@functools.cache
def key_of(figure: Figure, sample: str, names: tuple[str, ...], labels: tuple[str, ...]) -> str:
    """Return the key of a sample in the files."""
    family = figure.name.removesuffix("_total")
    return mmap_key(family, sample, list(names), list(labels), figure.help)


def bury(name: str, folder: Path) -> None:
    """Remove the gauges of a process; `FileNotFoundError` if somebody else does just now."""
    mark_process_dead(name, str(folder))  # type: ignore[no-untyped-call]


def sweep(folder: Path) -> None:
    """Remove the gauges of processes that live no more, those of the app's own as well."""
    for path in folder.glob(f"*{LIVES}"):
        if not is_held(path):
            with contextlib.suppress(FileNotFoundError):
                bury(path.stem, folder)
                path.unlink()
    for path in folder.glob("gauge_live*.db"):
        process = path.stem.rpartition("_")[2]  # just a number: prometheus-client has written it
        if process.isdecimal() and not runs(int(process)):
            with contextlib.suppress(FileNotFoundError):
                bury(process, folder)


def runs(process: int) -> bool:
    """Return whether there is a process with this number. On Windows nobody can ask safely."""
    if os.name != "posix":  # there, this `kill` kills
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # there is one, of another user
    return True


def text_of_all(folder: Path) -> bytes:
    """Return the figures of all processes as text: those of a dead one are in the sums alone."""
    sweep(folder)
    collector = MultiProcessCollector(None, str(folder))  # type: ignore[no-untyped-call]
    return text_of(sorted(collector.collect(), key=lambda metric: metric.name))  # type: ignore[no-untyped-call]
