"""What the app of chapter 09's exercise has to do beside the checklist: count votes, in bounds."""

import asyncio
import contextlib
import json
from dataclasses import replace
from typing import Any

from chatlib.lab.check.readiness.bench import ANSWER_SECONDS, Bench, outcome
from chatlib.lab.check.readiness.caller import Caller, RefusedError, call
from chatlib.lab.check.readiness.checklist import CHECKLIST, MAKE_IT_READY, Point, point
from chatlib.lab.check.readiness.payloads import POLITE
from chatlib.lab.check.readiness.wishes import Wishes
from chatlib.lab.check.tools.wrong import Wrong

CAP = 110  # connections that are tried: the task allows 100 from one address
FLOOD = 500  # messages that are sent at once: the task allows 100 a second
LONGEST = 20  # characters of a choice
CHOICES = 20  # of a poll
POLLS = 20  # that there are
HUGE = 60_000  # characters; a guard lets so much in
A_FEW = 8  # ballots of one connection, which no cap may end
BUSY = {429, 503}  # how a handshake is refused that may be let in later
BUSY_SECONDS = 1.0
TEA, MILK = "tea", "milk"
PATH = "/polls/{}"


def wishes() -> Wishes:
    """Return how to try the exercise, whose app decides all of these points, and not its server."""
    return Wishes(
        path=PATH.format(1),
        say=ballot(TEA),
        only=("counts", *MAKE_IT_READY, "bounded"),
        strict=True,
        own=POINTS,
        attempts={"counts": counts, "bounded": bounded},
        cap=CAP,
        flood=FLOOD,
    )


POINTS: dict[str, Point] = {
    "enters": replace(
        CHECKLIST["enters"],
        hint="clients come to /polls/1, say: keep @app.websocket('/polls/{poll}'), and accept()",
    ),
    "counts": point(
        "it works: two ballots for one choice give 2, and another poll 1",
        "votes[poll][choice] += 1 for each ballot, and the answer is votes[poll]",
    ),
    "cap": replace(
        CHECKLIST["cap"],
        hint="app.add_middleware(Guard, max_connections_per_address=50)",
    ),
    "bounded": point(
        "what is kept and answered is bounded",
        "choice: str = Field(max_length=20), and before a new key goes into a dict, "
        "compare its len(…) with 20: those of a poll, and the polls",
    ),
}


def ballot(choice: str) -> str:
    """Return what a client sends to vote for `choice`."""
    return json.dumps({"choice": choice})


async def counts(bench: Bench) -> None:
    """Expect that votes are counted. It may have voted here before, so differences tell."""
    async with Voter(bench, 1) as one:
        first = await one.count(MILK)
        await one.expect(MILK, first + 1, "one more ballot")
        table = await one.says(MILK)
        if TEA not in (table or {}):
            raise Wrong(f"how many chose {TEA!r} in each answer, too", shorten(table))
        async with Voter(bench, 2) as two:
            other = await two.count(MILK)
            await one.expect(MILK, first + 3, "one more ballot, and one in another poll")
            await two.expect(MILK, other + 1, "one more ballot, and one in another poll")


async def bounded(bench: Bench) -> None:
    async with Voter(bench, 3) as voter:
        full = "x" * LONGEST
        for size in (LONGEST + 1, HUGE):
            before = await voter.count(full)
            await voter.expect_refused("x" * size, f"a choice of {size:,} characters")
            await voter.leave()  # a cap on bytes ends a connection that has said so much
            await voter.expect(full, before + 1, f"that, and one of {LONGEST} characters")
        for number in range(2, CHOICES + 1):
            await voter.count(f"choice {number}", f"choice number {number} of a poll")
        late = f"choice {CHOICES + 1}"
        for _ in range(3):  # one more than each of the others has, so that it is not just hidden
            await voter.expect_refused(late, f"choice number {CHOICES + 1} of a poll")
        table = await voter.says("choice 2") or {}
        if "choice 2" not in table or late in table or len(table) > CHOICES:
            wanted = f"the {CHOICES} choices of a poll in an answer, and no other"
            raise Wrong(wanted, f"{len(table)}, with {late!r}" if late in table else shorten(table))
    for number in range(4, POLLS + 1):
        async with Voter(bench, number) as voter:
            await voter.count(TEA, f"poll number {number}")
    for number in range(POLLS + 1, POLLS + 3):
        async with Voter(bench, number) as voter:
            await voter.expect_refused(TEA, f"poll number {number}")


