"""`check.joined` knows a chat that tells who came from those that nearly do."""

import asyncio
import contextlib

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import APIRouter, FastAPI, WebSocket, WebSocketDisconnect

import chatlib
from chatlib import receive_text
from chatlib.lab import check
from chatlib.lab.plain import MendedManager

CHATS = "all hear 'Client #… says: …', once, as before"
TOLD = "those who are there hear 'Client #… joined the chat'"
AT_ONCE = "they hear it when it comes, before it says anything"
ONCE = "they hear it once"
NOT_ITSELF = "the newcomer does not hear of itself"
CONNECTIONS = "a client with the same id is told too, and of one that comes again"
LEFT = "those who remain hear 'Client #… left the chat', once, as before"
FORGETS = "who has left is sent nothing more"
DEAD = "a client that is gone stops nobody"
MEANWHILE = "a client that leaves meanwhile makes nobody miss it"
APART = "two who come at the same time do not mix"
QUIET = "none of this left a traceback in the log"


def newsroom(come, go=None, hear=None, manager_class=MendedManager, catch=WebSocketDisconnect):
    """Return an app: `come(news, websocket, id)`, then `hear` for each text, and at last `go`."""
    app, news = FastAPI(), manager_class()

    async def say(news, websocket, client_id, text):
        await news.broadcast(f"Client #{client_id} says: {text}")

    async def leave(news, websocket, client_id):
        news.disconnect(websocket)
        await news.broadcast(f"Client #{client_id} left the chat")

    @app.websocket("/ws/{client_id}")
    async def tell_the_news(websocket: WebSocket, client_id: int):
        await come(news, websocket, client_id)
        try:
            while True:
                text = await receive_text(websocket)
                await (hear or say)(news, websocket, client_id, text)
        except catch:
            pass
        finally:
            await (go or leave)(news, websocket, client_id)

    return app


def joined(client_id):
    return f"Client #{client_id} joined the chat"


async def solution(news, websocket, client_id):
    await news.broadcast(joined(client_id))
    await news.connect(websocket)


async def as_handed_out(news, websocket, client_id):
    await news.connect(websocket)


async def tells_itself_too(news, websocket, client_id):
    await news.connect(websocket)
    await news.broadcast(joined(client_id))


async def tells_only_itself(news, websocket, client_id):
    await news.connect(websocket)
    await news.send_personal_message(joined(client_id), websocket)


async def other_words(news, websocket, client_id):
    await news.broadcast(f"Client #{client_id} has joined the chat")
    await news.connect(websocket)


async def tells_all_without_try(news, websocket, client_id):
    for other in list(news.active_connections):
        await other.send_text(joined(client_id))
    await news.connect(websocket)


async def tells_all_in_one_try(news, websocket, client_id):
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        for other in list(news.active_connections):
            await other.send_text(joined(client_id))
    await news.connect(websocket)


async def tells_all_and_catches_one(news, websocket, client_id):
    for other in list(news.active_connections):
        with contextlib.suppress(WebSocketDisconnect):
            await other.send_text(joined(client_id))
    await news.connect(websocket)


async def tells_in_tasks_that_nobody_awaits(news, websocket, client_id):
    for other in list(news.active_connections):
        asyncio.create_task(other.send_text(joined(client_id)))  # noqa: RUF006 - that is the fault
    await news.connect(websocket)


async def goes_through_the_list_itself(news, websocket, client_id):
    for other in news.active_connections:
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await other.send_text(joined(client_id))
    await news.connect(websocket)


async def another_list_for_a_while(news, websocket, client_id):
    await news.connect(websocket)
    members = news.active_connections
    news.active_connections = [member for member in members if member is not websocket]
    await news.broadcast(joined(client_id))
    news.active_connections = members


def tells_what_came_before():
    before = []

    async def come(news, websocket, client_id):
        await solution(news, websocket, client_id)
        for text in before:
            await websocket.send_text(text)
        before.append(joined(client_id))

    return come


class KeepsTheNewest(MendedManager):
    """It tells all but the one that came last."""

    async def connect(self, websocket):
        await super().connect(websocket)
        self.newest = websocket
        for connection in list(self.active_connections):
            if connection is not self.newest:
                with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                    await connection.send_text(joined(websocket.path_params["client_id"]))


