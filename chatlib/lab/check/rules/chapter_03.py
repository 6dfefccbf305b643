"""The rules of the exercises of chapter 03, chat."""

from chatlib.lab.check.report import Rules
from chatlib.lab.check.rules.chapter_03_gone import (
    one_leaves_meanwhile,
    play,
    the_dead_stop_nobody,
    two_come_at_once,
)
from chatlib.lab.check.rules.chapter_03_whisper import WHISPER
from chatlib.lab.check.tools.bench import Bench, Wrong
from chatlib.lab.check.tools.play import leaves_nothing_behind
from chatlib.lab.check.tools.talk import ended, enters, heard_until

__all__ = ["JOINED", "WHISPER"]

JOINED = Rules()


@JOINED.rule(
    "all hear 'Client #… says: …', once, as before",
    hint="the chat still has to let its clients in and to broadcast what they say",
    essential=True,
)
async def joined_still_chats(bench: Bench) -> None:
    async with bench.client("/ws/201") as one, bench.client("/ws/202") as other:
        await enters(one, 201)
        await enters(other, 202)
        texts = ("hello", "", "  naïve ☕\n")
        for text in (*texts, "goodbye"):
            await one.send(text)
        for client in (one, other):
            heard = await heard_until(client, "Client #201 says: goodbye")
            for text in texts:
                expect_once(f"Client #201 says: {text}", heard)
    await bench.no_handler_runs_on()


@JOINED.rule(
    "those who are there hear 'Client #… joined the chat'",
    hint="news.broadcast(…) when a client comes in",
    essential=True,
)
async def joined_is_told(bench: Bench) -> None:
    for newcomer in (206, 2060):
        async with (
            bench.client("/ws/203") as one,
            bench.client("/ws/204") as two,
            bench.client("/ws/205") as three,
        ):
            present = {203: one, 204: two, 205: three}
            for number, client in present.items():
                await enters(client, number)
            async with bench.client(f"/ws/{newcomer}") as client:
                await client.send("hello")
                says = f"Client #{newcomer} says: hello"
                for number, witness in present.items():
                    if joined(newcomer) not in await heard_until(witness, says):
                        came = f"client {number} heard {says!r}, and nothing of it before"
                        raise Wrong(repr(joined(newcomer)), came)


@JOINED.rule(
    "they hear it when it comes, before it says anything",
    hint="do it before the loop, in which each turn waits for a text",
)
async def joined_is_told_at_once(bench: Bench) -> None:
    async with bench.client("/ws/207") as present:
        await enters(present, 207)
        async with bench.client("/ws/208"):
            await heard_until(present, joined(208))


@JOINED.rule("they hear it once", hint="one broadcast for each client that comes")
async def joined_is_told_once(bench: Bench) -> None:
    async with bench.client("/ws/209") as present:
        await enters(present, 209)
        async with bench.client("/ws/210") as newcomer:
            heard = []
            for text in ("one", "two"):
                await newcomer.send(text)
                heard += await heard_until(present, f"Client #210 says: {text}")
        expect_once(joined(210), heard)


@JOINED.rule(
    "the newcomer does not hear of itself",
    hint="broadcast before connect, or the newcomer hears it too",
)
async def newcomer_hears_nothing(bench: Bench) -> None:
    async with bench.client("/ws/211") as present:
        await enters(present, 211)
        async with bench.client("/ws/212") as newcomer:
            heard = await enters(newcomer, 212)
            if joined(212) in heard:
                raise Wrong("nothing of itself", f"client 212 heard {joined(212)!r}")
            if joined(211) in heard:
                came = f"client 212 heard {joined(211)!r}, which had come before"
                raise Wrong("nothing but what comes after it", came)


@JOINED.rule(
    "a client with the same id is told too, and of one that comes again",
    hint="tell every connection but the new one, each time; an id says nothing here",
)
async def joined_counts_connections(bench: Bench) -> None:
    async with bench.client("/ws/213") as present:
        await enters(present, 213)
        others = bench.server.handlers
        for time in ("a second client with its id", "another one, after that had left"):
            async with bench.client("/ws/213") as newcomer:
                await newcomer.send(time)
                heard = await heard_until(present, f"Client #213 says: {time}")
                if joined(213) not in heard:
                    raise Wrong(f"client 213 to hear {joined(213)!r} of {time}", heard or "nothing")
            await ended(bench, others)
            await enters(present, 213)


@JOINED.rule(
    "those who remain hear 'Client #… left the chat', once, as before",
    hint="in `finally`: disconnect, then one broadcast",
)
async def joined_still_tells_who_left(bench: Bench) -> None:
    async with bench.client("/ws/214") as stays:
        await enters(stays, 214)
        others = bench.server.handlers
        for number, cut in ((215, False), (216, True)):
            async with bench.client(f"/ws/{number}") as leaves:
                await enters(leaves, number)
                if cut:
                    await leaves.vanish()
            await ended(bench, others)
            expect_once(left(number), await enters(stays, 214))
        async with bench.client("/ws/220"):  # which says nothing
            pass
        await ended(bench, others)
        expect_once(left(220), await enters(stays, 214))


@JOINED.rule(
    "who has left is sent nothing more",
    hint="news.disconnect(websocket) takes it off the list, before the others are told",
)
async def joined_forgets(bench: Bench) -> None:
    await leaves_nothing_behind(bench, 217, 218)


@JOINED.rule(
    "a client that is gone stops nobody",
    hint="catch around each send what broadcast catches, and go on with the next client",
)
async def joined_survives_the_dead(bench: Bench) -> None:
    await play(bench, the_dead_stop_nobody)


@JOINED.rule(
    "a client that leaves meanwhile makes nobody miss it",
    hint="go through a copy: the list changes while you wait",
)
async def joined_stands_a_leaving(bench: Bench) -> None:
    await play(bench, one_leaves_meanwhile)


@JOINED.rule(
    "two who come at the same time do not mix",
    hint="while you `await`, other handlers use the same manager: keep nothing of one client in it",
)
async def joined_stands_two(bench: Bench) -> None:
    await play(bench, two_come_at_once)


@JOINED.rule("none of this left a traceback in the log", hint="catch WebSocketDisconnect")
async def joined_ends_quietly(bench: Bench) -> None:
    async with bench.client("/ws/219") as client:
        await client.send("on my way")
        await client.vanish()
    await bench.no_traceback()


def joined(number: int) -> str:
    """Return what is said of client `number` when it comes."""
    return f"Client #{number} joined the chat"


def left(number: int) -> str:
    """Return what is said of client `number` when it has gone."""
    return f"Client #{number} left the chat"


def expect_once(text: str, heard: list[str]) -> None:
    """Raise `Wrong` unless `text` is in `heard` once."""
    if (times := heard.count(text)) != 1:
        raise Wrong(f"{text!r} once", f"it came {times} times" if times else "it never came")
