"""`check.presence` knows a lobby that tells who is here from those that nearly do."""

import asyncio
import contextlib
from collections import Counter, defaultdict

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from chatlib import ConnectionManager, Room, receive_text
from chatlib.lab import check

TALK = "what a user says is heard by all as 'ana: hello', as before"
FIRST = "the first tab opens: all hear 'bea is here', once, even if she says nothing"
MORE = "a second tab of hers opens, and a third: nobody is told"
ONE_OF_SEVERAL = "a tab closes, and another one is left: nobody is told"
LAST = "the last tab closes: all hear 'eva has left', once"
NAMES = "names that are alike are of different users: 'mia2', 'mia' and 'Mia'"
AGAIN = "who comes again is announced again, and so is the leaving"
AT_ONCE = "two tabs that come at the same time, and go so: all are told once"
STOPS_NOBODY = "a tab that is dead, or closes just then, keeps nobody else from hearing"
CANCELLED = "a tab whose handler is cancelled, at any moment, has gone too"
ANY_END = "a tab that is cut off, or closed for a binary message, has gone too"


async def nothing(*_):
    """Do nothing."""


class Lobby:
    """The exercise's app: `come`, `go` and `hear` are what an answer does at each place."""

    def __init__(self, come=nothing, go=nothing, hear=None, room=Room):
        self.room = room()
        self.tabs = Counter()
        self.seen = set()
        self.app = FastAPI()

        @self.app.websocket("/ws/{user}")
        async def be_in_the_lobby(websocket: WebSocket, user: str):
            await websocket.accept()
            try:
                await come(self, user, websocket)
                self.room.join(websocket)
                while True:
                    text = await receive_text(websocket)
                    if hear is None:
                        await self.room.publish(f"{user}: {text}")
                    else:
                        await hear(self, user, text)
            except WebSocketDisconnect as gone:
                self.code = gone.code
            finally:
                self.room.leave(websocket)
                await go(self, user, websocket)


async def counts_up(lobby, user, websocket):
    lobby.tabs[user] += 1
    if lobby.tabs[user] == 1:
        await lobby.room.publish(f"{user} is here")


async def counts_down(lobby, user, websocket):
    lobby.tabs[user] -= 1
    if lobby.tabs[user] == 0:
        await lobby.room.publish(f"{user} has left")


async def tells_each_tab(lobby, user, websocket):
    lobby.tabs[user] += 1
    await lobby.room.publish(f"{user} is here")


async def tells_each_closing(lobby, user, websocket):
    await lobby.room.publish(f"{user} has left")


async def counts_all_users_together(lobby, user, websocket):
    await counts_up(lobby, "all", websocket)


async def tells_only_the_tab_itself(lobby, user, websocket):
    lobby.tabs[user] += 1
    if lobby.tabs[user] == 1:
        await websocket.send_text(f"{user} is here")


async def other_words(lobby, user, websocket):
    lobby.tabs[user] += 1
    if lobby.tabs[user] == 1:
        await lobby.room.publish(f"{user} joined")


async def compares_parts_of_names(lobby, user, websocket):
    if not any(user in name for name in lobby.tabs.elements()):
        await lobby.room.publish(f"{user} is here")
    lobby.tabs[user] += 1


async def adds_to_a_set(lobby, user, websocket):
    if user not in lobby.seen:
        lobby.seen.add(user)
        await lobby.room.publish(f"{user} is here")


async def takes_out_of_the_set(lobby, user, websocket):
    if user in lobby.seen:
        lobby.seen.discard(user)
        await lobby.room.publish(f"{user} has left")


async def tells_twice(lobby, user, websocket):
    await counts_up(lobby, user, websocket)
    if lobby.tabs[user] == 1:
        await lobby.room.publish(f"{user} is here")


async def tells_when_it_speaks(lobby, user, text):
    if user not in lobby.seen:
        lobby.seen.add(user)
        await lobby.room.publish(f"{user} is here")
    await lobby.room.publish(f"{user}: {text}")


