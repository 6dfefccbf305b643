"""`check.topics` knows a chat with topics from those that nearly have them."""

import asyncio
import contextlib
import re
from dataclasses import dataclass, field

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import FastAPI, WebSocket

from chatlib.lab.check import topics

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
STOPS_NOBODY = "one who is dead, or leaves just then, keeps nobody else from hearing"
QUIET = "none of this left a traceback in the log"


# A right answer. Each wrong one is this one with another line or two.
SOLUTION = """
import contextlib
from collections import defaultdict

from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from chatlib import ConnectionManager, Room, receive_text
from chatlib.lab.plain import MendedManager, PlainManager

forum, manager = FastAPI(), MendedManager()
topics = defaultdict(set)  # by connection


async def tell(listener, text):
    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await listener.send_text(text)


async def obey(websocket, name, text):
    match [part for part in text.split(" ", 2) if part]:
        case ["/subscribe", topic]:
            topics[websocket].add(topic)
            await tell(websocket, f"Subscribed to {topic}")
        case ["/unsubscribe", topic]:
            topics[websocket].discard(topic)
            await tell(websocket, f"Unsubscribed from {topic}")
        case ["/say", topic, said]:
            for listener in list(topics):
                if topic in topics[listener]:
                    await tell(listener, f"[{topic}] {name} says: {said}")
        case _:
            await tell(websocket, f"Error: {text}")


@forum.websocket("/ws/{client_id}")
async def listen_to_topics(websocket: WebSocket, client_id: int):
    name = f"Client #{client_id}"
    await manager.connect(websocket)
    try:
        while True:
            text = await receive_text(websocket)
            if text.startswith("/"):
                await obey(websocket, name, text)
            else:
                await manager.broadcast(f"{name} says: {text}")
    except WebSocketDisconnect:
        pass
    finally:
        topics.pop(websocket, None)
        manager.disconnect(websocket)
        await manager.broadcast(f"{name} left the chat")
"""


def chat(*changes):
    """Return the app of the solution with `changes`: after each piece what stands there instead."""
    code = SOLUTION
    for old, instead in zip(changes[::2], changes[1::2], strict=True):
        assert old in code, old
        code = code.replace(old, instead)
    names = {}
    exec(compile(code, "<stdin>", "exec"), names)
    return names["forum"]


A_COMMAND = 'if text.startswith("/"):'
ADDS = "topics[websocket].add(topic)"
DISCARDS = "topics[websocket].discard(topic)"
LISTENS = "if topic in topics[listener]:"
LISTENERS = "for listener in list(topics):"
SUBSCRIBED = 'await tell(websocket, f"Subscribed to {topic}")'
AN_ERROR = 'await tell(websocket, f"Error: {text}")'
FORGETS_TOPICS = "topics.pop(websocket, None)"
LEFT_THE_CHAT = 'await manager.broadcast(f"{name} left the chat")'
UNLESS_DEAD = "with contextlib.suppress(WebSocketDisconnect, RuntimeError):"

BY_ID = (
    *(ADDS, "topics[client_id].add(topic)", DISCARDS, "topics[client_id].discard(topic)"),
    *("async def obey(websocket, name, text)", "async def obey(websocket, name, text, client_id)"),
    *("await obey(websocket, name, text)", "await obey(websocket, name, text, client_id)"),
    *(LISTENERS, "for listener in list(manager.active_connections):"),
    *(LISTENS, 'if topic in topics[int(listener.path_params["client_id"])]:'),
)

