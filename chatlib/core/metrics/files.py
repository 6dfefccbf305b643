"""Files of figures, as prometheus-client reads them; and which process writes which."""

import itertools
import os
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client.mmap_dict import MmapedDict

from chatlib.stores.locks import Held, close_file, open_file, take

FILE_BYTES = 64 * 1024  # more than all keys need


class Files:
    """Files of figures that one process writes, each with a kind of them.

    What is in them already stays: what is written is added to it.

    Args:
        folder: where they are.
        name: what they have in their names.
        before: what is to be added as well, by key.
    """

    def __init__(self, folder: Path, name: str, before: Mapping[str, float] | None = None) -> None:
        self.folder = folder
        self.name = name
        self.before = dict(before or {})
        self._files: dict[Path, MmapedDict] = {}

    def set(self, kind: str, key: str, value: float) -> None:
        """Write a figure; `OSError` if there is no place for the file."""
        path = self.folder / f"{kind}_{self.name}.db"
        file = self._files.get(path) or self._open(path)
        file.write_value(key, self.before.get(key, 0.0) + value, 0.0)  # type: ignore[no-untyped-call]

    def _open(self, path: Path) -> MmapedDict:
        if not path.exists():
            # Others may read it at once, and never see a file without a beginning. And what is
            # written now has its place on the disk: to write to a map without one kills a process.
            new = path.with_suffix(".new")
            new.write_bytes(struct.pack("i", 8) + bytes(FILE_BYTES - 4))
            new.replace(path)
        file = self._files[path] = MmapedDict(path)  # type: ignore[no-untyped-call]
        for key, value, _ in self._values(file):
            self.before[key] = self.before.get(key, 0.0) + value
        return file

    @staticmethod
    def _values(file: MmapedDict) -> Iterator[tuple[str, float, float]]:
        yield from file.read_all_values()  # type: ignore[no-untyped-call]

    def touch(self) -> None:
        """Say that they are in use, to what tidies up by age.

        Raises:
            FileNotFoundError: one is gone.
        """
        for path in self._files:
            os.utime(path)

    def close(self) -> None:
        """Close the files. They stay."""
        for file in self._files.values():
            file.close()  # type: ignore[no-untyped-call]
        self._files.clear()

    def remove(self) -> None:
        """Close the files, and remove those that are there."""
        paths = list(self._files)
        self.close()
        for path in paths:
            path.unlink(missing_ok=True)


class Slot(Held):
    """The lowest number that no living process has: 1, 2, 3 … It is held until `close`.

    A process that starts goes on in the files of one that has ended, so there are never more files
    than for the processes that lived at one time.

    Raises:
        OSError: the folder cannot be used.
    """

    def __init__(self, folder: Path) -> None:
        for number in itertools.count(1):
            self.path = folder / f"{number}.slot"
            self._file = open_file(self.path)
            if take(self._file, wait=False):
                self.number = number
                return
            close_file(self._file)

    def close(self) -> None:
        """Let go of the number."""
        close_file(self._file)


def keep(lock: Held, files: Files) -> None:
    """Say that a lock and files are in use; `FileNotFoundError` if something of that is gone."""
    if lock.lost:
        raise FileNotFoundError(lock.path)
    os.utime(lock.path)
    files.touch()
