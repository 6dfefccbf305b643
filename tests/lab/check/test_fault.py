"""`check.fault` shows the fault in a chat that `check.chat` has nothing against."""

import asyncio
import contextlib
import itertools
from collections import Counter, defaultdict

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

import chatlib.chat
from chatlib import Guard, receive_text
from chatlib.core.pages import add_page
from chatlib.lab import check
from chatlib.lab.check import fault
from chatlib.lab.plain import MendedManager, PlainManager

CHATS = "the sender hears 'You wrote: m', and all hear 'Client #… says: m'"
LEFT = "those who remain hear 'Client #… left the chat', once"
DAY = "whoever is connected hears all that is said, once, the whole day"
FORGETS = "who has left is sent nothing more"
STOPS_NOBODY = "one who is dead, or leaves just then, keeps nobody else from hearing"
QUIET = "none of this left a traceback in the log"


async def send(websocket, text):
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await websocket.send_text(text)


class Handed:
    """The chat as the notebook hands it out, in parts, so that each can be another one."""

    def __init__(self):
        self.people = {}

    async def come(self, websocket, client_id):
        await websocket.accept()
        self.people.setdefault(client_id, set()).add(websocket)

    def go(self, websocket, client_id):
        self.people.pop(client_id, None)

    async def tell(self, text):
        for websockets in list(self.people.values()):
            for websocket in list(websockets):
                await send(websocket, text)

    async def hear(self, websocket, client_id, text):
        await send(websocket, f"You wrote: {text}")
        await self.tell(f"Client #{client_id} says: {text}")

    async def tell_who_left(self, client_id):
        await self.tell(f"Client #{client_id} left the chat")


def chat(parts, catch=WebSocketDisconnect):
    app, room = FastAPI(), parts()
    app.add_middleware(Guard)
    add_page(app, "chat")

    @app.websocket("/ws/{client_id}")
    async def websocket_endpoint(websocket: WebSocket, client_id: int):
        await room.come(websocket, client_id)
        try:
            while True:
                await room.hear(websocket, client_id, await receive_text(websocket))
        except catch:
            pass
        finally:
            room.go(websocket, client_id)
            await room.tell_who_left(client_id)

    return app


class Solution(Handed):
    def go(self, websocket, client_id):
        self.people[client_id].remove(websocket)
        if not self.people[client_id]:
            del self.people[client_id]


class NobodyGoes(Handed):
    def go(self, websocket, client_id):
        pass


class OnlyTheLastGoes(Handed):
    def go(self, websocket, client_id):
        if len(self.people[client_id]) == 1:
            del self.people[client_id]


class OneForEachId(Handed):
    async def come(self, websocket, client_id):
        await websocket.accept()
        self.people[client_id] = {websocket}

    def go(self, websocket, client_id):
        if websocket in self.people.get(client_id, ()):
            del self.people[client_id]


class ClosesTheOlder(Solution):
    async def come(self, websocket, client_id):
        for older in list(self.people.get(client_id, ())):
            await older.close()
        await super().come(websocket, client_id)


class RefusesTheSecond(Solution):
    async def come(self, websocket, client_id):
        if not self.people.get(client_id):
            await super().come(websocket, client_id)
        else:
            await websocket.close()


class TellsEachTwice(Solution):
    async def tell(self, text):
        for websockets in list(self.people.values()):
            for _ in range(len(websockets)):
                for websocket in list(websockets):
                    await send(websocket, text)


class LeavesInSilence(Solution):
    async def tell_who_left(self, client_id):
        pass


class TellsTwiceWhoLeft(Solution):
    async def tell_who_left(self, client_id):
        await super().tell_who_left(client_id)
        await super().tell_who_left(client_id)


class TellsTheSenderNothing(Solution):
    async def hear(self, websocket, client_id, text):
        await self.tell(f"Client #{client_id} says: {text}")


class TellsOthersAlone(Solution):
    async def hear(self, websocket, client_id, text):
        await send(websocket, f"You wrote: {text}")
        for others in list(self.people.values()):
            for other in others - {websocket}:
                await send(other, f"Client #{client_id} says: {text}")


class LetsAFailedSendOut(Solution):
    async def tell(self, text):
        for websockets in list(self.people.values()):
            for websocket in list(websockets):
                await websocket.send_text(text)


