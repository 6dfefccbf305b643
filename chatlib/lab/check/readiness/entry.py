"""What the reader calls: `check.ready`."""

from collections.abc import Sequence
from typing import Any

from chatlib.lab.check.readiness.checklist import CHECKLIST
from chatlib.lab.check.readiness.command import Command
from chatlib.lab.check.readiness.run import report_on_target
from chatlib.lab.check.readiness.targets import Address, Served, Target
from chatlib.lab.check.readiness.wishes import NOT_YET, Readiness, Wishes, points
from chatlib.lab.check.report import APP, Rule, no_attempt, with_remarks
from chatlib.lab.check.tools.doors import what_is_no_app
from chatlib.lab.check.tools.wrong import Wrong
from chatlib.lab.loopback import ServerError
from chatlib.lab.serve import Server, server_of


def report_on_readiness(name: str, subject: Any, wishes: Wishes) -> Readiness:
    """Try the checklist on `subject`: an app, a command, or an address."""
    unknown = [each for each in wishes.only or () if each not in {**CHECKLIST, **wishes.own}]
    if unknown:
        raise ValueError(f"only= takes some of {', '.join(CHECKLIST)}; got {unknown[0]!r}")
    try:
        if wishes.own and not callable(subject) and not isinstance(subject, Server):
            raise Wrong("an app", repr(subject)[:60], hint=APP)
        target = target_of(subject, look=wishes.path is None or wishes.secret is None)
    except (ServerError, Wrong) as error:
        hint = getattr(error, "hint", None) or "the message is that of the app, or of its command"
        start = Rule("the app starts", hint, no_attempt, essential=True)
        rules = [Rule(point.says, point.hint, no_attempt) for _, point in points(wishes)]
        lines = [(start, "✗", str(error)), *((rule, "·", NOT_YET) for rule in rules)]
        return Readiness(name, lines)  # type: ignore[arg-type]
    try:
        report = report_on_target(name, target, wishes)
    finally:
        target.end()
    if isinstance(target, Served):
        with_remarks(report, target.server.app)
    return report


def target_of(subject: Any, *, look: bool) -> Target:
    """Return what `subject` is, running; of a command, `look` says whether for its WebSockets.

    Raises:
        Wrong: it is none.
        ServerError: it does not start.
        ValueError: it is no address, or no command.
    """
    if isinstance(subject, str) and "://" in subject and " " not in subject:
        return Address(subject)
    if isinstance(subject, str) or (
        isinstance(subject, Sequence) and all(isinstance(each, str) for each in subject)
    ):
        return Command(subject, look=look)
    strange = what_is_no_app(subject)
    if strange is not None:
        raise Wrong("an app", strange[0], hint=strange[1])
    if isinstance(subject, Server):
        return Served(subject.app, subject)
    if not callable(subject):
        raise Wrong("an app, a command or an address", repr(subject)[:60], hint=APP)
    return Served(subject, server_of(subject))
