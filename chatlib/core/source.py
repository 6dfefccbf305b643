"""What a line is written from."""

from typing import Protocol


class Source(Protocol):
    """What a line is written from: its place in the log of one room."""

    @property
    def left(self) -> bool:
        """Whether it takes nothing that is published from now on."""

    def next_stamp(self) -> int | None:
        """Return the stamp of the next frame for this client, or None if there is none now."""

    def take_one(self) -> bytes:
        """Take the next frame, and move on behind it."""

    def take_chunk(self) -> bytes:
        """Take all that there is, or about `CHUNK` bytes of it, and move on behind them."""

    def count(self, frames: int, size: int) -> None:
        """Note that so many frames were written, of `size` bytes."""

    def leave(self) -> None:
        """Take nothing that is published from now on."""

    def on_pause(self) -> None:
        """The line takes no more for now."""

    def on_resume(self) -> None:
        """The line takes more again."""

    def on_end(self) -> None:
        """The line has ended."""
