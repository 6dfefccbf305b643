"""`check.topics` knows a chat with topics from those that nearly have them."""

import contextlib
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

import chatlib
from chatlib import receive_text
from chatlib.lab.check import topics
from chatlib.lab.plain import MendedManager

CHATS = "what is no command all hear, as before: 'Client #… says: m'"
SUBSCRIBES = "'/subscribe news' is answered with 'Subscribed to news', to its sender alone"
ARRIVES = "'/say news m' reaches who subscribed to news: '[news] Client #… says: m'"
APART = "nobody else hears it, and a topic is its whole name"
MANY = "one client has many topics, and hears each message once"
UNSUBSCRIBES = (
    "'/unsubscribe news' is answered with 'Unsubscribed from news', and ends that one alone"
)
CONNECTIONS = "a subscription is of one connection: not of its id, and not for the next time"
ERRORS = "a command that says too little, or none that there is: 'Error: …', to its sender alone"
FORGETS = "who has left is sent nothing more, and the others hear 'Client #… left the chat'"
QUIET = "none of this left a traceback in the log"


class Solution:
    """A right answer in parts, so that each can be a wrong one."""

    manager_class = MendedManager

    def __init__(self):
        self.manager = self.manager_class()
        self.topics = defaultdict(set)  # by connection

    def key(self, websocket):
        return websocket

    async def answer(self, websocket, text):
        await self.manager.send_personal_message(text, websocket)

    async def subscribe(self, websocket, topic):
        self.topics[self.key(websocket)].add(topic)
        await self.answer(websocket, f"Subscribed to {topic}")

    async def unsubscribe(self, websocket, topic):
        self.topics[self.key(websocket)].discard(topic)
        await self.answer(websocket, f"Unsubscribed from {topic}")

    def listens(self, websocket, topic):
        return topic in self.topics.get(self.key(websocket), ())

    async def say(self, websocket, topic, says):
        for member in list(self.manager.active_connections):
            if self.listens(member, topic):
                with contextlib.suppress(WebSocketDisconnect, RuntimeError):
                    await self.answer(member, f"[{topic}] {says}")

    async def hear(self, websocket, client_id, text):
        name = f"Client #{client_id}"
        command, *rest = text.split(" ", 2)
        match [command, *filter(None, rest)]:
            case ["/subscribe", topic]:
                await self.subscribe(websocket, topic)
            case ["/unsubscribe", topic]:
                await self.unsubscribe(websocket, topic)
            case ["/say", topic, message]:
                await self.say(websocket, topic, f"{name} says: {message}")
            case _ if text.startswith("/"):
                await self.error(websocket, text)
            case _:
                await self.answer(websocket, f"You wrote: {text}")
                await self.manager.broadcast(f"{name} says: {text}")

    async def error(self, websocket, text):
        await self.answer(websocket, f"Error: {text!r} is no command, or lacks something")

    async def go(self, websocket, client_id):
        self.topics.pop(self.key(websocket), None)
        self.manager.disconnect(websocket)
        await self.manager.broadcast(f"Client #{client_id} left the chat")


def chat(parts, catch=WebSocketDisconnect, **changes):
    """Return an app of `parts`, with `changes` to it."""
    app, room = FastAPI(), type("Parts", (parts,), changes)()

    @app.websocket("/ws/{client_id}")
    async def websocket_endpoint(websocket: WebSocket, client_id: int):
        await room.manager.connect(websocket)
        try:
            while True:
                await room.hear(websocket, client_id, await receive_text(websocket))
        except catch:
            pass
        finally:
            await room.go(websocket, client_id)

    return app


async def knows_no_commands(room, websocket, client_id, text):
    await room.answer(websocket, f"You wrote: {text}")
    await room.manager.broadcast(f"Client #{client_id} says: {text}")


async def broadcasts_commands_too(room, websocket, client_id, text):
    if text.startswith("/"):
        await room.manager.broadcast(f"Client #{client_id} says: {text}")
    await Solution.hear(room, websocket, client_id, text)


async def looks_for_a_slash(room, websocket, client_id, text):
    if "/" in text and not text.startswith("/"):
        await room.error(websocket, text)
    else:
        await Solution.hear(room, websocket, client_id, text)


async def tells_all_who_subscribes(room, websocket, topic):
    room.topics[websocket].add(topic)
    await room.manager.broadcast(f"Subscribed to {topic}")


async def other_words(room, websocket, topic):
    room.topics[websocket].add(topic)
    await room.answer(websocket, f"You have subscribed to {topic}")


async def without_the_topic(room, websocket, topic, says):
    for member in list(room.manager.active_connections):
        if room.listens(member, topic):
            await room.answer(member, says)


async def to_others_alone(room, websocket, topic, says):
    for member in list(room.manager.active_connections):
        if member is not websocket and room.listens(member, topic):
            await room.answer(member, f"[{topic}] {says}")


