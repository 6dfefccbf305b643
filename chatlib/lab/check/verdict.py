"""Trying one rule, and saying in words why it does not hold."""

import asyncio
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import WebSocketDisconnect

from chatlib.lab.check.tools.mishap import FORGOTTEN, hint_on, let_go, place_of, told
from chatlib.lab.check.tools.wrong import Wrong

RAISES = "look at that line first: the exception ended your function there"


async def failure(
    attempt: Callable[[Any], Awaitable[None]], subject: Any, seconds: float
) -> BaseException | None:
    """Try a rule and return what it raised, a `Wrong` if that was the end of our patience."""
    try:
        async with asyncio.timeout(seconds) as deadline:
            await attempt(subject)
    except TimeoutError as error:
        if not deadline.expired():
            return error
        stack = list(traceback.walk_tb((error.__cause__ or error).__traceback__))
        place = place_of((frame.f_code.co_filename, line) for frame, line in reversed(stack))
        came = f"none within {seconds:.0f} s"
        return Wrong("an answer", came + (f"; it still waits at\n  {place}" if place else ""))
    except BaseException as error:  # SystemExit too, of which nobody else would hear
        return error
    return None


def explained(
    error: BaseException,
    rule_hint: str,
    essential: bool,
    logged: Sequence[BaseException | None],
    warning: Callable[[], tuple[str, str] | None],
) -> tuple[str, str]:
    """Return in words what made a rule fail, and the hint that fits.

    Args:
        error: what the rule raised.
        rule_hint: the rule's own hint, where there is none that fits better.
        essential: whether it is a rule with which one begins.
        logged: what servers logged meanwhile.
        warning: returns in words, and with a hint, which coroutine was never awaited, if any.
    """
    came, hint, cause = "", rule_hint, error
    if isinstance(error, Wrong):
        came, hint = str(error), error.hint or rule_hint
        raised = (each for each in logged if not isinstance(each, WebSocketDisconnect | None))
        cause = error.error or next(raised, error)  # a client that leaves is no reason
    if cause is not error or not came:
        story = told(cause)
        came = f"{came}\n{story}".lstrip()
        # How to begin is no hint where something was begun.
        begun = essential and "your code raised" in story
        hint = hint_on(cause) or (RAISES if begun else hint)
        let_go(cause)
    if "<coroutine" in came:
        hint = FORGOTTEN
    warned = warning()
    if warned is not None:
        came, hint = f"{came}\n{warned[0]}", warned[1]
    return came, hint
