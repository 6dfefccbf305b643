"""Lines without a network, and event loops that turn when a test says so."""

import asyncio
import queue
import threading
from concurrent.futures import Future

from starlette.websockets import WebSocketState

from chatlib.core.frames import decode
from chatlib.core.line import EXTENSION, Line


class FakeLine(Line):
    """A line that keeps what is written to it, and is full when a test says so.

    At the write number `full_after` it does what `then` says: `"fill"`, `"end"`, `"abort"`; or it
    raises, for `"fail"`.
    """

    def __init__(self, full_after=None, then="fill"):
        super().__init__(asyncio.get_running_loop(), asyncio.Event())
        self.writable.set()
        self.writes, self.taken, self.aborted = [], 0, False
        self.full_after, self.then = full_after, then

    def write(self, frames):
        now = len(self.writes) + 1 == self.full_after
        if now and self.then == "fail":
            raise OSError("broken")
        self.writes.append(frames)
        if now:
            getattr(self, self.then)()

    def fill(self):
        self.writable.clear()
        self.pause()

    def drain(self):
        self.full_after = None
        self.take()

    def take(self):
        """Take more, until `full_after` writes are done."""
        self.writable.set()
        self.resume()

    def progress(self):
        return self.taken

    def abort(self, after=0.0):
        self.end()
        if after > 0:
            self.loop.call_later(after, self.abort)
        else:
            self.aborted = True

    @property
    def texts(self):
        return [message["text"] for frames in self.writes for message in decode(frames)]


class FakeSocket:
    """As much of a WebSocket as a room looks at."""

    client_state = application_state = WebSocketState.CONNECTED

    def __init__(self, line=FakeLine, **options):
        self.line = line(**options)
        self.scope = {"path": "/ws", "extensions": {EXTENSION: {"line": self.line}}}


class Place:
    """An event loop in a thread of its own, that turns only while `run` is called."""

    def __init__(self, clock, guard_seconds):
        self.guard_seconds = guard_seconds
        self.errors = []
        self.loop = asyncio.new_event_loop()
        self.loop.time = clock
        self.loop.set_exception_handler(self._note)
        self._asked = queue.SimpleQueue()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        for result, function, argument in iter(self._asked.get, None):
            try:
                result.set_result(function(*argument))
            except BaseException as error:
                result.set_exception(error)

    def _note(self, loop, context):
        if "was destroyed" not in context["message"]:  # as those of a loop that was closed are
            self.errors.append(context)

    def _call(self, function, *argument):
        result = Future()
        self._asked.put((result, function, argument))
        return result.result(self.guard_seconds)

    def run(self, coroutine):
        """Have `coroutine` run there, and return its result once it is done."""
        return self._call(self.loop.run_until_complete, coroutine)

    def close(self):
        """Close the loop, whatever is due in it, and end the thread."""
        self._call(self.loop.close)
        self._asked.put(None)

    @property
    def closed(self):
        return self.loop.is_closed()
