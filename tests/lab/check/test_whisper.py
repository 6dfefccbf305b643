"""`check.whisper` knows a manager that whispers from those that nearly do."""

import asyncio
import contextlib
from collections import defaultdict

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import WebSocketDisconnect

import chatlib
from chatlib.lab import check
from chatlib.lab.plain import MendedManager, PlainManager

REACHES = "whisper('psst', 302) reaches client 302"
PRIVATE = "nobody else hears it"
BOTH = "both of two clients with one id hear it"
AS_IT_IS = "each whisper arrives as it is, once, and in order"
SLOW = "whispers arrive in order where a connection is slow, too"
LEAVING = "a client that is taken off just as the send to it fails stops nobody"
NOBODY = "where nobody has the id, nothing happens"
FORGETS = "after disconnect a client hears nothing more, and another one with its id still does"
DEAD = "a dead member stops nobody"
CHANGES = "a client that leaves meanwhile, or comes, makes nobody miss it"
AT_ONCE = "two whispers at the same time do not mix"
BROADCAST = "broadcast still reaches all"
ITS_ROOM = "the clients of another manager hear nothing"

GONE = (WebSocketDisconnect, RuntimeError)


def id_of(connection):
    return connection.path_params["client_id"]


def whispering(fits, base=MendedManager):
    """Return a manager that is right, but for `fits(connection, client_id)`."""

    class Manager(base):
        async def whisper(self, message, client_id):
            for connection in list(self.active_connections):
                if fits(connection, client_id):
                    try:
                        await self.send_personal_message(message, connection)
                    except GONE:
                        self.disconnect(connection)

    return Manager


def sending(send, base=MendedManager):
    """Return a manager that whispers by `send(self, message, connections)`."""

    class Manager(base):
        async def whisper(self, message, client_id):
            connections = list(self.active_connections)
            await send(self, message, [c for c in connections if id_of(c) == str(client_id)])

    return Manager


class AsHandedOut(MendedManager):
    async def whisper(self, message, client_id):
        """Send `message` to each connection that came with `client_id`."""


class OneForEachId(MendedManager):
    def __init__(self):
        super().__init__()
        self.by_id = {}

    async def connect(self, websocket):
        await super().connect(websocket)
        self.by_id[id_of(websocket)] = websocket

    async def whisper(self, message, client_id):
        if websocket := self.by_id.get(str(client_id)):
            with contextlib.suppress(*GONE):
                await websocket.send_text(message)


class ListForEachId(MendedManager):
    """Right, and with `forget = False` or `kept` for all one that is not."""

    forget = True
    default = ()
    kept = None

    def __init__(self):
        super().__init__()
        self.by_id = defaultdict(list) if self.kept is None else self.kept

    async def connect(self, websocket):
        await super().connect(websocket)
        self.by_id[int(id_of(websocket))].append(websocket)

    def disconnect(self, websocket):
        super().disconnect(websocket)
        if self.forget and websocket in self.by_id[int(id_of(websocket))]:
            self.by_id[int(id_of(websocket))].remove(websocket)

    async def whisper(self, message, client_id):
        for websocket in list(self.by_id[client_id]):
            try:
                await websocket.send_text(message)
            except GONE:
                self.disconnect(websocket)


class ForgetsAllOfAnId(ListForEachId):
    def disconnect(self, websocket):
        super().disconnect(websocket)
        self.by_id.pop(int(id_of(websocket)), None)


class KeyOfNobody(ListForEachId):
    async def whisper(self, message, client_id):
        await super().whisper(message, {number: number for number in self.by_id}[client_id])


class LiveList(MendedManager):
    async def whisper(self, message, client_id):
        for connection in self.active_connections:
            if id_of(connection) == str(client_id):
                with contextlib.suppress(*GONE):
                    await connection.send_text(message)


class LiveListThatDrops(MendedManager):
    async def whisper(self, message, client_id):
        for connection in self.active_connections:
            if id_of(connection) == str(client_id):
                try:
                    await connection.send_text(message)
                except GONE:
                    self.disconnect(connection)


class LiveDict(MendedManager):
    def __init__(self):
        super().__init__()
        self.there = {}

    async def whisper(self, message, client_id):
        there = {id(websocket): websocket for websocket in self.active_connections}
        self.there = there
        for websocket in there.values():
            if int(id_of(websocket)) == client_id:
                with contextlib.suppress(*GONE):
                    await websocket.send_text(message)

    def disconnect(self, websocket):
        super().disconnect(websocket)
        self.there.pop(id(websocket), None)


