"""The rules of the second exercise of chapter 03: a manager that whispers."""

import asyncio
import contextlib
from typing import Any

from fastapi import WebSocketDisconnect

from chatlib.lab.check.report import Rules
from chatlib.lab.check.rules.chapter_03_whisperers import Slow, Whisperers
from chatlib.lab.check.tools.bench import Wrong
from chatlib.lab.check.tools.lost import none_lost
from chatlib.lab.check.tools.mishap import in_words
from chatlib.lab.check.tools.puppet import Puppet, settle, turns

WHISPER = Rules()
SLOW_SECONDS = 1.0  # how long what is sent to it may take in all


@WHISPER.rule(
    "whisper('psst', 302) reaches client 302",
    hint="websocket.path_params['client_id'] is the id with which a member came, as text: '302'",
    essential=True,
)
async def whisper_arrives(manager_class: Any) -> None:
    room = await Whisperers.in_room(manager_class, 301, 302, 303)
    for number in (302, 301, 303):
        await room.whisper("psst", number)
        (puppet,) = room.puppets[number]
        if "psst" not in puppet.heard:
            room.expect(puppet, number, ["psst"])


@WHISPER.rule("nobody else hears it", hint="send only where the whole id is the one asked for")
async def whisper_stays_private(manager_class: Any) -> None:
    ids = (302, 3, 30, 32, 2, 3020, 1302, 303, 0)
    for number in ids:
        room = await Whisperers.in_room(manager_class, *ids)
        await room.whisper("psst", number)
        for other in ids:
            if other != number:
                room.expect_heard(other, [])


@WHISPER.rule(
    "each whisper arrives as it is, once, and in order",
    hint="send the message, with nothing put to it, once to each client",
)
async def whisper_says_it_once(manager_class: Any) -> None:
    texts = ["one", "two", "two", "", "naïve ☕ <b>", "  with spaces\n"]
    room = await Whisperers.in_room(manager_class, 306, 307)
    for text in texts:
        await room.whisper(text, 307)
    room.expect_heard(307, texts)


@WHISPER.rule("both of two clients with one id hear it", hint="go through all members")
async def whisper_reaches_both(manager_class: Any) -> None:
    room = await Whisperers.in_room(manager_class, 304, 305, 304, 304)
    await room.whisper("psst", 304)
    room.expect_heard(304, ["psst"], ["psst"], ["psst"])


@WHISPER.rule("where nobody has the id, nothing happens", hint="no client is no error")
async def whisper_to_nobody(manager_class: Any) -> None:
    room = await Whisperers.in_room(manager_class)
    await room.whisper("psst", 309)
    room = await Whisperers.in_room(manager_class, 308)
    await room.whisper("psst", 309)
    room.expect_heard(308, [])


@WHISPER.rule(
    "after disconnect a client hears nothing more, and another one with its id still does",
    hint="if you keep clients by id, `disconnect` has to take off the one connection",
)
async def whisper_forgets(manager_class: Any) -> None:
    for leaver in (0, 1):
        room = await Whisperers.in_room(manager_class, 310, 310)
        room.manager.disconnect(room.puppets[310][leaver].websocket)
        await room.whisper("psst", 310)
        came: list[list[str]] = [["psst"], ["psst"]]
        came[leaver] = []
        room.expect_heard(310, *came)
        await room.comes(310)
        await room.whisper("again", 310)
        room.expect_heard(310, *[[*texts, "again"] if texts else [] for texts in came], ["again"])


@WHISPER.rule("broadcast still reaches all", hint="leave what MendedManager does as it is")
async def whisper_leaves_the_rest(manager_class: Any) -> None:
    room = await Whisperers.in_room(manager_class, 314, 315)
    await room.whisper("psst", 314)
    await settle(room.manager.broadcast("all"))
    room.expect_heard(314, ["psst", "all"])
    room.expect_heard(315, ["all"])


@WHISPER.rule(
    "whispers arrive in order where a connection is slow, too",
    hint="await each send before whisper ends: what a task does may be overtaken by the next one",
)
async def whisper_waits(manager_class: Any) -> None:
    room = await Whisperers.in_room(manager_class, 319)
    slow = await room.comes(320, Slow)
    await room.comes(320)
    for text in ("one", "two"):
        await room.whisper(text, 320)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SLOW_SECONDS):
            await slow.hears("one")
            await slow.hears("two")
    room.expect_heard(320, ["one", "two"], ["one", "two"])


