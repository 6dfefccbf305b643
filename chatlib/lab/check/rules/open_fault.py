"""The rules of the open exercise on a fault that is to be found in a chat."""

import contextlib

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Bench, Client, Wrong
from chatlib.lab.check.tools.play import STOPS_NOBODY, Play, leaves_nothing_behind, stops_nobody
from chatlib.lab.check.tools.talk import ended, enters, heard_until

FAULT = Rules()


@FAULT.rule(
    "the sender hears 'You wrote: m', and all hear 'Client #… says: m'",
    hint="that was right in the chat that you were given",
    essential=True,
)
async def fault_chats(bench: Bench) -> None:
    async with bench.client("/ws/501") as one, bench.client("/ws/502") as other:
        await enters(one, 501)
        await enters(other, 502)
        await one.send("hello")
        if "You wrote: hello" not in await heard_until(one, "Client #501 says: hello"):
            raise Wrong("'You wrote: hello' for client 501", "what it said to all, and not that")
        await heard_until(other, "Client #501 says: hello")


@FAULT.rule(
    "those who remain hear 'Client #… left the chat', once",
    hint="that was right in the chat that you were given",
)
async def fault_tells_who_left(bench: Bench) -> None:
    async with bench.client("/ws/503") as stays:
        await enters(stays, 503)
        others = bench.server.handlers
        for cut in (False, True):
            async with bench.client("/ws/504") as leaves:
                await enters(leaves, 504)
                if cut:
                    await leaves.vanish()
            await ended(bench, others)
            times = (await enters(stays, 503)).count("Client #504 left the chat")
            if times != 1:
                raise Wrong("'Client #504 left the chat' once", f"it came {times} times")


@FAULT.rule(
    "whoever is connected hears all that is said, once, the whole day",
    hint="play such a day yourself: clients come, speak and go. Who hears no more, and since when?",
    essential=True,
)
async def fault_lasts_a_day(bench: Bench) -> None:
    # Who comes, by id; and who goes, by their place among those who are there.
    day = "come 511, come 512, come 513, go 1, come 512, come 511, go 3, come 513, go 1, come 511"
    here: list[Visitor] = []
    async with contextlib.AsyncExitStack() as evening:
        for hour, (what, number) in enumerate([step.split() for step in day.split(", ")], start=8):
            if what == "come":
                visitor = Visitor(bench, int(number))
                await evening.enter_async_context(visitor)
                here.append(visitor)
            else:
                await here.pop(int(number)).leave()
            await here[-1].client.send(f"it is {hour} o'clock")
            says = f"Client #{here[-1].number} says: it is {hour} o'clock"
            for visitor in here:
                await visitor.hears(says)


@FAULT.rule(
    "who has left is sent nothing more",
    hint="what a connection put into your lists, it takes out again when it ends",
)
async def fault_forgets(bench: Bench) -> None:
    await leaves_nothing_behind(bench, 505, 506)
    await leaves_nothing_behind(bench, 507, 507)


@FAULT.rule(
    "one who is dead, or leaves just then, keeps nobody else from hearing",
    hint=STOPS_NOBODY,
)
async def fault_stands_the_dead(bench: Bench) -> None:
    await stops_nobody(Play(bench), 509, 510)


@FAULT.rule("none of this left a traceback in the log", hint="catch WebSocketDisconnect")
async def fault_ends_quietly(bench: Bench) -> None:
    async with bench.client("/ws/508") as client:
        await client.send("on my way")
        await client.vanish()
    await bench.no_traceback()


class Visitor(contextlib.AsyncExitStack):
    """A client that comes, and goes before the others or with them."""

    client: Client

    def __init__(self, bench: Bench, number: int) -> None:
        super().__init__()
        self.bench = bench
        self.number = number

    async def __aenter__(self) -> "Visitor":
        before = self.bench.server.handlers
        self.client = await self.enter_async_context(self.bench.client(f"/ws/{self.number}"))
        await enters(self.client, self.number)
        self.handlers = self.bench.server.handlers - before
        return self

    async def leave(self) -> None:
        """Leave, and wait until the app knows."""
        await self.aclose()
        await ended(self.bench, self.bench.server.handlers - self.handlers)

    async def hears(self, says: str) -> None:
        """Wait for `says`, and expect that what was said before does not come again."""
        try:
            before = await heard_until(self.client, says)
        except Wrong:
            raise Wrong(f"client {self.number} to hear {says!r}", "nothing of it") from None
        if again := [text for text in before if text.endswith("o'clock") and " says: " in text]:
            raise Wrong(f"client {self.number} to hear {says!r}", f"{again[0]!r} once more")