class OtherList(MendedManager):
    """It broadcasts to another list for a while, and then puts the old one back."""

    async def whisper(self, message, client_id):
        members = self.active_connections
        self.active_connections = [c for c in members if id_of(c) == str(client_id)]
        await self.broadcast(message)
        self.active_connections = members


class KeepsTheMessage(MendedManager):
    async def whisper(self, message, client_id):
        self.message = message
        for connection in list(self.active_connections):
            if id_of(connection) == str(client_id):
                with contextlib.suppress(*GONE):
                    await connection.send_text(self.message)


class FindsIt(MendedManager):
    async def whisper(self, message, client_id):
        for connection in list(self.active_connections):
            if id_of(connection) == str(client_id):
                with contextlib.suppress(*GONE):
                    await connection.send_text(message)
                return


class Skips(whispering(lambda connection, number: id_of(connection) == str(number))):
    async def broadcast(self, message):
        for connection in list(self.active_connections)[1:]:
            await connection.send_text(message)


class LiveSet(ListForEachId):
    """The set is as big as before where one leaves and another one comes."""

    def __init__(self):
        super().__init__()
        self.by_id = defaultdict(OfASet)

    async def whisper(self, message, client_id):
        for websocket in self.by_id[client_id]:
            with contextlib.suppress(*GONE):
                await websocket.send_text(message)


class OfASet(set):
    append = set.add


async def leaves_it_to_tasks(self, message, connections):
    for connection in connections:
        asyncio.create_task(connection.send_text(message))  # noqa: RUF006 - that is the fault


async def keeps_its_tasks(self, message, connections):
    async def send(connection):
        with contextlib.suppress(Exception):
            await self.send_personal_message(message, connection)

    self.tasks = [asyncio.create_task(send(connection)) for connection in connections]


async def waits_for_the_first(self, message, connections):
    async def send(connection):
        with contextlib.suppress(*GONE):
            await connection.send_text(message)

    tasks = [asyncio.create_task(send(connection)) for connection in connections]
    if tasks:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)


async def never_asks_how_it_went(self, message, connections):
    if tasks := [asyncio.create_task(each.send_text(message)) for each in connections]:
        await asyncio.wait(tasks)


async def in_a_group(self, message, connections):
    async with asyncio.TaskGroup() as group:
        for connection in connections:
            group.create_task(connection.send_text(message))


async def removes_it_itself(self, message, connections):
    for connection in connections:
        try:
            await connection.send_text(message)
        except GONE:
            self.active_connections.remove(connection)


async def strips(self, message, connections):
    for connection in connections:
        with contextlib.suppress(*GONE):
            await connection.send_text(message.strip())


async def never_awaits(self, message, connections):
    for connection in connections:
        self.send_personal_message(message, connection)


async def without_try(self, message, connections):
    for connection in connections:
        await self.send_personal_message(message, connection)


async def catches_one(self, message, connections):
    for connection in connections:
        with contextlib.suppress(WebSocketDisconnect):
            await self.send_personal_message(message, connection)


async def catches_the_other(self, message, connections):
    for connection in connections:
        with contextlib.suppress(RuntimeError):
            await self.send_personal_message(message, connection)


async def one_try_for_all(self, message, connections):
    with contextlib.suppress(*GONE):
        for connection in connections:
            await self.send_personal_message(message, connection)


async def plain_gather(self, message, connections):
    await asyncio.gather(*[connection.send_text(message) for connection in connections])


async def says_that_it_whispers(self, message, connections):
    for connection in connections:
        with contextlib.suppress(*GONE):
            await connection.send_text(f"(whispers) {message}")


async def in_json(self, message, connections):
    for connection in connections:
        with contextlib.suppress(*GONE):
            await connection.send_json(message)


async def in_bytes(self, message, connections):
    for connection in connections:
        with contextlib.suppress(*GONE):
            await connection.send_bytes(message.encode())


async def disconnects_who_is_alive(self, message, connections):
    for connection in connections:
        try:
            await connection.send_text(message)
        finally:
            self.disconnect(connection)


async def stops_at_the_dead(self, message, connections):
    for connection in connections:
        try:
            await connection.send_text(message)
        except GONE:
            self.disconnect(connection)
            break


async def forgets_all_for_one(self, message, connections):
    for connection in connections:
        try:
            await connection.send_text(message)
        except GONE:
            self.active_connections.clear()


async def leaves_out_the_empty(self, message, connections):
    for connection in connections:
        with contextlib.suppress(*GONE):
            if message:
                await connection.send_text(message)


async def says_it_twice(self, message, connections):
    for connection in [*connections, *connections[:1]]:
        with contextlib.suppress(*GONE):
            await connection.send_text(message)