async def stays_until_no_name_is_alike(lobby, user, websocket):
    lobby.tabs[user] -= 1
    if not any(name.startswith(user) for name in lobby.tabs.elements()):
        await lobby.room.publish(f"{user} has left")


async def adds_to_the_set_and_counts(lobby, user, websocket):
    lobby.tabs[user] += 1
    await adds_to_a_set(lobby, user, websocket)


async def only_after_a_goodbye(lobby, user, websocket):
    if lobby.code == 1000:
        await counts_down(lobby, user, websocket)


async def in_capitals(lobby, user, text):
    await lobby.room.publish(f"{user}: {text.upper()}")


async def to_nobody(lobby, user, text):
    pass


def counts_down_in_the_except():
    """An app that counts down where it catches the disconnect, and nowhere else."""
    app, lobby = FastAPI(), Lobby()

    @app.websocket("/ws/{user}")
    async def be_in_the_lobby(websocket: WebSocket, user: str):
        await websocket.accept()
        await counts_up(lobby, user, websocket)
        lobby.room.join(websocket)
        try:
            while True:
                await lobby.room.publish(f"{user}: {await websocket.receive_text()}")
        except WebSocketDisconnect:
            lobby.room.leave(websocket)
            await counts_down(lobby, user, websocket)
        except KeyError:
            await websocket.close(1003)

    return app


def counts_down_unless_cancelled():
    """An app that counts down after every disconnect, and not in `finally`."""
    app, lobby = FastAPI(), Lobby()

    @app.websocket("/ws/{user}")
    async def be_in_the_lobby(websocket: WebSocket, user: str):
        await websocket.accept()
        await counts_up(lobby, user, websocket)
        lobby.room.join(websocket)
        try:
            while True:
                await lobby.room.publish(f"{user}: {await receive_text(websocket)}")
        except WebSocketDisconnect:
            lobby.room.leave(websocket)
            await counts_down(lobby, user, websocket)

    return app


def counts_up_before_the_try():
    """An app that counts up and tells it where no `finally` counts down again."""
    app, lobby = FastAPI(), Lobby(room=OneAfterTheOther)

    @app.websocket("/ws/{user}")
    async def be_in_the_lobby(websocket: WebSocket, user: str):
        await websocket.accept()
        await counts_up(lobby, user, websocket)
        lobby.room.join(websocket)
        try:
            while True:
                await lobby.room.publish(f"{user}: {await receive_text(websocket)}")
        except WebSocketDisconnect:
            pass
        finally:
            lobby.room.leave(websocket)
            await counts_down(lobby, user, websocket)

    return app


def waits_between():
    """Return a lobby that awaits between the question whether it is the first and the counting."""
    app, room, tabs = FastAPI(), Room(), Counter()

    @app.websocket("/ws/{user}")
    async def be_there(websocket: WebSocket, user: str):
        await websocket.accept()
        if tabs[user] == 0:
            await asyncio.sleep(0.05)
            await room.publish(f"{user} is here")
        tabs[user] += 1
        room.join(websocket)
        try:
            while True:
                await room.publish(f"{user}: {await receive_text(websocket)}")
        except WebSocketDisconnect:
            pass
        finally:
            room.leave(websocket)
            tabs[user] -= 1
            if tabs[user] == 0:
                await room.publish(f"{user} has left")

    return app


def counts_by(key):
    """A lobby that counts the tabs by `key(user)`."""

    async def come(lobby, user, websocket):
        lobby.tabs[key(user)] += 1
        if lobby.tabs[key(user)] == 1:
            await lobby.room.publish(f"{user} is here")

    async def go(lobby, user, websocket):
        lobby.tabs[key(user)] -= 1
        if lobby.tabs[key(user)] == 0:
            await lobby.room.publish(f"{user} has left")

    return Lobby(come, go).app


async def says_small_letters(lobby, user, websocket):
    lobby.tabs[user] += 1
    if lobby.tabs[user] == 1:
        await lobby.room.publish(f"{user.lower()} is here")


async def tells_of_odd_ones(lobby, user, websocket):
    lobby.tabs[user] += 1
    if lobby.tabs[user] % 2:
        await lobby.room.publish(f"{user} is here")


