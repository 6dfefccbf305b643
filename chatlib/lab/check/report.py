"""Rules that are tried on a reader's code, and the report of what came of them."""

import asyncio
import contextvars
import dataclasses
import sys
import textwrap
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from chatlib.lab.check.tools.bench import (
    ALIVE_SECONDS,
    ORIGINS,
    Bench,
    blocked,
    notes_origins,
    servers,
)
from chatlib.lab.check.tools.doors import what_is_no_app
from chatlib.lab.check.tools.mishap import Unawaited, let_go, shown
from chatlib.lab.check.tools.printed import noting_tracebacks, printed
from chatlib.lab.check.tools.watch import Watched, is_alive
from chatlib.lab.check.tools.wrong import BLOCKS, Blocked, Wrong
from chatlib.lab.check.verdict import explained, failure
from chatlib.lab.loopback import ServerError
from chatlib.lab.prompt import where_blocked
from chatlib.lab.routes import unheard_handlers
from chatlib.lab.serve import Server, server_of

RULE_SECONDS = 5.0  # how long the app may take over one rule
SPARE_SECONDS = 3.0  # for what is done besides
WIDTH = 76  # of a report, in characters: what a window of 800 pixels shows
APP = "hand in the ASGI app: what FastAPI() gave you, and you added endpoints to"

RESTART = "Restart the kernel to be rid of it."

Try = Callable[[Any], Awaitable[None]]
Mark = Literal["✓", "✗", "·", "!"]  # it holds; it does not; not tried; it does not here


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
    lines: list[tuple[Rule, Mark, str]] = field(default_factory=list)
    remark: str = ""

    @property
    def passed(self) -> bool:
        """Whether every rule holds."""
        return bool(self.lines) and all(mark == "✓" for _, mark, _ in self.lines)

    def __repr__(self) -> str:
        longest = max((len(rule.says) for rule, _, _ in self.lines), default=0)
        width = min(longest, WIDTH - len("    ·  not tried yet"))
        rows = [f"  {mark} {rule.says:<{width}}  {came}" for rule, mark, came in self.lines]
        rows = [row.rstrip() for row in rows]
        fit = [len(row) <= WIDTH and "\n" not in row for row in rows]
        told = [fits for fits, (_, _, came) in zip(fit, self.lines, strict=True) if came]
        # One alone beside its rule, and others below theirs, looks like a missing line break.
        alone = told.count(True) == 1 < len(told)
        text = [self.name]
        for row, fits, (rule, mark, came) in zip(rows, fit, self.lines, strict=True):
            if fits and not (came and alone):
                text.append(row)
            else:
                text += wrapped(f"  {mark} {rule.says}")
                for part in came.split("\n") if came else ():
                    text += wrapped(f"    {part}")
            if mark in {"✗", "!"}:
                text += wrapped(f"    hint: {rule.hint}")
        if self.remark:
            text.append(f"  {self.remark}")
        return "\n".join(text)


def wrapped(text: str) -> list[str]:
    """Return `text` in lines of at most `WIDTH` characters, as far as there are spaces in it."""
    indent = "    " + " " * (len(text) - len(text.lstrip()) - 2)
    return textwrap.wrap(
        text,
        WIDTH,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    ) or [text]


def report_on(name: str, rules: Sequence[Rule], subject: Any) -> Report:
    """Try `rules` on `subject`, one after the other, and return what came.

    It works inside a running event loop, because it does its own work in a thread of its own. It
    never raises for a wrong answer, and comes back even if `subject` blocks its thread.
    """
    report = Report(name)
    runner = asyncio.Runner(loop_factory=asyncio.new_event_loop)
    watched = Watched(runner.get_loop())
    with Unawaited() as unawaited, noting_tracebacks() as noted:

        def work() -> None:
            printed.set(noted)
            with runner:
                trying = try_all(report, rules, subject, unawaited, watched)
                runner.run(trying, context=contextvars.copy_context())

        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        ended = watched.ends(worker, report.lines, RULE_SECONDS + SPARE_SECONDS)
    # A function under check that blocks has this thread to itself; there is no way to end it.
    tried = len(report.lines)
    if not ended and tried < len(rules):
        stuck = Blocked(f"your code blocks, and never gave way: {where_blocked(worker)}")
        report.lines.append((dataclasses.replace(rules[tried], hint=BLOCKS), "✗", str(stuck)))
        waits(report, rules[tried + 1 :])
        report.remark = RESTART
    return report


async def try_all(
    report: Report, rules: Sequence[Rule], subject: Any, unawaited: Unawaited, watched: Watched
) -> None:
    """Try each rule, and note what came in `report`."""
    sys.set_coroutine_origin_tracking_depth(ORIGINS)
    for number, rule in enumerate(rules):
        watched.servers = used = [subject.server] if isinstance(subject, Bench) else []
        servers.set(used)
        lines, warned = sum(len(server.log) for server in used), len(unawaited.caught)
        watched.task = asyncio.create_task(failure(rule.attempt, subject, RULE_SECONDS))
        error = await watched.task
        if isinstance(subject, Bench):
            if error is not None and not await is_alive(subject.server, ALIVE_SECONDS):
                error = blocked(subject.server)
            else:
                await subject.calm()
        logged = [line.error for server in used for line in server.log][lines:]
        for each in logged:
            let_go(each)  # or what they hold is warned of while the next rule is tried
        if error is None:
            report.lines.append((rule, "✓", ""))
            continue
        came, hint = explained(
            error, rule.hint, rule.essential, logged, partial(unawaited.since, warned)
        )
        report.lines.append((dataclasses.replace(rule, hint=hint), "✗", came))
        if isinstance(error, Blocked):
            report.remark = RESTART
        if isinstance(error, Blocked) or rule.essential:
            waits(report, rules[number + 1 :])
            return


def waits(report: Report, rules: Sequence[Rule]) -> None:
    """Note that `rules` were not tried."""
    report.lines += [(rule, "·", "not tried yet") for rule in rules]


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