class Voter:
    """One who votes in a poll, and comes again where the connection ends."""

    def __init__(self, bench: Bench, poll: int) -> None:
        self.bench, self.path = bench, PATH.format(poll)
        self.caller: Caller | None = None
        self.said = 0
        self.came = ""

    async def __aenter__(self) -> "Voter":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Leave; the next ballot has a new connection."""
        if self.caller is not None:
            await self.caller.leave()
        self.caller = None

    async def says(self, choice: str) -> dict[str, Any] | None:
        """Vote, and return the answer; None if there was none, or no table, and `came` says it.

        Raises:
            Wrong: there is no answer, or one that is no refusal.
        """
        self.came = ""
        try:
            caller = await self.enter()
        except RefusedError as refused:
            self.came = str(refused)
            if not 400 <= refused.status < 500 and refused.status not in BUSY:
                raise Wrong("a client to be let in, or HTTP 403", refused) from None
            return None
        caller.forget()
        await caller.send(ballot(choice))
        answer = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                answer = await caller.messages.get()
                if answer is None:
                    await caller.ended.wait()
        if caller.code is not None:
            self.came = outcome(caller.code)
            if caller.code not in POLITE and caller.code < 3000:
                raise Wrong("an answer, or close 1003, 1007 or 1008", self.came)
        elif answer is None:
            raise Wrong("an answer to a ballot", f"none within {ANSWER_SECONDS:.0f} s")
        if answer is None:
            return None
        try:
            table = json.loads(answer)
        except ValueError:
            table = None
        self.came = shorten(answer)
        return table if isinstance(table, dict) else None

    async def enter(self) -> Caller:
        """Return a connection. Raises `RefusedError`."""
        if self.caller is not None and (self.said >= A_FEW or self.caller.code is not None):
            await self.leave()
        if self.caller is None:
            self.said = 0
            self.caller = await self.let_in()
        self.said += 1
        return self.caller

    async def let_in(self) -> Caller:
        until = asyncio.get_running_loop().time() + BUSY_SECONDS
        while True:
            try:
                return await call(self.bench.place, path=self.path)
            except RefusedError as refused:
                if refused.status not in BUSY or asyncio.get_running_loop().time() > until:
                    raise
            await asyncio.sleep(0.05)

    async def count(self, choice: str, what: str = "") -> int:
        """Vote, and return how many have done so; `Wrong` if that is not the answer."""
        table = await self.says(choice)
        number = (table or {}).get(choice)
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            what = what or f"{choice!r}"
            raise Wrong(f"a ballot for {what} to be counted", self.came)
        return number

    async def expect(self, choice: str, wanted: int, after: str) -> None:
        """Vote, and expect that `wanted` have done so, `after` what was done."""
        number = await self.count(choice)
        if number != wanted:
            raise Wrong(f"{wanted} for {cut(choice)!r} after {after}", number)

    async def expect_refused(self, choice: str, what: str) -> None:
        """Vote, and expect that this is not counted."""
        if choice in (await self.says(choice) or {}):
            raise Wrong(f"{what} to be refused", "it is counted")


def shorten(answer: Any) -> str:
    """Return an answer as it came, or the beginning of it."""
    text = answer if isinstance(answer, str) else repr(answer)
    return cut(text, 40)


def cut(text: str, most: int = 8) -> str:
    return text if len(text) <= most else text[:most] + "…"