async def counts_to_two(lobby, user, websocket):
    await counts_up(lobby, user, websocket)
    lobby.tabs[user] = min(lobby.tabs[user], 2)


async def tells_at_one(lobby, user, websocket):
    lobby.tabs[user] -= 1
    if lobby.tabs[user] <= 1:
        await lobby.room.publish(f"{user} has left")


async def counts_down_to_zero_at_once(lobby, user, websocket):
    if lobby.tabs.pop(user, 0):
        await lobby.room.publish(f"{user} has left")


async def says_left(lobby, user, websocket):
    lobby.tabs[user] -= 1
    if lobby.tabs[user] == 0:
        await lobby.room.publish(f"{user} left")


async def waits_a_while(lobby, user, websocket):
    async def tell():
        await asyncio.sleep(60)
        await lobby.room.publish(f"{user} has left")

    lobby.tabs[user] -= 1
    if lobby.tabs[user] == 0:
        lobby.telling = asyncio.create_task(tell())


class OneAfterTheOther(set):
    """A room that has sent to all when `publish` returns."""

    join, leave = set.add, set.discard

    async def publish(self, text):
        for websocket in list(self):
            with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                await websocket.send_text(text)


async def tells_before_it_counts(lobby, user, websocket):
    if lobby.tabs[user] == 1:
        await lobby.room.publish(f"{user} has left")
    lobby.tabs[user] -= 1


async def waits_before_it_counts(lobby, user, websocket):
    if lobby.tabs[user] == 1:
        await asyncio.sleep(0.1)
        await lobby.room.publish(f"{user} has left")
    lobby.tabs[user] -= 1


def runs_on():
    """An app that goes on with its loop after the disconnect."""
    app, lobby = FastAPI(), Lobby()

    @app.websocket("/ws/{user}")
    async def be_in_the_lobby(websocket: WebSocket, user: str):
        await websocket.accept()
        lobby.room.join(websocket)
        while True:
            try:
                await lobby.room.publish(f"{user}: {await receive_text(websocket)}")
            except WebSocketDisconnect:
                lobby.room.leave(websocket)
                await asyncio.Event().wait()

    return app


def with_a_plain_list():
    """An app that sends to one connection after the other, and lets a failed send out."""
    app, everybody, tabs = FastAPI(), [], Counter()

    async def publish(text):
        for websocket in everybody:
            await websocket.send_text(text)

    @app.websocket("/ws/{user}")
    async def be_in_the_lobby(websocket: WebSocket, user: str):
        await websocket.accept()
        everybody.append(websocket)
        tabs[user] += 1
        try:
            if tabs[user] == 1:
                await publish(f"{user} is here")
            while True:
                await publish(f"{user}: {await receive_text(websocket)}")
        except WebSocketDisconnect:
            pass
        finally:
            everybody.remove(websocket)
            tabs[user] -= 1
            if tabs[user] == 0:
                await publish(f"{user} has left")

    return app