class EndsAtTheFirstThatFails(Solution):
    async def tell(self, text):
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await LetsAFailedSendOut.tell(self, text)


class GathersAndRaises(Solution):
    async def tell(self, text):
        everybody = [one for websockets in self.people.values() for one in websockets]
        await asyncio.gather(*[websocket.send_text(text) for websocket in everybody])


class TakesOffAllOfTheDead(Solution):
    """Where a send fails it takes off all connections of that id."""

    async def tell(self, text):
        for client_id, websockets in list(self.people.items()):
            try:
                for websocket in list(websockets):
                    await websocket.send_text(text)
            except (WebSocketDisconnect, RuntimeError):
                del self.people[client_id]

    def go(self, websocket, client_id):
        if client_id in self.people:
            super().go(websocket, client_id)


class ChangesWhileItSends(Solution):
    async def tell(self, text):
        for websockets in self.people.values():
            for websocket in websockets:
                await send(websocket, text)


class TakesOffTheNewest(Handed):
    def __init__(self):
        self.people = defaultdict(list)

    async def come(self, websocket, client_id):
        await websocket.accept()
        self.people[client_id].append(websocket)

    def go(self, websocket, client_id):
        self.people[client_id].pop()


class TakesOffTheOldest(TakesOffTheNewest):
    def go(self, websocket, client_id):
        del self.people[client_id][0]


class ComesBackWhenItSpeaks(Handed):
    async def hear(self, websocket, client_id, text):
        self.people.setdefault(client_id, set()).add(websocket)
        await super().hear(websocket, client_id, text)


