"""What a point of the checklist is tried with: a place, callers for it, and what is known of it."""

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable
from typing import Any

from chatlib.lab.check.readiness.caller import LOST, Caller, RefusedError, call
from chatlib.lab.check.readiness.place import Place
from chatlib.lab.check.readiness.targets import Target
from chatlib.lab.check.tools.wrong import Wrong

ANSWER_SECONDS = 5.0  # how long an app that has much to do may take to answer somebody
QUIET_SECONDS = 1.0  # after which nothing comes any more

Say = str | Callable[[int], str]


class Remark(Exception):  # noqa: N818 - no error, and not all is well either
    """A point does not hold, and somebody may have seen to it elsewhere."""


class NotLookedAt(Exception):  # noqa: N818 - no error
    """A point cannot be tried here."""


class Bench:
    """Callers at one place, and what their messages do there.

    Args:
        target: the server.
        place: where it is.
        secret: the name of a parameter in the query that is a secret; empty for none.
        say: a message that the app takes, or what makes one of a number. None: any text.
        cap: how many connections are tried at most; None for the checklist's number.
        flood: how many messages are sent at once; None for the checklist's number.

    Attributes:
        answers: whether who says something hears something.
        fans_out: whether others hear it.
    """

    def __init__(
        self,
        target: Target,
        place: Place,
        secret: str,
        say: Say | None,
        cap: int | None = None,
        flood: int | None = None,
    ) -> None:
        self.target, self.place, self.secret, self.say = target, place, secret, say
        self.cap, self.flood = cap, flood
        self.answers = self.fans_out = False
        self.said = 0
        self.marker = ""

    def message(self, size: int = 0) -> tuple[str, str]:
        """Return a message, and what tells it from others; of `size` characters, if it may be."""
        self.said += 1
        if self.say is not None:
            return self.say if isinstance(self.say, str) else self.say(self.said), ""
        mark = f"hello {secrets.token_hex(4)}"
        return mark + "." * (size - len(mark)), mark

    @contextlib.asynccontextmanager
    async def caller(self, **options: Any) -> AsyncIterator[Caller]:
        """Let a client in meanwhile; `Wrong` if it is not. `options` are those of `call`."""
        try:
            caller = await call(self.place, **options)
        except RefusedError as refused:
            raise Wrong("a client to be let in", refused) from None
        try:
            yield caller
        finally:
            await caller.leave()

    async def learn(self) -> None:
        """Find out who hears what is said; `Wrong` if nobody is let in."""
        async with self.caller() as one, contextlib.AsyncExitStack() as stack:
            callers = [one]
            if "loopback" not in self.target.lacks:  # or else one connection has to do
                callers.append(await stack.enter_async_context(self.caller()))
            for each in callers:
                alive = await each.pong(ANSWER_SECONDS)
                if each.code is not None:
                    raise Wrong("a client to be let in", f"it is closed with {each.code}")
                if not alive:
                    raise Wrong("an answer to a ping", f"none within {ANSWER_SECONDS:.0f} s")
                each.forget()
            message, mark = self.message()
            await one.send(message)
            hearing = [self.hears(each, mark, QUIET_SECONDS) for each in callers]
            self.answers, self.fans_out = [*await asyncio.gather(*hearing), False][:2]
            if one.code is not None:
                raise Wrong(
                    "a client to stay when it says something",
                    f"it is closed with {one.code}",
                    hint="say='…', a message that your app takes, or a function that makes one",
                )

    async def hears(self, caller: Caller, mark: str, seconds: float) -> bool:
        """Return whether `caller` gets a message with `mark` in it, in time."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while (came := await caller.messages.get()) is not None:
                    text = came if isinstance(came, str) else came.decode(errors="replace")
                    if mark in text:
                        return True
        return False

    async def answered(self, caller: Caller, seconds: float = ANSWER_SECONDS) -> bool:
        """Return whether `caller` says something and is answered, or a ping is, in time."""
        if not self.answers:
            return await caller.pong(seconds)
        caller.forget()
        message, mark = self.message()
        await caller.send(message)
        return await self.hears(caller, mark, seconds)

    async def expect_answer(self, caller: Caller, who: str, hint: str | None = None) -> None:
        """Expect that `caller`, who is `who`, is answered."""
        if not await self.answered(caller):
            came = outcome(caller.code) or f"none within {ANSWER_SECONDS:.0f} s"
            raise Wrong(f"an answer for {who}", came, hint=hint)


def outcome(code: int | None) -> str:
    """Return how a connection was closed, in words; nothing if it is open."""
    if code is None:
        return ""
    return "it was cut without a close frame" if code == LOST else f"close {code}"