WRONG = {
    "as handed out": (chat(A_COMMAND, "if False:"), SUBSCRIBES, "Subscribed to news"),
    "a slash somewhere is a command": (chat(A_COMMAND, 'if "/" in text:'), CHATS, "either/or"),
    "without the spaces around it": (
        chat("await receive_text(websocket)", "(await receive_text(websocket)).strip()"),
        CHATS,
        "broadcast as it is",
    ),
    "commands are broadcast too": (
        chat("            else:\n                await manager", "            await manager"),
        SUBSCRIBES,
        "client 604 to hear nothing, got: ['Client #603 says: /subscribe news'",
    ),
    "all are told who subscribes": (
        chat(SUBSCRIBED, 'await manager.broadcast(f"Subscribed to {topic}")'),
        SUBSCRIBES,
        "client 604 to hear nothing",
    ),
    "other words": (chat("Subscribed to", "Subscribed:"), SUBSCRIBES, "'Subscribed to news'"),
    "topics that were made before": (
        chat(
            '["/subscribe", topic]', '["/subscribe", ("news" | "sports" | "newsletter") as topic]'
        ),
        SUBSCRIBES,
        "'Subscribed to Grüße_7' for client 603",
    ),
    "does not say the topic": (chat("[{topic}] {name}", "{name}"), ARRIVES, "[news] Client #605"),
    "the speaker does not hear itself": (
        chat(LISTENS, "if topic in topics[listener] and listener is not websocket:"),
        ARRIVES,
        "[news] Client #605 says: one",
    ),
    "who is not subscribed may not speak": (
        chat('["/say", topic, said]', '["/say", topic, said] if topic in topics[websocket]'),
        ARRIVES,
        "who speaks need not be one of them",
    ),
    "one word of the message": (chat("{said}", "{said.split()[0]}"), ARRIVES, "two  /words [x]"),
    "one space for two": (
        chat("{said}", "{' '.join(said.split())}"),
        ARRIVES,
        'text.split(" ", 2) keeps them',
    ),
    "everybody hears every topic": (
        chat(LISTENERS, "for listener in list(manager.active_connections):", LISTENS, "if True:"),
        APART,
        "client 609 to hear nothing",
    ),
    "a topic begins like another": (
        chat(LISTENS, "if any(mine.startswith(topic) for mine in topics[listener]):"),
        APART,
        "client 609 to hear nothing",
    ),
    "small letters for capitals": (
        chat(LISTENS, "if topic.lower() in {mine.lower() for mine in topics[listener]}:"),
        APART,
        "client 610 to hear nothing",
    ),
    "an answer to who speaks": (
        chat(LISTENERS, f'await tell(websocket, f"Sent to {{topic}}")\n            {LISTENERS}'),
        APART,
        "client 611 to hear nothing, got: ['Sent to news']",
    ),
    "one topic at a time": (
        chat(ADDS, "topics[websocket] = {topic}"),
        MANY,
        "client 612 to hear",
    ),
    "subscribed twice is heard twice": (
        chat(
            *("defaultdict(set)", "defaultdict(list)", ADDS, "topics[websocket].append(topic)"),
            *(LISTENS, "for _ in range(topics[listener].count(topic)):"),
        ),
        MANY,
        "to subscribe twice is to subscribe",
    ),
    "unsubscribes nobody": (chat(DISCARDS, "pass"), UNSUBSCRIBES, "client 614 to hear ['[sports]"),
    "unsubscribes from everything": (
        chat(DISCARDS, "topics[websocket].clear()"),
        UNSUBSCRIBES,
        "got: nothing",
    ),
    "unsubscribes from what begins like it": (
        chat(
            DISCARDS,
            "topics[websocket] -= {own for own in topics[websocket] if own.startswith(topic)}",
        ),
        UNSUBSCRIBES,
        "'[newsletter] Client #614 says: a'], got: ['[sports] Client #614 says: a']",
    ),
    "ends the topic for all": (
        chat(DISCARDS, "[own.discard(topic) for own in topics.values()]"),
        UNSUBSCRIBES,
        "client 615 to hear",
    ),
    "an error for who was not subscribed": (
        chat(DISCARDS, "topics[websocket].remove(topic)"),
        UNSUBSCRIBES,
        "after /unsubscribe news",
    ),
    "subscriptions by id": (
        chat(*BY_ID, FORGETS_TOPICS, "topics.pop(client_id, None)"),
        CONNECTIONS,
        "client 616 to hear nothing",
    ),
    "an id has what it had": (chat(*BY_ID), CONNECTIONS, "keep subscriptions by connection"),
    "an error where nobody listens": (
        chat(
            '["/say", topic, said]',
            '["/say", topic, said] if any(topic in own for own in topics.values())',
        ),
        CONNECTIONS,
        "got: ['Error: /say news b']",
    ),
    "says nothing of errors": (chat(AN_ERROR, "pass"), ERRORS, "'/subscribe'"),
    "tells all of errors": (
        chat(AN_ERROR, 'await manager.broadcast("Error: no such command")'),
        ERRORS,
        "client 619 to hear nothing",
    ),
    "closes on an error": (chat(AN_ERROR, "await websocket.close(1008)"), ERRORS, "close 1008"),
    "raises an error": (chat(AN_ERROR, "raise ValueError(text)"), ERRORS, "ValueError: /subscribe"),
    "other words for an error": (
        chat('"Error: {', '"error: {'),
        ERRORS,
        "'Error: …' as the answer",
    ),
    "no topic is a topic": (chat("if part]", "]"), ERRORS, "as the answer to '/subscribe '"),
    "a command is what begins like it": (
        chat("text.split(", 'text.replace("/subscribe", "/subscribe ", 1).split('),
        ERRORS,
        "'/subscribenews'",
    ),
    "leaves in silence": (chat(LEFT_THE_CHAT, "pass"), FORGETS, "it came 0 times"),
    "leaves twice": (
        chat(LEFT_THE_CHAT, f"{LEFT_THE_CHAT}\n        {LEFT_THE_CHAT}"),
        FORGETS,
        "it came 2 times",
    ),
    "leaves its connection behind": (
        chat("manager.disconnect(websocket)", "pass"),
        FORGETS,
        "after it had left",
    ),
    "leaves its topics behind": (chat(FORGETS_TOPICS, "pass"), FORGETS, "after it had left"),
    "the manager of the tutorial": (
        chat("MendedManager()", "PlainManager()"),
        STOPS_NOBODY,
        "625 to hear 'Client #625 says: anybody?' while another client is dead",
    ),
    "lets a failed send out": (
        chat(UNLESS_DEAD, "if True:"),
        STOPS_NOBODY,
        "627 to hear '[news] Client #627 says: anybody?' while another client is dead",
    ),
    "goes through the topics themselves": (
        chat("in list(topics)", "in topics"),
        STOPS_NOBODY,
        "while another client leaves",
    ),
    "lets the disconnect out": (
        chat("    except WebSocketDisconnect:\n        pass\n", ""),
        QUIET,
        "WebSocketDisconnect",
    ),
}