WRONG = {
    "as handed out": (Lobby().app, FIRST, "How do you know that it is the first one?"),
    "each tab": (Lobby(tells_each_tab, counts_down).app, MORE, "becomes 1"),
    "each closing": (Lobby(counts_up, tells_each_closing).app, ONE_OF_SEVERAL, "becomes 0"),
    "a set": (Lobby(adds_to_a_set, takes_out_of_the_set).app, ONE_OF_SEVERAL, "becomes 0"),
    "never counts down": (Lobby(counts_up).app, LAST, "got: nothing"),
    "a set that is never emptied": (
        Lobby(adds_to_the_set_and_counts, counts_down).app,
        AGAIN,
        "got: ['fay has left']",
    ),
    "one count for all": (
        Lobby(counts_all_users_together, counts_down).app,
        FIRST,
        "expected 'bea is here', got: nothing",
    ),
    "tells only the tab": (Lobby(tells_only_the_tab_itself, counts_down).app, FIRST, "nothing"),
    "other words": (Lobby(other_words, counts_down).app, FIRST, "got: ['bea joined']"),
    "a part of a name": (
        Lobby(compares_parts_of_names, counts_down).app,
        NAMES,
        "['mia is here'], got: nothing",
    ),
    "the beginning of a name": (
        Lobby(counts_up, stays_until_no_name_is_alike).app,
        NAMES,
        "['mia has left'], got: nothing",
    ),
    "without capitals": (counts_by(str.lower), NAMES, "['Mia is here'], got: nothing"),
    "three letters of a name": (counts_by(lambda user: user[:3]), NAMES, "got: nothing"),
    "as many letters": (counts_by(len), NAMES, "a user is the whole name"),
    "says small letters": (Lobby(says_small_letters, counts_down).app, NAMES, "['mia is here']"),
    "the third one again": (Lobby(tells_of_odd_ones, counts_down).app, MORE, "['cleo is here']"),
    "counts to two": (Lobby(counts_to_two, counts_down).app, ONE_OF_SEVERAL, "['dora has left']"),
    "at one already": (Lobby(counts_up, tells_at_one).app, ONE_OF_SEVERAL, "['dora has left']"),
    "the first to go is the last": (
        Lobby(counts_up, counts_down_to_zero_at_once).app,
        ONE_OF_SEVERAL,
        "'dora is here', 'dora has left'",
    ),
    "other words at the end": (Lobby(counts_up, says_left).app, LAST, "got: ['eva left']"),
    "waits whether she comes again": (Lobby(counts_up, waits_a_while).app, LAST, "got: nothing"),
    "runs on": (runs_on(), TALK, "the loop has to end"),
    "tells that she has left before it counts": (
        Lobby(counts_up, tells_before_it_counts, room=OneAfterTheOther).app,
        AT_ONCE,
        "got: ['tom is here', 'tom has left']",
    ),
    "waits before it tells that she has left": (
        Lobby(counts_up, waits_before_it_counts).app,
        AT_ONCE,
        "got: ['max is here', 'max has left']",
    ),
    "a list, and a send that fails": (
        with_a_plain_list(),
        STOPS_NOBODY,
        "while another client is dead, got: nothing, its handler has ended",
    ),
    "twice": (Lobby(tells_twice, counts_down).app, FIRST, "is here"),
    "only when it speaks": (Lobby(hear=tells_when_it_speaks).app, FIRST, "'bea is here'"),
    "only after a goodbye": (Lobby(counts_up, only_after_a_goodbye).app, ANY_END, "finally"),
    "in the except, of every disconnect": (
        counts_down_unless_cancelled(),
        CANCELLED,
        "since the handler of her only tab was cancelled",
    ),
    "counts up before the try": (
        counts_up_before_the_try(),
        CANCELLED,
        "'quinn has left', since the handler of her only tab was cancelled",
    ),
    "in the except": (counts_down_in_the_except(), ANY_END, "finally"),
    "says nothing any more": (Lobby(counts_up, counts_down, to_nobody).app, TALK, "nothing within"),
    "says it differently": (Lobby(counts_up, counts_down, in_capitals).app, TALK, "nothing within"),
    "an await between the question and the counting": (
        waits_between(),
        AT_ONCE,
        "'ida is here', 'ida is here'",
    ),
}


def with_sets():
    """An app that keeps a set of connections for each user, and joins first."""
    app, everybody = FastAPI(), Room()
    tabs = defaultdict(set)

    @app.websocket("/ws/{user}")
    async def be_in_the_lobby(websocket: WebSocket, user: str):
        await websocket.accept()
        everybody.join(websocket)
        first = not tabs[user]
        tabs[user].add(websocket)
        try:
            if first:
                await everybody.publish(f"{user} is here")
            with contextlib.suppress(WebSocketDisconnect):
                while True:
                    await everybody.publish(f"{user}: {await receive_text(websocket)}")
        finally:
            tabs[user].remove(websocket)
            everybody.leave(websocket)
            if not tabs[user]:
                del tabs[user]
                await everybody.publish(f"{user} has left")

    return app


