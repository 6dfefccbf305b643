"""Rules that a real client tries on a real server, and the report of what came of them."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

import websockets
from websockets.asyncio.client import ClientConnection

from chatlib.lab.serve import Server, ServerError, server_of
from chatlib.lab.wire import Event

RULE_SECONDS = 3.0  # how long the app may take over one rule
ALIVE_SECONDS = 1.0  # how long its event loop may take to answer at all

WIDTH = 100  # of a report, in characters

T = TypeVar("T")


class Wrong(Exception):
    """An app did otherwise than a rule says."""

    def __init__(self, expected: object, got: object) -> None:
        super().__init__(f"expected {expected}, got: {got}")


def expect(got: T, expected: T) -> None:
    """Raise `Wrong` unless `got` equals `expected`."""
    if got != expected:
        raise Wrong(repr(expected), repr(got))


class Client:
    """A real WebSocket client, which says what it expected when something else comes."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: str | bytes, *, text: bool | None = None) -> None:
        """Send a message; `text=True` sends bytes in a text frame."""
        await self.connection.send(message, text=text)

    async def hears(self, *expected: str) -> None:
        """Wait for exactly these messages, in this order."""
        for message in expected:
            got = await self.next_message()
            if got != message:
                raise Wrong(repr(message), got if isinstance(got, Outcome) else shorten(got))

    async def is_closed_with(self, code: int, reason: str | None = None) -> None:
        """Wait for the server to close this connection with `code`, and `reason` if it is given."""
        expected = f"close {code}" + (f" with the reason {reason!r}" if reason is not None else "")
        got = await self.next_message()
        if not isinstance(got, Outcome):
            raise Wrong(expected, f"the message {shorten(got)}")
        if got.code != code or (reason is not None and got.reason != reason):
            raise Wrong(expected, got)

    async def next_message(self) -> "str | bytes | Outcome":
        """Return the next message, or how it came that there is none."""
        try:
            async with asyncio.timeout(RULE_SECONDS * 0.8):
                return await self.connection.recv()
        except TimeoutError:
            return Outcome(f"nothing for {RULE_SECONDS * 0.8:.1f} s")
        except websockets.ConnectionClosed as closed:
            if closed.rcvd is None:
                return Outcome("the connection was lost without a close frame", 1006)
            code, reason = closed.rcvd.code, closed.rcvd.reason
            return Outcome(f"close {code}" + (f" {reason!r}" if reason else ""), code, reason)

    async def vanish(self) -> None:
        """Cut the connection without a close frame, as a lost network does."""
        self.connection.transport.abort()
        await self.connection.wait_closed()


@dataclass(frozen=True)
class Outcome:
    """What a client met in place of a message, in words."""

    words: str
    code: int | None = None
    reason: str = ""

    def __str__(self) -> str:
        return self.words


class Bench:
    """What a rule is given: a server that runs the app, and clients for it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.first_line = len(server.log)
        self.strangers = server.handlers  # of clients that were there before, the reader's page say

    @contextlib.asynccontextmanager
    async def client(self, path: str, **headers: str) -> AsyncIterator[Client]:
        """Connect to `path`, with `headers` written with `_` for `-`. Raises `Wrong` if refused."""
        try:
            opened = await self.open(path, headers)
        except websockets.InvalidStatus as refusal:
            status = refusal.response.status_code
            how = "never accepted, so HTTP 500" if status == 500 else f"HTTP {status}"
            raise Wrong("to be let in", how) from None
        except (OSError, websockets.WebSocketException, TimeoutError) as error:
            raise Wrong("to be let in", f"no answer ({type(error).__name__})") from None
        try:
            yield Client(opened)
        finally:
            await opened.close()

    async def is_refused(self, path: str, **headers: str) -> None:
        """Expect a refusal before accept: HTTP 403 on the wire, 1008 in the code."""
        seen: list[Event] = []
        self.server.observers.append(seen.append)
        try:
            opened = await self.open(path, headers)
        except websockets.InvalidStatus as refusal:
            if refusal.response.status_code != 403:
                raise Wrong("HTTP 403", f"HTTP {refusal.response.status_code}") from None
        else:
            await opened.close()
            raise Wrong("HTTP 403", "let in")
        finally:
            self.server.observers.remove(seen.append)
        raised = {event.raised for event in seen if event.kind == "refuse"}
        if raised != {1008}:
            raise Wrong("the code 1008 to be raised", raised or "none")

    async def open(self, path: str, headers: dict[str, str]) -> ClientConnection:
        """Open a connection to `path`."""
        return await websockets.connect(
            self.server.ws_url(path),
            additional_headers={name.replace("_", "-"): value for name, value in headers.items()},
            open_timeout=RULE_SECONDS * 0.8,
            close_timeout=0.5,
        )

    async def calm(self) -> None:
        """Wait until the handlers of this rule's clients have ended, so that the next hears none."""
        with contextlib.suppress(TimeoutError):  # an app that keeps them: the rules will tell
            async with asyncio.timeout(ALIVE_SECONDS):
                await self.server.settled(besides=self.strangers)

    async def no_traceback(self) -> None:
        """Wait until all handlers have ended, and expect that none of them raised."""
        await self.server.settled(besides=self.strangers)
        for line in self.server.log[self.first_line :]:
            if line.error is not None:
                raise Wrong("no traceback in the log", f"{type(line.error).__name__}: {line.error}")