async def tells_the_first(news, websocket, client_id):
    if news.active_connections:
        await news.send_personal_message(joined(client_id), news.active_connections[0])
    await news.connect(websocket)


async def tells_twice(news, websocket, client_id):
    await news.broadcast(joined(client_id))
    await news.connect(websocket)
    for other in list(news.active_connections):
        if other is not websocket:
            await other.send_text(joined(client_id))


async def never_connects(news, websocket, client_id):
    await news.broadcast(joined(client_id))


async def is_there_twice(news, websocket, client_id):
    await solution(news, websocket, client_id)
    news.active_connections.append(websocket)


async def tells_other_ids(news, websocket, client_id):
    await news.connect(websocket)
    for other in list(news.active_connections):
        if other.path_params["client_id"] != str(client_id):
            await other.send_text(joined(client_id))


def tells_each_id_once():
    seen = set()

    async def come(news, websocket, client_id):
        if client_id not in seen:
            seen.add(client_id)
            await news.broadcast(joined(client_id))
        await news.connect(websocket)

    return come


def tells_with_the_first_text(every_text=False):
    known = set()

    async def hear(news, websocket, client_id, text):
        if websocket not in known or every_text:
            known.add(websocket)
            for other in list(news.active_connections):
                if other is not websocket:
                    await other.send_text(joined(client_id))
        await news.broadcast(f"Client #{client_id} says: {text}")

    return hear


async def tells_again_with_each_text(news, websocket, client_id, text):
    for other in list(news.active_connections):
        if other is not websocket:
            await other.send_text(joined(client_id))
    await news.broadcast(f"Client #{client_id} says: {text}")


async def forgets_to_say(news, websocket, client_id, text):
    await news.send_personal_message(f"Client #{client_id} says: {text}", websocket)


async def leaves_out_the_empty(news, websocket, client_id, text):
    if text:
        await news.broadcast(f"Client #{client_id} says: {text}")


async def strips_what_is_said(news, websocket, client_id, text):
    await news.broadcast(f"Client #{client_id} says: {text.strip()}")


async def says_without_try(news, websocket, client_id, text):
    for member in list(news.active_connections):
        await member.send_text(f"Client #{client_id} says: {text}")


def who_said_something():
    """Return `hear` and `go`: they tell who left, if it has said anything."""
    known = set()

    async def hear(news, websocket, client_id, text):
        known.add(websocket)
        await news.broadcast(f"Client #{client_id} says: {text}")

    async def go(news, websocket, client_id):
        news.disconnect(websocket)
        if websocket in known:
            await news.broadcast(f"Client #{client_id} left the chat")

    return {"hear": hear, "go": go}


