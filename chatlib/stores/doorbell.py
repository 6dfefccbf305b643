"""How the processes that share a file tell each other that there is something new in it.

Each has a Unix datagram socket in a folder beside the file, and a lock that dies with it. A ring
that finds no room in a socket is dropped: that bell is ringing already. On Windows, where Python
has no such sockets, nobody rings, and everybody looks often.
"""

import contextlib
import errno
import os
import secrets
import select
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path

from chatlib.stores.locks import Held, is_held

RING_BYTES = 32 * 1024  # the longest ring. macOS takes 2 KB, unless it is told otherwise
NO_WORDS = b"{}"  # a ring that says nothing: look for yourself
PATH_BYTES = 100  # about as long as the path of a Unix socket may be


class Doorbell:
    """The bell of one process, and those of the others.

    Args:
        folder: where all of them are. It is made if need be, and made anew if it is removed.

    Attributes:
        name: of this process among them; a new one after its bell was removed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._held: Held | None = None
        self._socket: socket.socket | None = None
        self._senders: dict[str, socket.socket] = {}  # by whose bell they ring
        self._handle: int | None = None
        self._place()

    def _place(self) -> None:
        """Make the lock and the socket, under a new name."""
        try:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            self.name = f"{os.getpid()}-{secrets.token_hex(4)}"
            self._held = Held(self._folder / f"{self.name}.lock")
            self._bind()
        except BaseException:
            self._remove()
            raise

    def _bind(self) -> None:
        if sys.platform == "win32":
            return
        if len(os.fsencode(self._at(self.name))) > PATH_BYTES:
            if not sys.platform.startswith("linux"):
                return
            self._handle = os.open(self._folder, os.O_RDONLY)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(self._at(self.name))

    def _at(self, name: str) -> str:
        """Return the address of a bell. Where that is too long, Linux has a way round it."""
        if self._handle is not None:
            return f"/proc/self/fd/{self._handle}/{name}.bell"
        return str(self._folder / f"{name}.bell")

    @property
    def rings(self) -> bool:
        """Whether others can ring here. If not, look often."""
        return self._socket is not None

    def replaced(self) -> bool:
        """Return whether the bell had been removed, and is there anew under another name."""
        if self._held is not None and not self._held.lost:
            return False
        with self._lock:
            self._remove()
            self._place()
        return True

    def ring(self, write: Callable[[], bytes]) -> None:
        """Ring at all others, with what `write` returns if there are any. In any thread."""
        with self._lock:
            if self._socket is None:
                return
            others = self._others(".bell")
            for gone in self._senders.keys() - others:
                self._senders.pop(gone).close()
            data = write() if others else b""
            for other in others:
                # Full: it is ringing. Refused: its process is dead, as `lives` finds out.
                with contextlib.suppress(OSError):
                    send(self._sender(other), data)

    def _sender(self, other: str) -> socket.socket:
        """Return a socket that leads to the bell `other`, and to no other one.

        What a process does not read fills up the socket of who sends it, for all that is sent.
        """
        if other not in self._senders:
            sender = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            try:
                sender.setblocking(False)
                sender.connect(self._at(other))
            except BaseException:
                sender.close()
                raise
            self._senders[other] = sender
        return self._senders[other]

    def wait(self, seconds: float) -> list[bytes]:
        """Wait until somebody rings, `seconds` at most; return what they sent."""
        if self._socket is None:
            threading.Event().wait(seconds)
            return []
        heard: list[bytes] = []
        poll = select.poll()  # select() takes no descriptor above 1023
        poll.register(self._socket, select.POLLIN)
        if poll.poll(seconds * 1000):
            with contextlib.suppress(BlockingIOError):
                while len(heard) < 100:
                    heard.append(self._socket.recv(RING_BYTES))
        return heard

    def dead(self) -> set[str]:
        """Return the names of the processes that have died and left something here."""
        names = {*self._others(".bell"), *self._others(".lock")}
        return {name for name in names if not self.lives(name)}

    def lives(self, name: str) -> bool:
        """Return whether a process lives."""
        return name == self.name or is_held(self._folder / f"{name}.lock")

    def sweep(self, name: str) -> None:
        """Remove what a dead process has left."""
        for end in (".bell", ".lock"):
            (self._folder / (name + end)).unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the bell. The others find out that this process has ended."""
        with self._lock:
            self._remove()

    def _remove(self) -> None:
        while self._senders:
            self._senders.popitem()[1].close()
        if self._socket is not None:
            self._socket.close()
            self._socket = None
            with contextlib.suppress(OSError):  # it is gone
                (self._folder / f"{self.name}.bell").unlink()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
        if self._held is not None:
            self._held.close()
            self._held = None

    def _others(self, end: str) -> list[str]:
        try:
            files = os.listdir(self._folder)  # noqa: PTH208 - names alone, with each batch
        except OSError:  # the folder is gone, or something else is there
            return []
        names = [file.removesuffix(end) for file in files if file.endswith(end)]
        return [name for name in names if name != self.name]


def send(sender: socket.socket, data: bytes) -> None:
    """Send `data`; where the system takes no datagram that long, one that says nothing."""
    try:
        sender.send(data)
    except OSError as error:
        if error.errno != errno.EMSGSIZE:
            raise
        sender.send(NO_WORDS)