A_SET_FOR_EACH_TOPIC = (
    *(ADDS, "topics[topic].add(websocket)", DISCARDS, "topics[topic].discard(websocket)"),
    *(LISTENERS, "for listener in topics[topic].copy():", LISTENS, "if True:"),
    *(FORGETS_TOPICS, "[listeners.discard(websocket) for listeners in topics.values()]"),
)
A_ROOM_FOR_EACH_TOPIC = (
    *("MendedManager()", "ConnectionManager()", "defaultdict(set)", "defaultdict(Room)"),
    *(ADDS, "topics[topic].join(websocket)", DISCARDS, "topics[topic].leave(websocket)"),
    *(LISTENERS, "if True:", LISTENS, "if True:"),
    *("await tell(listener, f", "await topics[topic].publish(f"),
    *(FORGETS_TOPICS, "[room.leave(websocket) for room in topics.values()]"),
)


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


def with_tasks():
    """Return an app that sends to all at the same time, and takes messages as they come."""
    app, topics_of = FastAPI(), {}

    async def tell(websocket, text):
        with contextlib.suppress(Exception):
            await websocket.send_text(text)

    async def tell_those(text, hears):
        async with asyncio.TaskGroup() as tasks:
            for websocket, subscribed in topics_of.items():
                if hears(subscribed):
                    tasks.create_task(tell(websocket, text))

    async def obey(websocket, number, text):
        if found := re.fullmatch(r"/subscribe (\S+)", text):
            topics_of[websocket].add(found[1])
            await tell(websocket, f"Subscribed to {found[1]}")
        elif found := re.fullmatch(r"/unsubscribe (\S+)", text):
            topics_of[websocket].discard(found[1])
            await tell(websocket, f"Unsubscribed from {found[1]}")
        elif found := re.fullmatch(r"/say (\S+) (.+)", text, re.DOTALL):
            says = f"[{found[1]}] Client #{number} says: {found[2]}"
            await tell_those(says, lambda subscribed: found[1] in subscribed)
        else:
            await tell(websocket, f"Error: {text} is no command")

    @app.websocket("/ws/{number}")
    async def endpoint(websocket: WebSocket, number: int):
        await websocket.accept()
        topics_of[websocket] = set()
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            match message.get("text"):
                case None:
                    await websocket.close(1003)
                    break
                case text if text.startswith("/"):
                    await obey(websocket, number, text)
                case text:
                    await tell_those(f"Client #{number} says: {text}", lambda _: True)
        del topics_of[websocket]
        await tell_those(f"Client #{number} left the chat", lambda _: True)

    return app


RIGHT = {
    "a set for each connection": chat(),
    "a set for each topic": chat(*A_SET_FOR_EACH_TOPIC),
    "a room for each topic": chat(*A_ROOM_FOR_EACH_TOPIC),
    "an object for each member": with_members(),
    "tasks, and regular expressions": with_tasks(),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(topics(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(topics(RIGHT[name]))