def never_ends():
    """Return an app whose handlers go on when their clients have left."""
    app, news = FastAPI(), MendedManager()

    @app.websocket("/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: int):
        await solution(news, websocket, client_id)
        while True:
            try:
                text = await receive_text(websocket)
                await news.broadcast(f"Client #{client_id} says: {text}")
            except WebSocketDisconnect:
                news.disconnect(websocket)
                await news.broadcast(f"Client #{client_id} left the chat")
                await asyncio.Event().wait()

    return app


async def leaves_in_silence(news, websocket, client_id):
    news.disconnect(websocket)


async def never_disconnects(news, websocket, client_id):
    await news.broadcast(f"Client #{client_id} left the chat")


async def tells_twice_who_left(news, websocket, client_id):
    news.disconnect(websocket)
    await news.broadcast(f"Client #{client_id} left the chat")
    await news.broadcast(f"Client #{client_id} left the chat")


async def tells_who_joined_when_it_leaves(news, websocket, client_id):
    news.disconnect(websocket)
    await news.broadcast(joined(client_id))
    await news.broadcast(f"Client #{client_id} left the chat")


WRONG = {
    "as handed out": (
        newsroom(as_handed_out),
        TOLD,
        "heard 'Client #206 says: hello', and nothing",
    ),
    "other words": (newsroom(other_words), TOLD, "'Client #206 joined the chat'"),
    "tells the newcomer alone": (newsroom(tells_only_itself), TOLD, "client 203 heard"),
    "tells the first of those who are there": (newsroom(tells_the_first), TOLD, "client 204"),
    "tells when the client leaves": (
        newsroom(as_handed_out, tells_who_joined_when_it_leaves),
        TOLD,
        "nothing of it before",
    ),
    "never connects": (newsroom(never_connects), CHATS, "to be let in"),
    "is in the list twice": (newsroom(is_there_twice), CHATS, "it came 2 times"),
    "no longer broadcasts what is said": (
        newsroom(solution, hear=forgets_to_say),
        CHATS,
        "broadcast what they say",
    ),
    "tells when the client first speaks": (
        newsroom(as_handed_out, hear=tells_with_the_first_text()),
        AT_ONCE,
        "before the loop",
    ),
    "tells with each text again": (
        newsroom(solution, hear=tells_again_with_each_text),
        ONCE,
        "it came 3 times",
    ),
    "tells twice": (newsroom(tells_twice), ONCE, "it came 2 times"),
    "connects first, and then tells all": (
        newsroom(tells_itself_too),
        NOT_ITSELF,
        "client 212 heard",
    ),
    "leaves out those with the id of the newcomer": (
        newsroom(tells_other_ids),
        CONNECTIONS,
        "a second client with its id",
    ),
    "tells of each id once": (newsroom(tells_each_id_once()), CONNECTIONS, "client 213"),
    "no longer tells who left": (newsroom(solution, leaves_in_silence), LEFT, "never came"),
    "tells twice who left": (newsroom(solution, tells_twice_who_left), LEFT, "it came 2 times"),
    "never disconnects anybody": (
        newsroom(solution, never_disconnects),
        FORGETS,
        "after it had left",
    ),
    "the empty text is none": (
        newsroom(solution, hear=leaves_out_the_empty),
        CHATS,
        "'Client #201 says: ' once, got: it never came",
    ),
    "strips what is said": (newsroom(solution, hear=strips_what_is_said), CHATS, "☕"),
    "its handlers never end": (never_ends(), CHATS, "the loop has to end"),
    "tells what came before": (
        newsroom(tells_what_came_before()),
        NOT_ITSELF,
        "nothing but what comes after it",
    ),
    "tells who left if it said something": (
        newsroom(solution, **who_said_something()),
        LEFT,
        "'Client #220 left the chat' once, got: it never came",
    ),
    "no try": (newsroom(tells_all_without_try), DEAD, "your code raised WebSocketDisconnect"),
    "one try around all": (
        newsroom(tells_all_in_one_try),
        DEAD,
        "client 225 to hear 'Client #227 joined the chat', got: it never came",
    ),
    "catches WebSocketDisconnect alone": (
        newsroom(tells_all_and_catches_one),
        DEAD,
        "the handler of client 228",
    ),
    "says without try": (
        newsroom(solution, hear=says_without_try),
        DEAD,
        "and client 225's handler ended",
    ),
    "tasks that nobody awaits": (
        newsroom(tells_in_tasks_that_nobody_awaits),
        DEAD,
        "no exception to be lost",
    ),
    "goes through the list itself": (
        newsroom(goes_through_the_list_itself),
        MEANWHILE,
        "client 230 to hear 'Client #232 joined the chat'",
    ),
    "another list for a while": (
        newsroom(another_list_for_a_while),
        MEANWHILE,
        "sent to client 229 after it had left",
    ),
    "tells all but the one that came last": (
        newsroom(as_handed_out, manager_class=KeepsTheNewest),
        APART,
        "client 234 to hear nothing of itself",
    ),
    "lets the disconnect out": (newsroom(solution, catch=()), QUIET, "WebSocketDisconnect"),
}


async def accepts_before_it_tells(news, websocket, client_id):
    await websocket.accept()
    await news.broadcast(joined(client_id))
    news.active_connections.append(websocket)


async def tells_all_but_itself(news, websocket, client_id):
    await news.connect(websocket)
    others = [other for other in news.active_connections if other is not websocket]
    for other in others:
        try:
            await news.send_personal_message(joined(client_id), other)
        except (WebSocketDisconnect, RuntimeError):
            news.disconnect(other)


async def tells_all_at_once(news, websocket, client_id):
    others = list(news.active_connections)
    await news.connect(websocket)
    sends = [other.send_text(joined(client_id)) for other in others]
    await asyncio.gather(*sends, return_exceptions=True)


async def tells_in_a_task(news, websocket, client_id):
    task = asyncio.create_task(news.broadcast(joined(client_id)))
    await task
    await news.connect(websocket)


async def tells_in_a_group(news, websocket, client_id):
    async def tell(other):
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            await other.send({"type": "websocket.send", "text": joined(client_id)})

    async with asyncio.TaskGroup() as group:
        for other in news.active_connections:
            group.create_task(tell(other))
    await news.connect(websocket)


class Queues(MendedManager):
    """A broadcast waits for nobody: each client has a task that sends what is in its queue."""

    def __init__(self):
        super().__init__()
        self.queues, self.tasks = {}, {}

    async def connect(self, websocket):
        await super().connect(websocket)
        self.queues[websocket] = asyncio.Queue()
        self.tasks[websocket] = asyncio.create_task(self.send(websocket))

    async def send(self, websocket):
        with contextlib.suppress(WebSocketDisconnect, RuntimeError):
            while True:
                await websocket.send_text(await self.queues[websocket].get())
        self.queues.pop(websocket, None)

    def disconnect(self, websocket):
        super().disconnect(websocket)
        self.queues.pop(websocket, None)
        self.tasks.pop(websocket).cancel()

    async def broadcast(self, message):
        for queue in self.queues.values():
            queue.put_nowait(message)


def in_a_context():
    """Return an app whose handler is a `with`, and reads the messages themselves."""
    app, news = FastAPI(), MendedManager()

    @contextlib.asynccontextmanager
    async def member(websocket, client_id):
        await solution(news, websocket, client_id)
        try:
            yield
        finally:
            news.disconnect(websocket)
            await news.broadcast(f"Client #{client_id} left the chat")

    @app.websocket("/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: int):
        async with member(websocket, client_id):
            while True:
                match await websocket.receive():
                    case {"type": "websocket.receive", "text": str(text)}:
                        await news.broadcast(f"Client #{client_id} says: {text}")
                    case {"type": "websocket.disconnect"}:
                        break

    return app


class Announcing(MendedManager):
    """Has what is asked for in `connect`, and knows how to leave one out."""

    async def connect(self, websocket):
        await super().connect(websocket)
        await self.broadcast(joined(websocket.path_params["client_id"]), besides=websocket)

    async def broadcast(self, message, besides=None):
        for connection in self.active_connections[:]:
            try:
                if connection is not besides:
                    await connection.send_text(message)
            except Exception:
                self.disconnect(connection)


class OfASet:
    """No list, and nothing of chatlib's."""

    def __init__(self):
        self.members = set()

    async def connect(self, websocket):
        await websocket.accept()
        self.members.add(websocket)

    def disconnect(self, websocket):
        self.members.discard(websocket)

    async def broadcast(self, message):
        sends = [member.send_text(message) for member in self.members]
        await asyncio.gather(*sends, return_exceptions=True)


def by_hand():
    """Return an app with a dict and a router, and with the try around everything."""
    app, router, members = FastAPI(), APIRouter(), {}

    async def tell(text):
        for member in list(members):
            if member in members:
                try:
                    await member.send_text(text)
                except (WebSocketDisconnect, RuntimeError):
                    members.pop(member, None)

    @router.websocket("/ws/{number}")
    async def endpoint(websocket: WebSocket, number: int):
        await websocket.accept()
        await tell(joined(number))
        members[websocket] = number
        try:
            await websocket.send_text("Welcome")
            async for text in websocket.iter_text():
                await websocket.send_text(f"You wrote: {text}")
                await tell(f"Client #{number} says: {text}")
        except RuntimeError:
            pass
        members.pop(websocket, None)
        await tell(f"Client #{number} left the chat")

    app.include_router(router)
    return app


RIGHT = {
    "the solution": newsroom(solution),
    "accepts, tells, appends": newsroom(accepts_before_it_tells),
    "connects, and tells all but itself": newsroom(tells_all_but_itself),
    "tells all at once": newsroom(tells_all_at_once),
    "a group of tasks": newsroom(tells_in_a_group),
    "a queue and a task for each": newsroom(solution, manager_class=Queues),
    "a context manager": in_a_context(),
    "tells in a task": newsroom(tells_in_a_task),
    "a manager that does it in connect": newsroom(as_handed_out, manager_class=Announcing),
    "a set, and gather": newsroom(solution, manager_class=OfASet),
    "chatlib's manager": newsroom(solution, manager_class=chatlib.ConnectionManager),
    "a dict, a router, a welcome": by_hand(),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.joined(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.joined(RIGHT[name]))
