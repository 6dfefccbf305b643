"""Locks between the processes of one machine, held on files, and let go of by who dies.

On Windows each is held on the first byte of its file, elsewhere on all of it.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

POLL_SECONDS = 0.01  # between two tries, where waiting has an end

if sys.platform == "win32":
    import msvcrt

    def take(descriptor: int, wait: bool) -> bool:
        """Lock the file; return whether that worked, which takes until it does with `wait`."""
        while True:
            try:
                os.lseek(descriptor, 0, os.SEEK_SET)
                msvcrt.locking(descriptor, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)
                return True
            except OSError:  # LK_LOCK gives up after ten seconds
                if not wait:
                    return False

    def give(descriptor: int) -> None:
        """Let go of the file."""
        os.lseek(descriptor, 0, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_UNLCK, 1)

    def is_free(descriptor: int) -> bool:
        """Return whether nobody has locked the file."""
        return take(descriptor, wait=False)

else:
    import fcntl

    def take(descriptor: int, wait: bool) -> bool:
        """Lock the file; return whether that worked, which takes until it does with `wait`."""
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            return False
        return True

    def give(descriptor: int) -> None:
        """Let go of the file."""
        fcntl.flock(descriptor, fcntl.LOCK_UN)

    def is_free(descriptor: int) -> bool:
        """Return whether nobody has locked the file."""
        try:  # shared: others may be asking the same
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


_files: set[int] = set()  # descriptors of files to lock


def open_file(path: str | Path) -> int:
    """Open a file to lock it; it is made if need be."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    _files.add(descriptor)
    return descriptor


def close_file(descriptor: int) -> None:
    """Close it, which lets go of it. Harmless a second time, and in a fork."""
    if descriptor in _files:
        _files.remove(descriptor)
        os.close(descriptor)


def _close_all() -> None:
    """Close what a fork has from its parent: it would hold the locks of a parent that has died."""
    for descriptor in list(_files):
        close_file(descriptor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_all)


class Held:
    """A lock on a file of its own, that is held until `close`, or the process ends.

    Raises:
        OSError: the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_file(path)
        take(self._file, wait=True)  # others may look at it for a moment

    @property
    def lost(self) -> bool:
        """Whether the file has been removed, so that the lock means nothing to others."""
        try:
            return not os.path.samestat(os.fstat(self._file), self.path.stat())
        except OSError:
            return True

    def close(self) -> None:
        """Let go, and remove the file."""
        mine = not self.lost
        if sys.platform == "win32":  # an open file cannot be removed there
            close_file(self._file)
        if mine:
            self.path.unlink(missing_ok=True)
        close_file(self._file)


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lock on `path`."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        return not is_free(descriptor)
    finally:
        os.close(descriptor)


class Turnstile:
    """A lock that processes get in the order in which they ask for it.

    SQLite's own waiting sleeps, and is unfair: with four writers one waited for more than a second.
    A lock on a file that is let go of and taken again at once is unfair as well. With two, the one
    that waits at the second is next, whoever comes.

    Args:
        path: the files are this with `-gate` and `-write` after it.
    """

    def __init__(self, path: str) -> None:
        self._gate, self._write = (open_file(path + end) for end in ("-gate", "-write"))

    @contextlib.contextmanager
    def turn(self, patience: float | None = None) -> Iterator[None]:
        """Hold the lock. Waiting for it blocks the thread, for `patience` seconds if that is given.

        Raises:
            TimeoutError: others held it for so long.
        """
        until = None if patience is None else time.monotonic() + patience
        take_until(self._gate, until)
        try:
            take_until(self._write, until)
        finally:
            give(self._gate)
        try:
            yield
        finally:
            give(self._write)

    def close(self) -> None:
        """Close the files. They stay: others may hold them."""
        close_file(self._gate)
        close_file(self._write)


def take_until(descriptor: int, until: float | None) -> None:
    """Lock the file, and wait for that; with a time `until`, raise `TimeoutError` then."""
    while not take(descriptor, wait=until is None):
        if until is not None and time.monotonic() > until:
            raise TimeoutError("it is locked by others for too long")
        time.sleep(POLL_SECONDS)
