"""Locks between the processes of one machine, held on files, and let go of by who dies.

On Windows each is held on the first byte of its file, elsewhere on all of it.
"""

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

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


class Held:
    """A lock on a file, made if need be, that is held until `close`, or the process ends.

    Raises:
        OSError: another process holds it, or the file cannot be made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        if not take(self._file, wait=False):
            os.close(self._file)
            raise OSError(f"another process holds {path}")

    @property
    def lost(self) -> bool:
        """Whether the file has been removed, so that the lock means nothing to others."""
        try:
            return not os.path.samestat(os.fstat(self._file), self.path.stat())
        except FileNotFoundError:
            return True

    def close(self) -> None:
        """Let go, and remove the file."""
        if sys.platform == "win32":  # an open file cannot be removed there
            os.close(self._file)
        if not self.lost_or_closed():
            self.path.unlink(missing_ok=True)
        if sys.platform != "win32":
            os.close(self._file)

    def lost_or_closed(self) -> bool:
        """Whether the file at the path is not the one that is held."""
        return sys.platform != "win32" and self.lost


def is_held(path: Path) -> bool:
    """Return whether a living process holds the lock on `path`."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        return not take(descriptor, wait=False)
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
        self._gate, self._write = (
            os.open(path + end, os.O_RDWR | os.O_CREAT, 0o600) for end in ("-gate", "-write")
        )

    @contextlib.contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the lock. Waiting for it blocks the thread."""
        take(self._gate, wait=True)
        try:
            take(self._write, wait=True)
        finally:
            give(self._gate)
        try:
            yield
        finally:
            give(self._write)

    def close(self) -> None:
        """Close the files. They stay: others may hold them."""
        os.close(self._gate)
        os.close(self._write)