class Composed:
    """It has a manager, and is none; and its whisper is no coroutine function."""

    returns = True

    def __init__(self):
        self.manager = MendedManager()
        self.tasks = set()

    def __getattr__(self, name):
        return getattr(self.manager, name)

    def whisper(self, message, client_id):
        task = asyncio.get_running_loop().create_task(self._whisper(message, client_id))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task if self.returns else None

    async def _whisper(self, message, client_id):
        for connection in tuple(self.manager.active_connections):
            if int(id_of(connection)) == client_id:
                try:
                    await self.manager.send_personal_message(message, connection)
                except GONE:
                    self.manager.disconnect(connection)


WRONG = {
    "as handed out": (AsHandedOut, REACHES, "client 302 to hear ['psst'], got: nothing"),
    "compares text with a number": (
        whispering(lambda connection, number: id_of(connection) == number),
        REACHES,
        "as text: '302'",
    ),
    "no await": (sending(never_awaits), REACHES, "302"),
    "says that it whispers": (sending(says_that_it_whispers), REACHES, "(whispers) psst"),
    "in JSON": (sending(in_json), REACHES, "psst"),
    "in bytes": (sending(in_bytes), REACHES, "[b'psst']"),
    "disconnects who has heard it": (sending(disconnects_who_is_alive), AS_IT_IS, "['one']"),
    "stops at the first dead one": (sending(stops_at_the_dead), DEAD, "around each client"),
    "forgets everybody for a dead one": (sending(forgets_all_for_one), DEAD, "['still there?']"),
    "whispers to all": (whispering(lambda connection, number: True), PRIVATE, "to hear nothing"),
    "the id is part of another": (
        whispering(lambda connection, number: str(number) in id_of(connection)),
        PRIVATE,
        "the whole id",
    ),
    "the id is somewhere in the path": (
        whispering(lambda connection, number: str(number) in connection.url.path),
        PRIVATE,
        "client 3020 to hear nothing",
    ),
    "the path ends like it": (
        whispering(lambda connection, number: connection.url.path.endswith(str(number))),
        PRIVATE,
        "client 1302 to hear nothing",
    ),
    "all but those with the id": (
        whispering(lambda connection, number: id_of(connection) != str(number)),
        REACHES,
        "client 302",
    ),
    "stops at the first that it finds": (FindsIt, BOTH, "go through all members"),
    "keeps one connection for an id": (OneForEachId, BOTH, "a client 304 to hear ['psst']"),
    "the empty text is none": (sending(leaves_out_the_empty), AS_IT_IS, "client 307"),
    "says it twice": (sending(says_it_twice), AS_IT_IS, "['one', 'one',"),
    "an error where nobody has the id": (KeyOfNobody, NOBODY, "309"),
    "a dict that is never cleared": (
        type("Keeps", (ListForEachId,), {"forget": False}),
        FORGETS,
        "take off the one connection",
    ),
    "one leaves, and all with its id are forgotten": (ForgetsAllOfAnId, FORGETS, "got: nothing"),
    "no try": (sending(without_try), DEAD, "whisper() raised WebSocketDisconnect, code 1006"),
    "catches WebSocketDisconnect alone": (
        sending(catches_one),
        DEAD,
        "whisper() raised WebSocketDisconnected",
    ),
    "catches RuntimeError alone": (
        sending(catches_the_other),
        DEAD,
        "whisper() raised WebSocketDisconnect,",
    ),
    "one try around all": (sending(one_try_for_all), DEAD, "around each client"),
    "gather that raises": (sending(plain_gather), DEAD, "since one of them is gone"),
    "drops the dead from the list that it goes through": (
        LiveListThatDrops,
        DEAD,
        "go through a copy",
    ),
    "tasks that nobody awaits": (sending(leaves_it_to_tasks), SLOW, "got: ['two', 'one']"),
    "tasks that it keeps": (sending(keeps_its_tasks), SLOW, "await each send"),
    "it waits for the first task": (sending(waits_for_the_first), SLOW, "a client 320"),
    "a task, and no coroutine function": (
        type("ReturnsNone", (Composed,), {"returns": False}),
        SLOW,
        "a client 320",
    ),
    "never asks how its tasks ended": (
        sending(never_asks_how_it_went),
        DEAD,
        "no exception to be lost, got: WebSocketDisconnect",
    ),
    "a group of tasks that raises": (
        sending(in_a_group),
        DEAD,
        "whisper() raised WebSocketDisconnect, code 1006, since one of them is gone",
    ),
    "removes the dead itself": (sending(removes_it_itself), LEAVING, "ValueError: list.remove(x)"),
    "on the plain manager": (
        whispering(lambda c, n: id_of(c) == str(n), PlainManager),
        LEAVING,
        "harmless where it is off the list already",
    ),
    "goes through a set that changes": (LiveSet, CHANGES, "Set changed size"),
    "strips what it whispers": (sending(strips), AS_IT_IS, "with spaces"),
    "goes through the list itself": (LiveList, CHANGES, "go through a copy"),
    "goes through a dict that changes": (LiveDict, CHANGES, "changed size"),
    "another list for a while": (OtherList, CHANGES, "'all'"),
    "keeps what it whispers in self": (KeepsTheMessage, AT_ONCE, "a local variable"),
    "an object for the class": (AsHandedOut(), REACHES, "the class itself, without ()"),
    "a broadcast that skips one": (Skips, BROADCAST, "client 314"),
    "a dict of the class": (
        type("Shared", (ListForEachId,), {"kept": defaultdict(list)}),
        ITS_ROOM,
        "client 316 to hear nothing",
    ),
}


