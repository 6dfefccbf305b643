"""A room for code without an event loop: a script, a thread, a cell of a notebook."""

from concurrent.futures import Future
from contextlib import ExitStack
from functools import partial
from typing import Self

from anyio.from_thread import BlockingPortal, start_blocking_portal

from chatlib.client.errors import IncompleteHistoryError, LeftError
from chatlib.client.outbox import Receipt
from chatlib.client.room import Room
from chatlib.client.unread import Message


class BlockingRoom:
    """A `Room` whose methods block: a context manager, and an iterator of `Message`s.

        with BlockingRoom(join(url, token=token)) as room:
            room.say("hello")
            print(room.receive(timeout=10).text)

    It runs an event loop in a thread of its own, so it works where a loop runs already. What `join`
    was given to call is called in that thread. Any thread may say something; one at a time may
    iterate.

    Args:
        room: what `join` returned. Entering the block joins it, and raises as `join` says.

    Attributes:
        room: the `Room` itself, for what is only looked at: `blocking.room.people`.
        cursor: the place behind the last message that was returned.
    """

    def __init__(self, room: Room) -> None:
        self.room = room
        self.cursor = room.cursor
        self._stack = ExitStack()
        self._portal: BlockingPortal | None = None
        self._next: Future[Message] | None = None  # outlives an interrupt, and loses no message

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            portal = stack.enter_context(start_blocking_portal(name="chatlib room"))
            stack.enter_context(portal.wrap_async_context_manager(self.room))
            self._stack = stack.pop_all()
        self._portal = portal
        self.cursor = self.room.cursor
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()
        self._portal = None

    def say(
        self,
        text: str,
        *,
        to: str | None = None,
        key: str | None = None,
        timeout: float | None = None,
    ) -> Receipt:
        """Do as `Room.say`, for at most `timeout` seconds; `TimeoutError` leaves its doubt."""
        future = self._expect_open().start_task_soon(partial(self.room.say, text, to=to, key=key))
        try:
            return future.result(timeout)
        except BaseException:  # an interrupt, too
            future.cancel()
            raise

    def receive(self, timeout: float | None = None) -> Message:
        """Return the next message, as `Room` does when it is iterated over.

        Args:
            timeout: for how many seconds to wait; None: for as long as it takes.

        Raises:
            TimeoutError: there was none. An interrupt loses none either.
            LeftError: another thread has left the room.
            RoomError: see `Room`.
        """
        if self._next is None:
            self._next = self._expect_open().start_task_soon(self.room.__anext__)
        try:
            message = self._next.result(timeout)
        except TimeoutError:
            raise
        except Exception as error:
            self._next = None
            if isinstance(error, StopAsyncIteration):
                raise LeftError("the room was left while this waited") from None
            if isinstance(error, IncompleteHistoryError):
                self.cursor = error.after
            raise
        self._next = None
        self.cursor = message.cursor
        return message

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Message:
        try:
            return self.receive()
        except LeftError:
            raise StopIteration from None

    def _expect_open(self) -> BlockingPortal:
        if self._portal is None:
            raise RuntimeError("this room was not joined: write `with BlockingRoom(join(…)):`")
        return self._portal