Try = Callable[[Any], Awaitable[None]]


@dataclass(frozen=True)
class Rule:
    """One sentence of a contract, and how to try it.

    Attributes:
        says: the sentence.
        hint: what to look at where it does not hold.
        attempt: a coroutine function that raises `Wrong` where it does not hold.
        essential: whether the rules after it make no sense without it.
    """

    says: str
    hint: str
    attempt: Try
    essential: bool = False


class Rules(list[Rule]):
    """A contract: rules in the order in which they are tried. Add one with the decorator `rule`."""

    def rule(self, says: str, *, hint: str, essential: bool = False) -> Callable[[Try], Try]:
        """Add the decorated coroutine function as a rule."""

        def add(attempt: Try) -> Try:
            self.append(Rule(says, hint, attempt, essential))
            return attempt

        return add


@dataclass
class Report:
    """What came of the rules, a line for each.

    Attributes:
        name: of what was checked.
        lines: each rule with its mark and what came.
    """

    name: str
    lines: list[tuple[Rule, Literal["✓", "✗", "·"], str]] = field(default_factory=list)
    remark: str = ""

    @property
    def passed(self) -> bool:
        """Whether every rule holds."""
        return bool(self.lines) and all(mark == "✓" for _, mark, _ in self.lines)

    def __repr__(self) -> str:
        width = max((len(rule.says) for rule, _, _ in self.lines), default=0)
        text = [self.name]
        for rule, mark, came in self.lines:
            line = f"  {mark} {rule.says:<{width}}  {came}".rstrip()
            if len(line) > WIDTH:
                line = f"  {mark} {rule.says}\n    {came}"
            text.append(line)
            if mark == "✗":
                text.append(f"    hint: {rule.hint}")
        if self.remark:
            text.append(f"  {self.remark}")
        return "\n".join(text)


def report_on(name: str, rules: Sequence[Rule], subject: Any) -> Report:
    """Try `rules` on `subject`, one after the other, and return what came.

    It works inside a running event loop, because it does its own work in a thread of its own. It
    never raises for a wrong answer, and comes back even if `subject` blocks its thread.
    """
    report = Report(name)
    worker = threading.Thread(
        target=lambda: asyncio.run(try_all(report, rules, subject)), daemon=True
    )
    worker.start()
    # A function under check that blocks has this thread to itself; there is no way to end it.
    worker.join(RULE_SECONDS * (len(rules) + 1))
    if worker.is_alive():
        tried = len(report.lines)
        stuck = Wrong("an answer", "your code blocks, and never gave way")
        report.lines.append((rules[tried], "✗", str(stuck)))
        waits(report, rules[tried + 1 :])
        report.remark = "Restart the kernel to be rid of it."
    return report


async def try_all(report: Report, rules: Sequence[Rule], subject: Any) -> None:
    """Try each rule, and note what came in `report`."""
    for number, rule in enumerate(rules):
        came = ""
        try:
            async with asyncio.timeout(RULE_SECONDS):
                await rule.attempt(subject)
        except Wrong as wrong:
            came = str(wrong)
        except TimeoutError:
            came = str(Wrong("an answer", f"none within {RULE_SECONDS:.0f} s"))
        except Exception as error:
            came = f"{type(error).__name__}: {error}"
        report.lines.append((rule, "✗" if came else "✓", came))
        blocked = isinstance(subject, Bench) and came and not await is_alive(subject.server)
        if blocked:
            report.remark = (
                f"The server's event loop is blocked: {subject.server.where_blocked()}. "
                "Restart the kernel to be rid of it."
            )
        if came and (blocked or rule.essential):
            waits(report, rules[number + 1 :])
            return
        if isinstance(subject, Bench):
            await subject.calm()


def waits(report: Report, rules: Sequence[Rule]) -> None:
    """Note that `rules` were not tried."""
    report.lines += [(rule, "·", "waits for the line above") for rule in rules]


async def is_alive(server: Server) -> bool:
    """Return whether the server's event loop still does anything."""
    answer = asyncio.run_coroutine_threadsafe(asyncio.sleep(0), server.loop)
    try:
        await asyncio.wait_for(asyncio.wrap_future(answer), ALIVE_SECONDS)
    except TimeoutError:
        return False
    return True


def report_on_app(name: str, rules: Sequence[Rule], app: Any) -> Report:
    """Try `rules` on `app`: on the server that runs it already, or on one of its own."""
    running = server_of(app)
    if running is not None:
        return report_on(name, rules, Bench(running))
    try:
        server = Server(app, name=name)
    except (ServerError, TypeError) as error:
        start = Rule("the app starts", "the message is that of the app", no_attempt, essential=True)
        report = Report(name, [(start, "✗", str(error))])
        waits(report, rules)
        return report
    report = report_on(name, rules, Bench(server))
    if not report.remark:
        server.stop()
    return report


async def no_attempt(_: object) -> None:
    """Nothing to try: the app never ran."""


def shorten(message: object) -> str:
    """Return the repr of `message`, cut where it is long."""
    text = repr(message)
    return text if len(text) <= 80 else f"{text[:60]}… ({len(text)} characters)"
