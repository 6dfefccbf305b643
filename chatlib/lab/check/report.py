"""Rules that are tried on a reader's code, and the report of what came of them."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from chatlib.lab.check.bench import Bench, Wrong
from chatlib.lab.loopback import ServerError
from chatlib.lab.routes import unheard_handlers
from chatlib.lab.serve import Server, server_of

RULE_SECONDS = 5.0  # how long the app may take over one rule
ALIVE_SECONDS = 1.0  # how long its event loop may take to answer at all
WIDTH = 90  # of a report, in characters


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
        return with_remarks(report_on(name, rules, Bench(running)), app)
    try:
        server = Server(app, name=name)
    except (ServerError, TypeError) as error:
        start = Rule("the app starts", "the message is that of the app", no_attempt, essential=True)
        report = Report(name, [(start, "✗", str(error))])
        waits(report, rules)
        return report
    report = report_on(name, rules, Bench(server))
    if report.remark:  # it is blocked, and to wait for it would block this cell
        server.ask_to_stop()
    else:
        server.stop()
    return with_remarks(report, app)


def with_remarks(report: Report, app: Any) -> Report:
    """Add to `report` what explains more than one of its lines: handlers that never get a turn."""
    report.remark = "\n  ".join(filter(None, [report.remark, *unheard_handlers(app)]))
    return report


async def no_attempt(_: object) -> None:
    """Nothing to try: the app never ran."""
