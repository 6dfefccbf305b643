"""Frames of a ring, joined once for all who read from the same place."""

from chatlib.core.line import CHUNK
from chatlib.core.ring import Ring


class Chunks:
    """What was joined since the last `clear`.

    Args:
        ring: where the frames are.
    """

    def __init__(self, ring: Ring) -> None:
        self.ring = ring
        self._found: dict[int, tuple[int, bytes, int]] = {}

    def at(self, place: int, until: int) -> tuple[int, bytes, int]:
        """Return how many frames there are from `place` on, those frames, and where they end.

        They are about `CHUNK` bytes at most.
        """
        found = self._found.get(place)
        if found is None or found[2] > until:
            frames, end = self.ring.read(place, until, CHUNK)
            found = (len(frames), b"".join(frames), end)
            if frames:
                self._found[place] = found
        return found

    def clear(self) -> None:
        """Forget them."""
        self._found.clear()
