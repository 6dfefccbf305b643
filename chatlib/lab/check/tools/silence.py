"""A client that says nothing for hours, without waiting for it."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar, copy_context
from typing import Any

from starlette.types import ASGIApp

from chatlib.lab.check.tools.bench import Bench, Wrong
from chatlib.lab.check.tools.puppet import Puppet, turns

PLAY_SECONDS = 3.0  # how long an app may take for what is done at once
END_SECONDS = 0.5  # how long the handler may take to end
ROUNDS = 3  # of timers that run out one after the other
TIMES = 200  # more than a handler that counts them is likely to expect
SILENCE = "a client that said nothing for hours to be answered"
STAYS = "the handler ends when its client leaves and not before: no timeout ends it, and no count"

# Whether a timer is set by the handler of the client that is played, or by a task of it.
playing: ContextVar[bool] = ContextVar("playing", default=False)


async def stays_for_long(
    bench: Bench, path: str, *, text: str = "hello", messages: int = 1, times: int = TIMES
) -> None:
    """Expect that a client is answered as ever after hours of silence, and after many texts.

    Args:
        bench: with the server in whose event loop the client is played.
        path: where it connects.
        text: what it sends.
        messages: with how many messages that is answered.
        times: how often it sends that.
    """
    # An app may know one event loop alone: that in which its connections are served.
    play = asyncio.run_coroutine_threadsafe(
        played(bench.server.app, Puppet(path), text, messages, times), bench.server.loop
    )
    if (wrong := await asyncio.wrap_future(play)) is not None:
        raise wrong


async def played(
    app: ASGIApp, puppet: Puppet, text: str, messages: int, times: int
) -> Wrong | None:
    """Play the client, and return what was wrong."""

    async def is_answered() -> bool:
        puppet.heard.clear()
        puppet.says(text)
        hears = asyncio.ensure_future(puppet.hears_messages(messages))
        await asyncio.wait({hears, handler}, return_when=asyncio.FIRST_COMPLETED)
        return not hears.cancel()

    context = copy_context()
    context.run(playing.set, True)
    with timers_while_playing() as run_out:
        running = as_coroutine(app, puppet)
        handler = asyncio.get_running_loop().create_task(running, context=context)
        try:
            async with asyncio.timeout(PLAY_SECONDS):
                if not await is_answered():
                    return None  # it was, on the network: this app wants more than is played here
                for _ in range(ROUNDS):
                    await turns()
                    run_out()
                if not await is_answered():
                    return ended(handler, SILENCE)
                for _ in range(times):
                    if not await is_answered():
                        return ended(handler, f"each of {times} texts to be answered")
        except TimeoutError:
            return None  # it is slow, which is the concern of other rules
        finally:
            puppet.goes(1000)
            await asyncio.wait([handler], timeout=END_SECONDS)
            handler.cancel()
            await asyncio.wait([handler], timeout=END_SECONDS)
            raised_by(handler)  # asked for once; it is the concern of another rule
    return None


async def as_coroutine(app: ASGIApp, puppet: Puppet) -> None:
    """Run `app` for the client."""
    await app(puppet.scope, puppet.receive, puppet.send)


def ended(handler: asyncio.Task[None], expected: str) -> Wrong:
    """Return that `handler` had ended, with what it raised."""
    return Wrong(expected, "the handler had ended", hint=STAYS, error=raised_by(handler))


def raised_by(handler: asyncio.Task[None]) -> BaseException | None:
    """Return what `handler` raised, if it did."""
    return handler.exception() if handler.done() and not handler.cancelled() else None


@contextlib.contextmanager
def timers_while_playing() -> Iterator[Callable[[], None]]:
    """Note the timers that the played handler sets; yields a function that has them run out.

    Those of other tasks in this event loop, the server's say, are left alone.
    """
    loop: Any = asyncio.get_running_loop()
    noted: list[tuple[asyncio.TimerHandle, Callable[..., object], tuple[Any, ...]]] = []

    def noting(ask: Callable[..., asyncio.TimerHandle]) -> Callable[..., asyncio.TimerHandle]:
        def note(when: float, callback: Any, *args: Any, **options: Any) -> asyncio.TimerHandle:
            timer = ask(when, callback, *args, **options)
            if playing.get():
                noted.append((timer, callback, args))
            return timer

        return note

    def run_out() -> None:
        due = noted.copy()
        noted.clear()
        for timer, callback, args in due:
            if not timer.cancelled():
                timer.cancel()
                callback(*args)

    names = ("call_later", "call_at")
    for name in names:
        setattr(loop, name, noting(getattr(loop, name)))
    try:
        yield run_out
    finally:
        for name in names:
            delattr(loop, name)
