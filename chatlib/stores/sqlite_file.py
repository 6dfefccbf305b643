"""Connections to the file of a SQLite store."""

import contextlib
import os
import re
import sqlite3
from pathlib import Path

from chatlib.stores.sqlite_log import APPLICATION, SCHEMA, VERSION

# File systems whose locks or shared memory do not reach from one machine to another.
NETWORKS = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "fuse.sshfs", "glusterfs"}


class File:
    """Where a store is, and how well it is kept.

    Args:
        path: of the file. Its folder has to be there.
        synchronous: `"FULL"` or `"NORMAL"`, as SQLite has it.
        patience: how many seconds a connection waits for a lock of SQLite.
    """

    def __init__(self, path: Path, synchronous: str, patience: float) -> None:
        self.path = path
        self.synchronous = synchronous
        self.patience = patience

    def expect_place(self) -> None:
        """Raise `OSError` if there can be no such file at the path."""
        folder = self.path.parent
        if not folder.is_dir():
            raise OSError(f"cannot keep messages in {self.path}: there is no folder {folder}")
        if self.path.is_dir():
            raise OSError(f"cannot keep messages in {self.path}: it is a folder, and no file")
        if (kind := file_system(folder)) in NETWORKS:
            raise OSError(
                f"cannot keep messages in {self.path}: it is on a network file system ({kind}), "
                "where SQLite's locks do not hold. Take a disk of this machine"
            )

    def is_ready(self) -> bool:
        """Return whether the file is there with its tables. `OSError` if it is something else's."""
        if not self.path.exists():
            return False
        try:
            with contextlib.closing(self.connect()) as connection:
                return self._is_ours(connection)
        except sqlite3.Error:
            return False  # `prepare` tells what is wrong

    def prepare(self) -> None:
        """Make the file and its tables.

        Raises:
            OSError: that cannot be, or it is the file of something else.
        """
        try:
            with contextlib.closing(self.connect()) as connection:
                self._is_ours(connection)
                connection.executescript(SCHEMA)
        except sqlite3.Error as error:
            raise OSError(f"cannot keep messages in {self.path}: {error}") from error

    def _is_ours(self, connection: sqlite3.Connection) -> bool:
        """Return whether the tables are there. `OSError` if there are others."""
        application, version, tables = (
            connection.execute(question).fetchone()[0]
            for question in (
                "PRAGMA application_id",
                "PRAGMA user_version",
                "SELECT count(*) FROM sqlite_schema",
            )
        )
        if application == APPLICATION and version != VERSION:
            raise OSError(
                f"cannot keep messages in {self.path}: it is of another version of chatlib, with "
                f"tables of version {version}, where this one has {VERSION}"
            )
        if application != APPLICATION and tables:
            raise OSError(f"cannot keep messages in {self.path}: another program's database")
        return bool(application == APPLICATION)

    def connect(self) -> sqlite3.Connection:
        """Return a new connection, for any thread, one at a time."""
        connection = sqlite3.connect(
            self.path, timeout=self.patience, isolation_level=None, check_same_thread=False
        )
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            if mode != "wal":
                raise sqlite3.OperationalError(f"no write-ahead log is possible here, only {mode}")
            connection.execute(f"PRAGMA synchronous = {self.synchronous}")
        except BaseException:
            connection.close()
            raise
        return connection


class Link:
    """A connection to the file that is at the path now. For one thread at a time.

    Args:
        file: which one.

    Attributes:
        generation: which connection this is, counted from 1.
    """

    def __init__(self, file: File) -> None:
        self.generation = 0
        self._file = file
        self._connection: sqlite3.Connection | None = None
        self._identity: tuple[int, int] | None = None

    def get(self) -> sqlite3.Connection:
        """Return the connection; a new one if the file was removed, or another one is there.

        Raises:
            OSError, sqlite3.Error: there is none to be had.
        """
        if self._connection is not None and self._identity != self._now():
            self.drop()
        if self._connection is None:
            if self._now() is None:
                self._file.prepare()
            self._connection = self._file.connect()
            self._identity = self._now()
            self.generation += 1
        return self._connection

    def drop(self) -> None:
        """Close the connection, if there is one."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    @property
    def in_transaction(self) -> bool:
        """Whether a transaction is open."""
        return self._connection is not None and self._connection.in_transaction

    def _now(self) -> tuple[int, int] | None:
        try:
            status = self._file.path.stat()
        except FileNotFoundError:
            return None
        return status.st_dev, status.st_ino


def file_system(folder: Path) -> str | None:
    """Return the kind of file system that `folder` is on, as Linux calls it; elsewhere None."""
    device = folder.stat().st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}" if hasattr(os, "major") else ""
    try:
        mounts = Path("/proc/self/mountinfo").read_text("utf-8", "replace")
    except OSError:
        return None
    found = re.search(rf"^\d+ \d+ {wanted} .* - (\S+) ", mounts, re.MULTILINE)
    return found[1] if found else None
