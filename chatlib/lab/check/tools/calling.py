"""Calling a function of the reader's, whichever kind it is, and saying what it is if none."""

import asyncio
import contextlib
import inspect
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

from chatlib.lab.check.tools.mishap import cut, place_of, shown
from chatlib.lab.check.tools.wrong import Wrong

CALL_SECONDS = 2.0  # how long one call may take
NO_RETURN = "the function ends without `return`, so it returns None"


async def call(function: Any, *arguments: Any, takes: str) -> Any:
    """Return what `function` returns, be it plain or async.

    A plain one has a thread to itself, where it may block, and run an event loop of its own.

    Args:
        function: what the reader handed in.
        arguments: what it is called with.
        takes: these arguments in words, as in `(url, text)`.

    Raises:
        Wrong: it cannot be called so, or did not come back in time.
    """
    expect_function(function, takes, len(arguments))
    try:
        async with asyncio.timeout(CALL_SECONDS) as deadline:
            if is_async(function):
                return await function(*arguments)
            returned = await in_thread(function, *arguments)
            return await returned if inspect.isawaitable(returned) else returned
    except TimeoutError as error:
        if not deadline.expired():
            raise
        if isinstance(error.__cause__, asyncio.CancelledError):
            stack = traceback.walk_tb(error.__cause__.__traceback__)
            lines = [(frame.f_code.co_filename, line) for frame, line in reversed(list(stack))]
            raise still_there(place_of(lines), "nothing more comes there") from None
        raise


def still_there(place: str | None, hint: str) -> Wrong:
    """Return that a call did not come back, and where it is."""
    came = f"none within {CALL_SECONDS:.0f} s"
    came += f"; your code is still at\n  {place}" if place else ""
    return Wrong("an answer", came, hint=hint if place else None)


def is_async(function: Any) -> bool:
    """Return whether calling `function` gives a coroutine, as far as it shows."""
    while hasattr(function, "func") and hasattr(function, "keywords"):  # functools.partial
        function = function.func
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004 - its kind, and not whether there is one
    )


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call `function` in a thread that nobody has to wait for.

    Raises:
        Wrong: it has not come back when this coroutine is cancelled.
    """
    loop, done = asyncio.get_running_loop(), asyncio.Event()
    result: list[Any] = []
    raised: list[BaseException] = []

    def run() -> None:
        try:
            result.append(function(*arguments))
        except BaseException as error:
            raised.append(error)
        with contextlib.suppress(RuntimeError):  # the loop was not there any more
            loop.call_soon_threadsafe(done.set)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        await done.wait()
    except asyncio.CancelledError:
        frame = sys._current_frames().get(thread.ident or 0)
        stack = traceback.walk_stack(frame) if frame else ()
        place = place_of((frame.f_code.co_filename, line) for frame, line in stack)
        hint = "it never comes back from there; restart the kernel to be rid of it"
        raise still_there(place, hint) from None
    if raised:
        raise raised[0]
    return result[0]


def expect_function(function: Any, takes: str, count: int | None = None) -> None:
    """Raise `Wrong` unless `function` is one and takes `count` arguments, which are `takes`."""
    wanted = f"a function that takes {takes}"
    hint = "hand in the name of the function alone, without brackets behind it"
    if inspect.iscoroutine(function):
        function.close()
        raise Wrong(wanted, "a coroutine, which a call of it gave", hint=hint)
    if isinstance(function, type):
        name = function.__name__
        raise Wrong(
            wanted, f"the class {name}", hint=f"hand in a function, or an instance: {name}()"
        )
    if not callable(function):
        raise Wrong(wanted, shown(function), hint=hint)
    if count is None:
        return
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # one that is written in C may not say
        return
    try:
        signature.bind(*[None] * count)
    except TypeError:
        name = getattr(function, "__name__", f"an object of the class {type(function).__name__}, ")
        has = cut(f"{name}{signature}")
        raise Wrong(wanted, has, hint=f"its parameters are {takes}") from None


def expect_plain(name: str, got: Any) -> None:
    """Raise `Wrong` where a method, which is called without `await`, gave a coroutine."""
    if inspect.iscoroutine(got):
        got.close()
        hint = f"write `def {name}`: there is nothing to wait for"
        raise Wrong(f"{name} to be a plain function", "`async def`", hint=hint)


def expect_returned(
    got: Any, kind: type | tuple[type, ...], words: str, hint: str | None = None
) -> None:
    """Raise `Wrong` unless a call returned a `kind`, which is `words`."""
    if isinstance(got, kind):
        return
    if got is None:
        raise Wrong(words, "None", hint=NO_RETURN)
    if inspect.isgenerator(got) or inspect.isasyncgen(got):
        raise Wrong(words, "a generator", hint="`return` the whole at the end, and `yield` nothing")
    raise Wrong(words, shown(got), hint=hint)
