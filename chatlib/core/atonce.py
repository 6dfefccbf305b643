"""Running a coroutine at once, as far as it goes without waiting, and the rest of it in a task.

Most sends need not wait: the server takes the message, and that is all. A task for each would cost
about as much CPU time as the send itself. Python 3.12 has eager tasks for that. This is for 3.11
too, and it makes one task for many coroutines.
"""

import asyncio
import contextvars
import types
from collections.abc import Coroutine, Generator
from typing import Any

Work = Coroutine[Any, Any, None]


class AtOnce:
    """Runs one coroutine at a time, on behalf of one task.

    For the coroutine that task is the current one, and its context the current one, from beginning
    to end, so that time-outs, locks and context variables work in it. `asyncio._enter_task` is for
    just that: see "Extending" in the documentation of asyncio.

    Args:
        loop: the event loop that it is used in.

    Attributes:
        busy: whether a coroutine has begun and not ended.
    """

    __slots__ = ("_context", "_rest", "_stopped", "_task", "_wake", "busy", "loop")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.busy = False
        self._context = contextvars.copy_context()
        self._task: asyncio.Task[None] | None = None
        self._rest: tuple[Work, Any] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._stopped = False

    def run(self, work: Work) -> None:
        """Run `work` now, up to where it waits for the first time. It may raise nothing.

        Call it in the loop, and not while `busy`.
        """
        if self._task is None:
            self._task = self.loop.create_task(self._go_on(), context=self._context)
            # One that is left to the garbage collector has no work, and is no mistake.
            self._task._log_destroy_pending = False  # type: ignore[attr-defined]
        caller = asyncio.current_task(self.loop)
        if caller is not None:
            asyncio._leave_task(self.loop, caller)
        asyncio._enter_task(self.loop, self._task)
        self.busy = True
        try:
            self._rest = work, self._context.run(work.send, None)
        except (StopIteration, asyncio.CancelledError):
            self.busy = False
        finally:
            asyncio._leave_task(self.loop, self._task)
            if caller is not None:
                asyncio._enter_task(self.loop, caller)
        if self.busy and self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def stop(self) -> None:
        """Cancel what is running, and run nothing more. Harmless a second time."""
        self._stopped = True
        # What the task has yet to go on with is cancelled by the task itself.
        if self._task is not None and self._rest is None:
            self._task.cancel()

    async def _go_on(self) -> None:
        while not self._stopped or self._rest is not None:
            cancelled = False
            if self._rest is None:
                self._wake = self.loop.create_future()
                try:
                    await self._wake
                except asyncio.CancelledError:
                    if self._rest is None:
                        raise
                    cancelled = True  # by a time-out of the work, which catches it
            assert self._rest is not None
            (work, waits_for), self._rest = self._rest, None
            try:
                await rest_of(work, waits_for, cancelled or self._stopped)
            finally:
                self.busy = False


@types.coroutine
def rest_of(work: Work, waits_for: Any, cancelled: bool) -> Generator[Any, Any, None]:
    """Run the rest of a coroutine that waits for `waits_for`; cancel it there if it is `cancelled`.

    What it waits for is cancelled first, as `Task.cancel` does it.
    """
    try:
        if cancelled and (waits_for is None or not waits_for.cancel()):
            waits_for = work.throw(asyncio.CancelledError())
        while True:
            try:
                came = yield waits_for
            except GeneratorExit:
                work.close()
                raise
            except BaseException as raised:
                waits_for = work.throw(raised)
            else:
                waits_for = work.send(came)
    except StopIteration:
        return
