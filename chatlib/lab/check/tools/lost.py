"""Exceptions of tasks that nobody awaits, so that nobody hears of them."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from chatlib.lab.check.tools.mishap import in_words, let_go
from chatlib.lab.check.tools.wrong import Wrong

NOBODY_AWAITS = "await each send, or the task that does it: else nobody hears of what it raises"


@contextmanager
def none_lost() -> Iterator[None]:
    """Expect that in the running event loop no task is forgotten, meanwhile, with its exception.

    Raises:
        Wrong: there is one. It is not logged then, as asyncio does.
    """
    loop = asyncio.get_running_loop()
    handler = loop.get_exception_handler()
    lost: list[BaseException] = []

    def note(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if "never retrieved" in context["message"]:
            lost.append(context["exception"])
        elif handler is not None:
            handler(loop, context)
        else:
            loop.default_exception_handler(context)

    loop.set_exception_handler(note)
    try:
        yield
    finally:
        gc.collect()  # a task says so once nobody can ask for its exception any more
        loop.set_exception_handler(handler)
        came = [f"{in_words(error)}, in a task whose result nobody awaits" for error in lost]
        for error in lost:
            let_go(error)
    if came:
        raise Wrong("no exception to be lost", came[0], hint=NOBODY_AWAITS)