async def subscribers_alone_may_speak(room, websocket, topic, says):
    if room.listens(websocket, topic):
        await Solution.say(room, websocket, topic, says)


async def first_word(room, websocket, topic, says):
    who, _, message = says.partition(" says: ")
    await Solution.say(room, websocket, topic, f"{who} says: {message.split()[0]}")


async def one_topic(room, websocket, topic):
    room.topics[websocket] = {topic}
    await room.answer(websocket, f"Subscribed to {topic}")


async def a_list_of_topics(room, websocket, topic):
    room.lists = room.__dict__.get("lists", [])
    room.lists.append((websocket, topic))
    await room.answer(websocket, f"Subscribed to {topic}")


async def through_the_list(room, websocket, topic, says):
    for member, whose in list(room.__dict__.get("lists", [])):
        if whose == topic and member in room.manager.active_connections:
            await room.answer(member, f"[{topic}] {says}")


async def answers_and_no_more(room, websocket, topic):
    await room.answer(websocket, f"Unsubscribed from {topic}")


async def unsubscribes_from_all(room, websocket, topic):
    room.topics.pop(websocket, None)
    await room.answer(websocket, f"Unsubscribed from {topic}")


async def ends_the_topic(room, websocket, topic):
    for subscribed in room.topics.values():
        subscribed.discard(topic)
    await room.answer(websocket, f"Unsubscribed from {topic}")


async def an_error_where_not_subscribed(room, websocket, topic):
    room.topics[websocket].remove(topic)
    await room.answer(websocket, f"Unsubscribed from {topic}")


async def silent_about_errors(room, websocket, text):
    pass


async def tells_all_of_errors(room, websocket, text):
    await room.manager.broadcast(f"Error: {text!r} is no command")


async def closes_on_errors(room, websocket, text):
    await websocket.close(1008)


async def matches_the_beginning(room, websocket, client_id, text):
    if text.startswith("/subscribe") and (topic := text[10:].strip()):
        await room.subscribe(websocket, topic)
    else:
        await Solution.hear(room, websocket, client_id, text)


async def leaves_in_silence(room, websocket, client_id):
    room.topics.pop(websocket, None)
    room.manager.disconnect(websocket)


async def leaves_its_connection(room, websocket, client_id):
    await room.manager.broadcast(f"Client #{client_id} left the chat")


def by_id(room, websocket):
    return websocket.path_params["client_id"]


async def keeps_what_an_id_had(room, websocket, client_id):
    room.manager.disconnect(websocket)
    await room.manager.broadcast(f"Client #{client_id} left the chat")


WRONG = {
    "as handed out": (chat(Solution, hear=knows_no_commands), SUBSCRIBES, "Subscribed to news"),
    "a slash somewhere is a command": (
        chat(Solution, hear=looks_for_a_slash),
        CHATS,
        "either/or",
    ),
    "commands are broadcast too": (
        chat(Solution, hear=broadcasts_commands_too),
        SUBSCRIBES,
        "Client #603 says: /subscribe",
    ),
    "all are told who subscribes": (
        chat(Solution, subscribe=tells_all_who_subscribes),
        SUBSCRIBES,
        "client 604 to hear nothing",
    ),
    "other words": (chat(Solution, subscribe=other_words), SUBSCRIBES, "'Subscribed to news'"),
    "does not say the topic": (
        chat(Solution, say=without_the_topic),
        ARRIVES,
        "[news] Client #605",
    ),
    "the speaker does not hear itself": (
        chat(Solution, say=to_others_alone),
        ARRIVES,
        "[news] Client #605 says: one",
    ),
    "who is not subscribed may not speak": (
        chat(Solution, say=subscribers_alone_may_speak),
        ARRIVES,
        "who speaks need not be one of them",
    ),
    "one word of the message": (chat(Solution, say=first_word), ARRIVES, "two  /words [x]"),
    "everybody hears every topic": (
        chat(Solution, listens=lambda room, websocket, topic: True),
        APART,
        "client 609 to hear nothing",
    ),
    "a topic begins like another": (
        chat(
            Solution,
            listens=lambda room, websocket, topic: any(
                mine.startswith(topic) for mine in room.topics[websocket]
            ),
        ),
        APART,
        "client 609 to hear nothing",
    ),
    "small letters for capitals": (
        chat(
            Solution,
            listens=lambda room, websocket, topic: (
                topic.lower() in {mine.lower() for mine in room.topics[websocket]}
            ),
        ),
        APART,
        "client 610 to hear nothing",
    ),
    "one topic at a time": (chat(Solution, subscribe=one_topic), MANY, "client 612 to hear"),
    "subscribed twice is heard twice": (
        chat(Solution, subscribe=a_list_of_topics, say=through_the_list),
        MANY,
        "to subscribe twice is to subscribe",
    ),
    "unsubscribes nobody": (
        chat(Solution, unsubscribe=answers_and_no_more),
        UNSUBSCRIBES,
        "client 614 to hear ['[sports]",
    ),
    "unsubscribes from everything": (
        chat(Solution, unsubscribe=unsubscribes_from_all),
        UNSUBSCRIBES,
        "got: nothing",
    ),
    "ends the topic for all": (
        chat(Solution, unsubscribe=ends_the_topic),
        UNSUBSCRIBES,
        "client 615 to hear",
    ),
    "an error for who was not subscribed": (
        chat(Solution, unsubscribe=an_error_where_not_subscribed),
        UNSUBSCRIBES,
        "after /unsubscribe news",
    ),
    "subscriptions by id": (chat(Solution, key=by_id), CONNECTIONS, "client 616 to hear nothing"),
    "an id has what it had": (
        chat(Solution, key=by_id, go=keeps_what_an_id_had),
        CONNECTIONS,
        "keep subscriptions by connection",
    ),
    "says nothing of errors": (chat(Solution, error=silent_about_errors), ERRORS, "'/subscribe'"),
    "tells all of errors": (
        chat(Solution, error=tells_all_of_errors),
        ERRORS,
        "client 619 to hear nothing",
    ),
    "closes on an error": (chat(Solution, error=closes_on_errors), ERRORS, "close 1008"),
    "a command is what begins like it": (
        chat(Solution, hear=matches_the_beginning),
        ERRORS,
        "'/subscribenews'",
    ),
    "leaves in silence": (chat(Solution, go=leaves_in_silence), FORGETS, "it came 0 times"),
    "leaves its connection behind": (
        chat(Solution, go=leaves_its_connection),
        FORGETS,
        "after it had left",
    ),
    "lets the disconnect out": (chat(Solution, catch=()), QUIET, "WebSocketDisconnect"),
}