async def gathers(self, message, connections):
    sends = [connection.send_text(message) for connection in connections]
    await asyncio.gather(*sends, return_exceptions=True)


async def in_tasks(self, message, connections):
    async def send(connection):
        try:
            await self.send_personal_message(message, connection)
        except GONE:
            self.disconnect(connection)

    async with asyncio.TaskGroup() as group:
        for connection in connections:
            group.create_task(send(connection))


async def keeps_the_dead(self, message, connections):
    for connection in connections:
        with contextlib.suppress(*GONE):
            await connection.send_text(message)


class AsksTheScope(MendedManager):
    async def whisper(self, message, client_id):
        for connection in self.active_connections[:]:
            try:
                if connection.scope["path"].rpartition("/")[2] == f"{client_id}":
                    await connection.send({"type": "websocket.send", "text": message})
            except Exception:
                self.disconnect(connection)


class Queues(MendedManager):
    """Each client has a task that sends what is in its queue."""

    def __init__(self):
        super().__init__()
        self.queues, self.tasks = {}, {}

    async def connect(self, websocket):
        await super().connect(websocket)
        self.queues[websocket] = asyncio.Queue()
        self.tasks[websocket] = asyncio.create_task(self.send(websocket))

    async def send(self, websocket):
        with contextlib.suppress(*GONE):
            while True:
                await websocket.send_text(await self.queues[websocket].get())

    def disconnect(self, websocket):
        super().disconnect(websocket)
        if self.queues.pop(websocket, None):
            self.tasks.pop(websocket).cancel()

    async def broadcast(self, message):
        for queue in self.queues.values():
            queue.put_nowait(message)

    async def whisper(self, message, client_id):
        for websocket, queue in self.queues.items():
            if id_of(websocket) == str(client_id):
                queue.put_nowait(message)


class WithALock(ListForEachId):
    """Nobody comes while it whispers."""

    def __init__(self):
        super().__init__()
        self.lock = asyncio.Lock()

    async def connect(self, websocket):
        async with self.lock:
            await super().connect(websocket)

    async def whisper(self, message, client_id):
        async with self.lock, asyncio.TaskGroup() as group:
            for websocket in self.by_id[client_id]:
                group.create_task(self.send(message, websocket))

    async def send(self, message, websocket):
        with contextlib.suppress(*GONE):
            await websocket.send_text(message)


class RoomForEachId(chatlib.ConnectionManager):
    """chatlib's manager, with one room more for each id."""

    def __init__(self):
        super().__init__()
        self.rooms = defaultdict(chatlib.Room)

    async def connect(self, websocket):
        await super().connect(websocket)
        self.rooms[id_of(websocket)].join(websocket)

    def disconnect(self, websocket):
        super().disconnect(websocket)
        self.rooms[id_of(websocket)].leave(websocket)

    async def whisper(self, message, client_id):
        await self.rooms[str(client_id)].publish(message)


RIGHT = {
    "the solution": whispering(lambda connection, number: id_of(connection) == str(number)),
    "compares numbers": whispering(lambda connection, number: int(id_of(connection)) == number),
    "asks the address": whispering(lambda c, number: c.url.path == f"/ws/{number}"),
    "on chatlib's manager": whispering(lambda c, n: id_of(c) == str(n), chatlib.ConnectionManager),
    "gather": sending(gathers),
    "a group of tasks": sending(in_tasks),
    "a queue and a task for each client": Queues,
    "lets broadcast drop the dead": sending(keeps_the_dead),
    "asks the scope, and sends by hand": AsksTheScope,
    "a list for each id": ListForEachId,
    "a lock, and a group of tasks": WithALock,
    "a room for each id": RoomForEachId,
    "composed, and no coroutine function": Composed,
}


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.whisper(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.whisper(RIGHT[name]))