@WHISPER.rule(
    "a dead member stops nobody",
    hint="go through a copy, and catch around each client what broadcast catches",
)
async def whisper_survives_the_dead(manager_class: Any) -> None:
    with none_lost():
        await among_the_dead(manager_class)


async def among_the_dead(manager_class: Any) -> None:
    """Expect that whispers reach the others where two clients with the same id are gone."""
    room = await Whisperers.in_room(manager_class, 311, 311, 311, 311, 312)
    lost, closed, *others = room.puppets[311]
    lost.gone = True  # WebSocketDisconnect
    await closed.websocket.close()  # RuntimeError
    for text in ("still there?", "and now?"):
        try:
            await room.whisper(text, 311)
        except (WebSocketDisconnect, RuntimeError, OSError, ExceptionGroup) as error:
            came = f"whisper() raised {in_words(error)}, since one of them is gone"
            raise Wrong("the other clients with the id 311 to hear it", came) from None
    for puppet in others:
        room.expect(puppet, 311, ["still there?", "and now?"])


@WHISPER.rule(
    "a client that leaves meanwhile, or comes, makes nobody miss it",
    hint="go through a copy: the list changes while you wait",
)
async def whisper_stands_changes(manager_class: Any) -> None:
    for leaves, comes in ((True, False), (False, True), (True, True)):
        room = await Whisperers.in_room(manager_class, 313, 313, 313, 313)
        first, *others = room.puppets[313]
        coming = await while_told(room, first, leaves=leaves, comes=comes)
        first_heard = list(first.heard)
        await settle(room.manager.broadcast("all"))
        for puppet in others:
            room.expect(puppet, 313, ["psst", "all"])
        room.expect(first, 313, first_heard if leaves else ["psst", "all"])
        for newcomer in coming:
            if "all" not in newcomer.heard:
                room.expect(newcomer, 313, ["all"])


async def while_told(room: Whisperers, first: Puppet, *, leaves: bool, comes: bool) -> list[Puppet]:
    """Whisper to all 313. As `first` is told it `leaves`, or another one `comes`: return that."""
    coming: list[asyncio.Task[Puppet]] = []

    async def change() -> None:
        first.meanwhile = None
        if leaves:
            room.manager.disconnect(first.websocket)
        if comes:
            coming.append(asyncio.create_task(room.comes(313)))
        await turns()

    first.meanwhile = change
    await room.whisper("psst", 313)
    return await asyncio.gather(*coming)


@WHISPER.rule(
    "a client that is taken off just as the send to it fails stops nobody",
    hint="self.disconnect(…) is harmless where it is off the list already; .remove(…) raises",
)
async def whisper_stands_a_leaving(manager_class: Any) -> None:
    room = await Whisperers.in_room(manager_class, 321, 321, 321)
    first, *others = room.puppets[321]

    async def leave() -> None:
        first.gone, first.meanwhile = True, None
        room.manager.disconnect(first.websocket)
        raise OSError("the client has gone")

    first.meanwhile = leave
    await room.whisper("psst", 321)
    for puppet in others:
        room.expect(puppet, 321, ["psst"])


@WHISPER.rule(
    "two whispers at the same time do not mix",
    hint="what belongs to one call is a local variable, and not kept in `self` while you wait",
)
async def whisper_stands_another(manager_class: Any) -> None:
    room = await Whisperers.in_room(manager_class, 317, 318, 317, 318)
    for puppet in (*room.puppets[317], *room.puppets[318]):
        puppet.meanwhile = turns
    await asyncio.gather(room.whisper("one", 317), room.whisper("two", 318))
    room.expect_heard(317, ["one"], ["one"])
    room.expect_heard(318, ["two"], ["two"])


@WHISPER.rule(
    "the clients of another manager hear nothing",
    hint="what a manager keeps belongs to `self`, made in __init__, and not to the class",
)
async def whisper_stays_in_its_room(manager_class: Any) -> None:
    room = await Whisperers.in_room(manager_class, 316)
    other = await Whisperers.in_room(manager_class, 316)
    await room.whisper("psst", 316)
    room.expect_heard(316, ["psst"])
    other.expect_heard(316, [])
