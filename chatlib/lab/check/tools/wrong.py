"""What an app did otherwise than a rule says."""

import contextlib
from collections.abc import Iterator
from typing import TypeVar

from chatlib.lab.check.tools.mishap import shown

BLOCKS = "what blocks, time.sleep say, or a loop without `await`, lets nothing else happen: `await`"

T = TypeVar("T")


class Wrong(Exception):  # noqa: N818 - what an app did, and no error of the check's
    """An app did otherwise than a rule says.

    Args:
        expected: in words.
        got: in words.
        hint: what to look at, where that is not what the rule's own hint says.
        error: the exception of the reader's code that it is due to.
    """

    def __init__(
        self,
        expected: object,
        got: object,
        *,
        hint: str | None = None,
        error: BaseException | None = None,
    ) -> None:
        super().__init__(f"expected {expected}, got: {got}")
        self.parts = expected, got
        self.hint = hint
        self.error = error

    def where(self, case: str) -> "Wrong":
        """Return the same for one `case` of several."""
        expected, got = self.parts
        return Wrong(f"{expected} for {case}", got, hint=self.hint, error=self.error)


class Blocked(Wrong):
    """Code never gave way, so nothing else can be tried."""

    def __init__(self, where: str) -> None:
        super().__init__("an answer", where, hint=BLOCKS)


@contextlib.contextmanager
def in_case(case: str) -> Iterator[None]:
    """Have a `Wrong` that is raised meanwhile say in which `case` of several."""
    try:
        yield
    except Wrong as wrong:
        raise wrong.where(case) from None


def expect(got: T, expected: T, *, hint: str | None = None) -> None:
    """Raise `Wrong` unless `got` equals `expected`."""
    if got != expected:
        raise Wrong(shorten(expected), shorten(got), hint=hint)


def shorten(message: object) -> str:
    """Return the repr of `message`, cut where it is long."""
    text = shown(message)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"
