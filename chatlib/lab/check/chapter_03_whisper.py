"""The rules of the second exercise of chapter 03: a manager that whispers."""

import asyncio
from collections.abc import Sequence
from typing import Any

from fastapi import WebSocketDisconnect

from chatlib.lab.check.bench import Wrong, shorten
from chatlib.lab.check.puppet import Puppet, new, settle, turns
from chatlib.lab.check.report import Rules

WHISPER = Rules()


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
    texts = ["one", "two", "two", "", "naïve ☕ <b>"]
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
    "a dead member stops nobody",
    hint="go through a copy, and catch around each client what broadcast catches",
)
async def whisper_survives_the_dead(manager_class: Any) -> None:
    room = await Whisperers.in_room(manager_class, 311, 311, 311, 311, 312)
    lost, closed, *alive = room.puppets[311]
    lost.gone = True  # WebSocketDisconnect
    await closed.websocket.close()  # RuntimeError
    for text in ("still there?", "and now?"):
        try:
            await room.whisper(text, 311)
        except (WebSocketDisconnect, RuntimeError, OSError) as error:
            came = f"{type(error).__name__} out of whisper, at a client that had gone"
            raise Wrong("the living clients 311 to hear it", came) from None
    for puppet in alive:
        room.expect(puppet, 311, ["still there?", "and now?"])


@WHISPER.rule(
    "a client that leaves meanwhile, or comes, makes nobody miss it",
    hint="go through a copy: the list changes while you wait",
)
async def whisper_stands_changes(manager_class: Any) -> None:
    room = await Whisperers.in_room(manager_class, 313, 313, 313, 313)
    first, *others = room.puppets[313]

    async def leave() -> None:
        first.meanwhile = None
        room.manager.disconnect(first.websocket)
        coming.append(asyncio.create_task(room.comes(313)))
        await turns()

    coming: list[asyncio.Task[None]] = []

    first.meanwhile = leave
    await room.whisper("psst", 313)
    await asyncio.gather(*coming)
    first_heard = list(first.heard)
    await settle(room.manager.broadcast("all"))
    for puppet in others[:3]:
        room.expect(puppet, 313, ["psst", "all"])
    room.expect(first, 313, first_heard)
    if "all" not in (newcomer := room.puppets[313][-1]).heard:
        room.expect(newcomer, 313, ["all"])


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


class Whisperers:
    """A manager with clients, by their ids."""

    def __init__(self, manager_class: Any) -> None:
        self.manager = new(manager_class)
        self.puppets: dict[int, list[Puppet]] = {}

    @classmethod
    async def in_room(cls, manager_class: Any, *numbers: int) -> "Whisperers":
        """Return a new manager to which clients with these ids have come."""
        room = cls(manager_class)
        for number in numbers:
            await room.comes(number)
        return room

    async def comes(self, number: int) -> None:
        """Have one more client come."""
        puppet = Puppet(f"/ws/{number}", client_id=str(number))
        self.puppets.setdefault(number, []).append(puppet)
        await self.manager.connect(puppet.websocket)

    async def whisper(self, message: str, number: int) -> None:
        """Whisper, and wait until it has arrived."""
        await settle(self.manager.whisper(message, number))

    def expect_heard(self, number: int, *heard: list[str]) -> None:
        """Expect this of the clients with this id."""
        for puppet, texts in zip(self.puppets[number], heard, strict=True):
            self.expect(puppet, number, texts)

    def expect(self, puppet: Puppet, number: int, heard: Sequence[Any]) -> None:
        """Expect `puppet` to have heard this and nothing else."""
        if puppet.heard != heard:
            which = f"client {number}" if len(self.puppets[number]) == 1 else f"a client {number}"
            came = shorten(puppet.heard) if puppet.heard else "nothing"
            raise Wrong(f"{which} to hear {shorten(heard) if heard else 'nothing'}", came)