class Counts(Handed):
    """It counts the connections of each id, and takes them off when the last one goes."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    async def come(self, websocket, client_id):
        await super().come(websocket, client_id)
        self.count[client_id] += 1

    def go(self, websocket, client_id):
        self.count[client_id] -= 1
        if self.count[client_id] == 0:
            del self.people[client_id]


class WithAManager(Handed):
    manager_class = MendedManager

    def __init__(self):
        self.manager = self.manager_class()
        self.tell = self.manager.broadcast

    async def come(self, websocket, client_id):
        await self.manager.connect(websocket)

    def go(self, websocket, client_id):
        self.manager.disconnect(websocket)


class PlainAgain(WithAManager):
    manager_class = PlainManager


WRONG = {
    "as handed out": (chat(Handed), DAY, "client 511 to hear"),
    "nobody is taken off": (chat(NobodyGoes), FORGETS, "after it had left"),
    "the last one with an id alone is taken off": (
        chat(OnlyTheLastGoes),
        FORGETS,
        "takes out again",
    ),
    "one connection for each id": (chat(OneForEachId), DAY, "client 511 to hear"),
    "closes the older one": (chat(ClosesTheOlder), DAY, "client 511 to hear"),
    "refuses the second one": (chat(RefusesTheSecond), DAY, "to be let in"),
    "tells those twice who are there twice": (chat(TellsEachTwice), DAY, "once more"),
    "no longer tells who left": (chat(LeavesInSilence), LEFT, "it came 0 times"),
    "tells twice who left": (chat(TellsTwiceWhoLeft), LEFT, "it came 2 times"),
    "no longer tells the sender": (chat(TellsTheSenderNothing), CHATS, "You wrote: hello"),
    "no longer tells the sender what all hear": (chat(TellsOthersAlone), CHATS, "Client #501 says"),
    "takes off the newest one of that id": (chat(TakesOffTheNewest), DAY, "client 513 to hear"),
    "takes off the oldest one of that id": (chat(TakesOffTheOldest), DAY, "client 511 to hear"),
    "comes back when it speaks": (chat(ComesBackWhenItSpeaks), DAY, "nothing of it"),
    "counts, and takes off at zero": (chat(Counts), FORGETS, "after it had left"),
    "the manager of the tutorial": (chat(PlainAgain), STOPS_NOBODY, "its handler has ended"),
    "lets a failed send out": (chat(LetsAFailedSendOut), STOPS_NOBODY, "its handler has ended"),
    "gathers, and raises": (chat(GathersAndRaises), STOPS_NOBODY, "its handler has ended"),
    "ends at the first send that fails": (
        chat(EndsAtTheFirstThatFails),
        STOPS_NOBODY,
        "while another client is dead, got: nothing",
    ),
    "takes off all with the id of a dead one": (
        chat(TakesOffAllOfTheDead),
        STOPS_NOBODY,
        "510 to hear",
    ),
    "goes through the people themselves": (
        chat(ChangesWhileItSends),
        STOPS_NOBODY,
        "while another client leaves",
    ),
    "no app": (MendedManager(), "the app starts", "serve() takes an ASGI app"),
    "no endpoint": (FastAPI(), CHATS, "no WebSocket endpoint at /ws/501"),
    "lets the disconnect out": (chat(Solution, catch=()), QUIET, "WebSocketDisconnect"),
}


class AListOfPairs(Handed):
    def __init__(self):
        self.pairs = []

    async def come(self, websocket, client_id):
        await websocket.accept()
        self.pairs.append((websocket, client_id))

    def go(self, websocket, client_id):
        self.pairs.remove((websocket, client_id))

    async def tell(self, text):
        for websocket, _ in self.pairs[:]:
            await send(websocket, text)


class ByConnection(Handed):
    async def come(self, websocket, client_id):
        await websocket.accept()
        self.people[websocket] = client_id

    def go(self, websocket, client_id):
        del self.people[websocket]

    async def tell(self, text):
        for websocket in tuple(self.people):
            await send(websocket, text)


class WithChatlibs(WithAManager):
    manager_class = chatlib.ConnectionManager


class TakesOffTheDead(Solution):
    async def tell(self, text):
        for websockets in list(self.people.values()):
            for websocket in list(websockets):
                try:
                    await websocket.send_text(text)
                except (WebSocketDisconnect, RuntimeError):
                    websockets.discard(websocket)

    def go(self, websocket, client_id):
        self.people[client_id].discard(websocket)


class GathersWhatFails(Solution):
    async def tell(self, text):
        everybody = [one for websockets in self.people.values() for one in websockets]
        sends = [websocket.send_text(text) for websocket in everybody]
        await asyncio.gather(*sends, return_exceptions=True)


class TaskForEach(Solution):
    async def tell(self, text):
        async with asyncio.TaskGroup() as tasks:
            for websockets in self.people.values():
                for websocket in websockets:
                    tasks.create_task(send(websocket, text))


class ANumberForEach(Handed):
    """A dict by a number of its own, and `contextlib` for the coming and going."""

    numbers = itertools.count()

    async def come(self, websocket, client_id):
        await websocket.accept()
        websocket.state.number = next(self.numbers)
        self.people[websocket.state.number] = {websocket}

    def go(self, websocket, client_id):
        del self.people[websocket.state.number]


def as_a_context_manager():
    app, there = FastAPI(), []

    async def tell(text):
        for websocket in there[:]:
            await send(websocket, text)

    @contextlib.asynccontextmanager
    async def present(websocket, client_id):
        await websocket.accept()
        there.append(websocket)
        try:
            yield
        finally:
            there.remove(websocket)
            await tell(f"Client #{client_id} left the chat")

    @app.websocket("/ws/{client_id}")
    async def chat(websocket: WebSocket, client_id: int):
        async with present(websocket, client_id):
            async for text in websocket.iter_text():
                await send(websocket, f"You wrote: {text}")
                await tell(f"Client #{client_id} says: {text}")

    return app


RIGHT = {
    "each takes itself off": chat(Solution),
    "a list of pairs": chat(AListOfPairs),
    "a dict by connection": chat(ByConnection),
    "takes off the dead": chat(TakesOffTheDead),
    "gathers what fails": chat(GathersWhatFails),
    "a task for each": chat(TaskForEach),
    "a number for each": chat(ANumberForEach),
    "a context manager": as_a_context_manager(),
    "the manager of chapter 03": chat(WithAManager),
    "chatlib's manager": chat(WithChatlibs),
    "chatlib's chat": chatlib.chat.app,
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(fault(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(fault(RIGHT[name]))


def test_the_check_of_the_chat_has_nothing_against_the_one_with_the_fault():
    expect_accepted(check.chat(chat(Handed)))
