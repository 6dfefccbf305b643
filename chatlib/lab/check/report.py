"""Rules that are tried on a reader's code, and the report of what came of them."""

import asyncio
import dataclasses
import sys
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from chatlib.lab.check.bench import ORIGINS, Bench, logs, notes_origins
from chatlib.lab.check.doors import what_is_no_app
from chatlib.lab.check.mishap import Unawaited, let_go, shown
from chatlib.lab.check.printed import noting_tracebacks, printed
from chatlib.lab.check.verdict import explained, failure
from chatlib.lab.check.wrong import Wrong
from chatlib.lab.loopback import ServerError
from chatlib.lab.prompt import where_blocked
from chatlib.lab.routes import unheard_handlers
from chatlib.lab.serve import Server, server_of

RULE_SECONDS = 5.0  # how long the app may take over one rule
ALIVE_SECONDS = 1.0  # how long its event loop may take to answer at all
SPARE_SECONDS = 3.0  # for what is done besides
WIDTH = 90  # of a report, in characters
APP = "hand in the ASGI app: what FastAPI() gave you, and you added endpoints to"
BLOCKS = "what blocks, time.sleep say, or a loop without `await`, lets nothing else happen: `await`"

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
        lines: each rule with its mark and what came. The rule's hint is the one that fits.
        remark: what explains more than one line, or comes on top.
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
            if len(line) > WIDTH or "\n" in came:
                line = f"  {mark} {rule.says}\n    " + came.replace("\n", "\n    ")
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
    with Unawaited() as unawaited, noting_tracebacks() as noted:

        def work() -> None:
            printed.set(noted)
            asyncio.run(try_all(report, rules, subject, unawaited))

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        tried = -1
        while worker.is_alive() and tried < len(report.lines):
            tried = len(report.lines)
            worker.join(RULE_SECONDS + SPARE_SECONDS)
    # A function under check that blocks has this thread to itself; there is no way to end it.
    if worker.is_alive() and tried < len(rules):
        stuck = Wrong("an answer", f"your code blocks, and never gave way: {where_blocked(worker)}")
        rule = dataclasses.replace(rules[tried], hint=BLOCKS)
        report.lines.append((rule, "✗", str(stuck)))
        waits(report, rules[tried + 1 :])
        report.remark = "Restart the kernel to be rid of it."
    return report


async def try_all(
    report: Report, rules: Sequence[Rule], subject: Any, unawaited: Unawaited
) -> None:
    """Try each rule, and note what came in `report`."""
    sys.set_coroutine_origin_tracking_depth(ORIGINS)
    for number, rule in enumerate(rules):
        kept = [subject.server.log] if isinstance(subject, Bench) else []
        logs.set(kept)
        lines, warned = sum(map(len, kept)), len(unawaited.caught)
        error = await failure(rule.attempt, subject, RULE_SECONDS)
        blocked = False
        if error is not None and isinstance(subject, Bench):
            blocked = not await is_alive(subject.server)
            if blocked:
                report.remark = (
                    f"The server's event loop is blocked: {subject.server.where_blocked()}. "
                    "Restart the kernel to be rid of it."
                )
        if isinstance(subject, Bench) and not blocked:
            await subject.calm()
        logged = [line.error for log in kept for line in log][lines:]
        for each in logged:
            let_go(each)  # or what they hold is warned of while the next rule is tried
        if error is None:
            report.lines.append((rule, "✓", ""))
            continue
        came, hint = explained(
            error, rule.hint, rule.essential, logged, partial(unawaited.since, warned)
        )
        hint = BLOCKS if blocked else hint
        report.lines.append((dataclasses.replace(rule, hint=hint), "✗", came))
        if blocked or rule.essential:
            waits(report, rules[number + 1 :])
            return


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
    strange = what_is_no_app(app)
    if strange is not None:
        return no_start(name, rules, str(Wrong("an app", strange[0])), strange[1])
    if isinstance(app, Server):
        app = app.app
    running = server_of(app)
    try:
        server = running or Server(app, name=name)
    except TypeError as error:
        return no_start(name, rules, shown(error, str), APP)
    except ServerError as error:
        return no_start(name, rules, str(error), "the message is that of the app")
    notes_origins(server, ORIGINS)
    report = report_on(name, rules, Bench(server))
    if running is not None:
        notes_origins(server, 0)
    elif report.remark:  # it is blocked, and to wait for it would block this cell
        server.ask_to_stop()
    else:
        server.stop()
    return with_remarks(report, app)


def no_start(name: str, rules: Sequence[Rule], came: str, hint: str) -> Report:
    """Return the report on an app that never ran."""
    report = Report(name, [(Rule("the app starts", hint, no_attempt, essential=True), "✗", came)])
    waits(report, rules)
    return report


def with_remarks(report: Report, app: Any) -> Report:
    """Add to `report` what explains more than one of its lines: handlers that never get a turn."""
    report.remark = "\n  ".join(filter(None, [report.remark, *unheard_handlers(app)]))
    return report


async def no_attempt(_: object) -> None:
    """Nothing to try: the app never ran."""