def with_a_list_and_a_manager():
    """An app that keeps a list of names, and broadcasts with the manager."""
    app, manager = FastAPI(), ConnectionManager()
    names = []

    @app.websocket("/ws/{user}")
    async def be_in_the_lobby(websocket: WebSocket, user: str):
        names.append(user)
        try:
            if names.count(user) == 1:
                await manager.broadcast(f"{user} is here")
            await manager.connect(websocket)
            async for text in websocket.iter_text():
                await manager.broadcast(f"{user}: {text}")
        except KeyError:
            await websocket.close(1003)
        finally:
            manager.disconnect(websocket)
            names.remove(user)
            if user not in names:
                await manager.broadcast(f"{user} has left")

    return app


def with_a_context_manager():
    """An app with a class that knows who is here, and a block in which a tab is."""

    class Presence:
        def __init__(self):
            self.room, self.tabs = Room(), {}

        @contextlib.asynccontextmanager
        async def tab(self, user, websocket):
            self.tabs.setdefault(user, []).append(websocket)
            try:
                if self.tabs[user] == [websocket]:
                    await self.room.publish(f"{user} is here")
                self.room.join(websocket)
                yield
            finally:
                self.room.leave(websocket)
                self.tabs[user].remove(websocket)
                if not self.tabs[user]:
                    del self.tabs[user]
                    await self.room.publish(f"{user} has left")

    app, here = FastAPI(), Presence()

    @app.websocket("/ws/{user}")
    async def be_in_the_lobby(websocket: WebSocket, user: str):
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            async with here.tab(user, websocket):
                while True:
                    await here.room.publish(f"{user}: {await receive_text(websocket)}")

    return app


def with_raw_messages():
    """An app that takes messages as they come."""
    app, room, tabs = FastAPI(), Room(), {}

    @app.websocket("/ws/{name}")
    async def be_in_the_lobby(websocket: WebSocket, name: str):
        await websocket.accept()
        tabs[name] = tabs.get(name, 0) + 1
        try:
            if tabs[name] == 1:
                await room.publish(f"{name} is here")
            room.join(websocket)
            while True:
                match await websocket.receive():
                    case {"text": str(text)}:
                        await room.publish(f"{name}: {text}")
                    case {"type": "websocket.disconnect"}:
                        break
                    case _:
                        await websocket.close(1003, "text only")
                        break
        finally:
            room.leave(websocket)
            tabs[name] -= 1
            if tabs[name] == 0:
                await room.publish(f"{name} has left")

    return app


lock = asyncio.Lock()


async def counts_up_with_a_lock(lobby, user, websocket):
    lobby.tabs[user] += 1
    first = lobby.tabs[user] == 1
    async with lock:
        await asyncio.sleep(0)
        if first:
            await lobby.room.publish(f"{user} is here")


async def tells_the_newcomer_who_is_here(lobby, user, websocket):
    others = list(lobby.tabs)
    await counts_up(lobby, user, websocket)
    for name in others:
        await websocket.send_text(f"also here: {name}")


async def hears_itself(lobby, user, websocket):
    lobby.room.join(websocket)
    await counts_up(lobby, user, websocket)


async def forgets_afterwards(lobby, user, websocket):
    await counts_down(lobby, user, websocket)
    if not lobby.tabs[user]:
        del lobby.tabs[user]


async def counts_down_later(lobby, user, websocket):
    await asyncio.sleep(0.05)
    await counts_down(lobby, user, websocket)


RIGHT = {
    "one after the other": Lobby(counts_up, counts_down, room=OneAfterTheOther).app,
    "counts down later": Lobby(counts_up, counts_down_later).app,
    "the solution": Lobby(counts_up, counts_down).app,
    "a context manager": with_a_context_manager(),
    "raw messages": with_raw_messages(),
    "a lock": Lobby(counts_up_with_a_lock, counts_down).app,
    "more news for the newcomer": Lobby(tells_the_newcomer_who_is_here, counts_down).app,
    "it hears of itself": Lobby(hears_itself, forgets_afterwards).app,
    "sets of connections": with_sets(),
    "a list of names, and a manager": with_a_list_and_a_manager(),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.presence(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.presence(RIGHT[name]))