class SetForEachTopic(Solution):
    """The other way round: who listens to a topic."""

    async def subscribe(self, websocket, topic):
        self.topics[topic].add(websocket)
        await websocket.send_text(f"Subscribed to {topic}")

    async def unsubscribe(self, websocket, topic):
        self.topics[topic] -= {websocket}
        await websocket.send_text(f"Unsubscribed from {topic}")

    def listens(self, websocket, topic):
        return websocket in self.topics[topic]

    async def go(self, websocket, client_id):
        for members in self.topics.values():
            members.discard(websocket)
        await super().go(websocket, client_id)


class RoomForEachTopic(Solution):
    manager_class = chatlib.ConnectionManager

    def __init__(self):
        super().__init__()
        self.rooms = defaultdict(chatlib.Room)

    async def subscribe(self, websocket, topic):
        self.rooms[topic].join(websocket)
        await self.answer(websocket, f"Subscribed to {topic}")

    async def unsubscribe(self, websocket, topic):
        self.rooms[topic].leave(websocket)
        await self.answer(websocket, f"Unsubscribed from {topic}")

    async def say(self, websocket, topic, says):
        await self.rooms[topic].publish(f"[{topic}] {says}")

    async def go(self, websocket, client_id):
        for room in self.rooms.values():
            room.leave(websocket)
        await super().go(websocket, client_id)


@dataclass(eq=False)
class Member:
    websocket: WebSocket
    number: int
    topics: list = field(default_factory=list)


def with_members():
    """Return an app with an object for each member, and `partition` for the commands."""
    app, members = FastAPI(), []

    async def tell(text, topic=None):
        for member in members[:]:
            if topic is None or topic in member.topics:
                with contextlib.suppress(Exception):
                    await member.websocket.send_text(text)

    async def obey(me, command, topic, text):
        if command == "subscribe" and topic:
            me.topics = [*{*me.topics, topic}]
            return f"Subscribed to {topic}"
        if command == "unsubscribe" and topic:
            me.topics = [mine for mine in me.topics if mine != topic]
            return f"Unsubscribed from {topic}"
        if command == "say" and topic and text:
            await tell(f"[{topic}] Client #{me.number} says: {text}", topic)
            return None
        return "Error: I know /subscribe TOPIC, /unsubscribe TOPIC and /say TOPIC TEXT"

    @app.websocket("/ws/{number}")
    async def endpoint(websocket: WebSocket, number: int):
        await websocket.accept()
        members.append(me := Member(websocket, number))
        async for text in websocket.iter_text():
            if text.startswith("/"):
                command, _, rest = text[1:].partition(" ")
                topic, _, said = rest.partition(" ")
                if answer := await obey(me, command, topic, said):
                    await websocket.send_text(answer)
            else:
                await tell(f"Client #{number} says: {text}")
        members.remove(me)
        await tell(f"Client #{number} left the chat")

    return app


RIGHT = {
    "a set for each connection": chat(Solution),
    "a set for each topic": chat(SetForEachTopic),
    "a room for each topic": chat(RoomForEachTopic),
    "an object for each member": with_members(),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(topics(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(topics(RIGHT[name]))
