"""The whole checklist, tried on a target, and the report of it."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from chatlib.lab.check.readiness import doors, loads, payloads, stops
from chatlib.lab.check.readiness.bench import Bench, NotLookedAt, Remark
from chatlib.lab.check.readiness.place import Place
from chatlib.lab.check.readiness.targets import Address, Target
from chatlib.lab.check.readiness.wishes import NOT_YET, Attempt, Readiness, Wishes, points
from chatlib.lab.check.report import Mark, Rule, no_attempt, wrapped
from chatlib.lab.check.tools.wrong import Wrong

RULE_SECONDS = 20.0  # a guard: each point has deadlines of its own
ALL_SECONDS = 150.0
DEAF_SECONDS = 3.0

NOT_LOOKED_AT = "not looked at"

# One after the other, while nothing else goes on: in some of them somebody has to be answered soon.
ALONE: dict[str, Attempt] = {
    "bad_input": payloads.bad_input,
    "flood": loads.flood,
    "pings": loads.pings,
    "cap": doors.cap,
}
SPOILS = ("bad_input", "flood")  # what an app may not get over, and then the rest is of no use
# While a client that reads nothing may hold up what others say, which these do not need.
MEANWHILE: dict[str, Attempt] = {
    "origin": doors.origin,
    "alive": doors.alive,
    "ready": doors.ready,
    "metrics": doors.metrics,
    "frames": doors.frames,
    "size": payloads.size,
    "fragments": payloads.fragments,
    "inflates": payloads.inflates,
    "secret": doors.secret,
}
# What the log says of all that.
AFTER: dict[str, Attempt] = {"secret": doors.secret_in_log, "traceback": payloads.traceback}
STOPS = {"unready": stops.unready, "told": stops.all_told, "stops": stops.stops}


class Trial:
    """The points of the checklist, tried on one target.

    Attributes:
        came: of each point that was tried: its mark, what came, and the hint.
        reasons: why some were not looked at.
        trouble: why the rest was not tried, if it was not.
    """

    def __init__(self, target: Target, wishes: Wishes) -> None:
        self.target, self.wishes = target, wishes
        self.came: dict[str, tuple[Mark, str, str]] = {}
        self.reasons: dict[str, None] = {}
        self.trouble = ""

    def wanted(self, name: str) -> bool:
        """Return whether a point is to be tried; note why not, if it cannot be."""
        if self.wishes.only is not None and name not in self.wishes.only:
            return False
        for need in sorted(self.wishes.point(name).needs):
            if need in self.target.lacks:
                self.came[name] = ("·", NOT_LOOKED_AT, "")
                self.reasons[self.target.lacks[need]] = None
                return False
        return name not in self.came

    async def bench(self) -> Bench:
        """Return what to try it with. Raises `Wrong` where it is not known where the WebSocket is.

        What `headers` raises goes through.
        """
        wishes, target = self.wishes, self.target
        headers: Mapping[str, str] = {}
        if callable(wishes.headers):
            headers = await asyncio.to_thread(wishes.headers, target.url)
        elif wishes.headers:
            headers = wishes.headers
        if isinstance(target, Address) and wishes.path is None:
            await target.ask_for_doors(headers)
        path, secret = wishes.path, wishes.secret
        if path is None:
            if not target.doors:
                hint = "write where it is: check.ready(…, path='/ws')"
                raise Wrong("to know the path of a WebSocket", "none is to be found", hint=hint)
            path = target.doors[0].path
        if secret is None:
            known = [each.secret for each in target.doors if each.path == path.partition("?")[0]]
            secret = next(filter(None, known), "")
        place = Place(target.url, path, headers)
        return Bench(target, place, secret, wishes.say, wishes.cap, wishes.flood)

    async def attempt(self, name: str, trying: Callable[[], Awaitable[None]]) -> None:
        """Try one point, and note what came."""
        point = self.wishes.point(name)
        mark: Mark = "✓"
        came, hint = "", point.hint
        try:
            async with asyncio.timeout(RULE_SECONDS) as deadline:
                await trying()
        except Remark as remark:
            mark, came = "✗" if self.wishes.strict else "!", str(remark)
        except NotLookedAt as reason:
            mark, came = "·", f"{NOT_LOOKED_AT}: {reason}"
        except Wrong as wrong:
            mark, came, hint = "✗", str(wrong), wrong.hint or hint
        except OSError as error:
            what = f"none within {RULE_SECONDS:.0f} s" if deadline.expired() else str(error)
            mark, came = "✗", str(Wrong("an answer", what or type(error).__name__))
        self.came[name] = (mark, came, hint)

    async def all(self) -> None:
        """Try all that is wanted."""
        found: list[Bench] = []

        async def enters() -> None:
            bench = await self.bench()
            await bench.learn()
            found.append(bench)

        await self.attempt("enters", enters)
        if not found:
            return
        bench = found[0]
        half = self.begin("head", loads.head, bench)
        for name, trying in {**ALONE, **self.wishes.attempts}.items():
            await self.one(name, trying, bench)
            if self.failed(name):
                if self.target.restarts and name in SPOILS:
                    half.cancel()  # its connection ends with the process
                    bench = await self.afresh(bench)
                    half = self.begin("head", loads.head, bench)
                elif await is_deaf(bench):
                    self.trouble = self.target.trouble()
                    return
        holding = self.begin("slow", loads.slow, bench)
        meanwhile = [self.one(name, trying, bench) for name, trying in MEANWHILE.items()]
        await asyncio.gather(half, holding, *meanwhile)
        if self.failed("slow") and self.target.restarts:
            bench = await self.afresh(bench)
        for name, trying in AFTER.items():
            if self.wanted(name) or self.came.get(name, ("",))[0] == "✓":
                await self.attempt(name, partial(trying, bench))
        wanted = [name for name in STOPS if self.wanted(name)]
        if wanted:
            stopped = await stops.stop(bench)
            for name in wanted:
                await self.attempt(name, partial(judged, STOPS[name], stopped))

    async def afresh(self, bench: Bench) -> Bench:
        """Have the server begin afresh, as it was before something has gone wrong in it."""
        await asyncio.to_thread(self.target.restart)
        new = await self.bench()  # who had signed in may have to do so again
        new.answers, new.fans_out, new.marker = bench.answers, bench.fans_out, bench.marker
        return new

    def begin(self, name: str, trying: Attempt, bench: Bench) -> "asyncio.Task[None]":
        """Begin to try a point, if it is wanted."""
        return asyncio.create_task(self.one(name, trying, bench))

    def failed(self, name: str) -> bool:
        return name in self.came and self.came[name][0] == "✗"

    async def one(self, name: str, trying: Attempt, bench: Bench) -> None:
        if self.wanted(name):
            await self.attempt(name, partial(trying, bench))


async def is_deaf(bench: Bench) -> bool:
    """Return whether the server does not answer at all."""
    try:
        await bench.place.get("/", DEAF_SECONDS)
    except OSError:
        return True
    return False


async def judged(judge: Callable[[stops.Stop], None], stopped: stops.Stop) -> None:
    judge(stopped)


def report_on_target(name: str, target: Target, wishes: Wishes) -> Readiness:
    """Try the checklist on `target`, in a thread of its own, and return what came."""
    trial = Trial(target, wishes)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
                runner.run(trial.all())
        except BaseException as error:
            errors.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(ALL_SECONDS)
    if errors:
        raise errors[0]
    report = Readiness(name)
    for key, point in points(wishes):
        mark, came, hint = trial.came.get(key, ("·", NOT_YET, ""))
        report.lines.append((Rule(point.says, hint or point.hint, no_attempt), mark, came))
    sentences = [f"{NOT_LOOKED_AT}: {reason}" for reason in trial.reasons]
    sentences += [trial.trouble] if trial.trouble else []
    report.remark = "\n".join("\n".join(wrapped(f"  {each}")) for each in sentences).strip()
    return report
