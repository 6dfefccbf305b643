"""The rules of an open exercise: topics, to which the clients of a chat subscribe."""

import contextlib
import re
from collections.abc import AsyncIterator

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Bench, Client, Wrong, shorten
from chatlib.lab.check.tools.play import (
    STOPS_NOBODY,
    Name,
    Play,
    client_says,
    leaves_nothing_behind,
    stops_nobody,
)
from chatlib.lab.check.tools.talk import ended, enters, heard_until

TOPICS = Rules()

AS_IT_IS = 'the text may begin or end with spaces, or have several: text.split(" ", 2) keeps them'


@TOPICS.rule(
    "what is no command all hear, as before: 'Client #… says: m'",
    hint="a command begins with '/'; everything else is broadcast as it is",
    essential=True,
)
async def topics_leave_the_chat(bench: Bench) -> None:
    async with in_room(bench, 601, 602) as room:
        for text in ("hello", "either/or", "say news to nobody", " /dance ", "  as it is  "):
            await room[601].send(text)
            for client in room.values():
                await heard_until(client, f"Client #601 says: {text}")


@TOPICS.rule(
    "'/subscribe news' is answered with 'Subscribed to news', to its sender alone",
    hint="text.split(), and send_personal_message",
    essential=True,
)
async def topics_subscribe(bench: Bench) -> None:
    async with in_room(bench, 603, 604) as room:
        for topic in ("news", "sports", "Grüße_7"):  # one that nobody thinks of
            await subscribe(room, 603, topic)
        expect_heard(await all_heard(room, 603), {603: [], 604: []})


@TOPICS.rule(
    "'/say news m' reaches who subscribed to news: '[news] Client #… says: m'",
    hint="go through the subscribers of the topic; who speaks need not be one of them",
    essential=True,
)
async def topics_arrive(bench: Bench) -> None:
    async with in_room(bench, 605, 606, 607) as room:
        await subscribe(room, 605, "news")
        await subscribe(room, 606, "news")
        for speaker, text in ((605, "one"), (607, "two  /words [x] ☕"), (607, "  as it is  ")):
            await room[speaker].send(f"/say news {text}")
            heard = await all_heard(room, speaker)
            for listener in (605, 606):
                expected = f"[news] Client #{speaker} says: {text}"
                if expected not in heard[listener]:
                    came = shorten(heard[listener]) if heard[listener] else "nothing"
                    alike = [one for one in heard[listener] if one.split() == expected.split()]
                    hint = AS_IT_IS if alike else None
                    raise Wrong(f"client {listener} to hear {expected!r}", came, hint=hint)


@TOPICS.rule(
    "nobody else hears it, and a topic is its whole name",
    hint="'news' is neither 'newsletter' nor 'News': compare the names with ==",
)
async def topics_keep_apart(bench: Bench) -> None:
    async with in_room(bench, 608, 609, 610, 611) as room:
        for number, topic in ((608, "news"), (609, "newsletter"), (610, "News")):
            await subscribe(room, number, topic)
        await room[611].send("/say news psst")
        heard = {608: ["[news] Client #611 says: psst"], 609: [], 610: [], 611: []}
        expect_heard(await all_heard(room, 611), heard)
        await room[611].send("/say newsletter psst")
        heard = {608: [], 609: ["[newsletter] Client #611 says: psst"], 610: [], 611: []}
        expect_heard(await all_heard(room, 611), heard)


@TOPICS.rule(
    "one client has many topics, and hears each message once",
    hint="a set of topics for each connection: to subscribe twice is to subscribe",
)
async def topics_are_many(bench: Bench) -> None:
    async with in_room(bench, 612, 613) as room:
        for topic in ("news", "sports", "news"):
            await subscribe(room, 612, topic)
        await room[613].send("/say news a")
        await room[613].send("/say sports b")
        came = ["[news] Client #613 says: a", "[sports] Client #613 says: b"]
        expect_heard(await all_heard(room, 613), {612: came, 613: []})


@TOPICS.rule(
    "'/unsubscribe news' is answered with 'Unsubscribed from news', and ends that one alone",
    hint="take off this connection and this topic; who was not subscribed gets the same answer",
)
async def topics_unsubscribe(bench: Bench) -> None:
    async with in_room(bench, 614, 615) as room:
        for number in room:
            await subscribe(room, number, "news")
        await subscribe(room, 614, "sports")
        await subscribe(room, 614, "newsletter")
        for topic in ("news", "news", "weather"):
            await told(room, 614, f"/unsubscribe {topic}", f"Unsubscribed from {topic}")
        for topic in ("news", "sports", "newsletter"):
            await room[614].send(f"/say {topic} a")
        left = [f"[{topic}] Client #614 says: a" for topic in ("sports", "newsletter")]
        came = {614: left, 615: ["[news] Client #614 says: a"]}
        expect_heard(await all_heard(room, 614), came)


@TOPICS.rule(
    "a subscription is of one connection: not of its id, and not for the next time",
    hint="keep subscriptions by connection, and take them off when it ends",
)
async def topics_belong_to_connections(bench: Bench) -> None:
    async with in_room(bench, 616, 617) as room:
        async with bench.client("/ws/616") as twin:
            await enters(twin, 616)
            await subscribe({616: twin}, 616, "news")
            await room[617].send("/say news a")
            expect_heard(await all_heard(room, 617), {616: [], 617: []})
            expect_heard(await all_heard({616: twin}, 616), {616: ["[news] Client #617 says: a"]})
        async with bench.client("/ws/616") as again:
            await enters(again, 616)
            await room[617].send("/say news b")
            expect_heard(await all_heard({617: room[617], 616: again}, 617), {616: [], 617: []})


@TOPICS.rule(
    "a command that says too little, or none that there is: 'Error: …', to its sender alone",
    hint="answer with 'Error: ' and what is missing, and go on",
)
async def topics_name_errors(bench: Bench) -> None:
    async with in_room(bench, 618, 619) as room:
        too_little = (
            "/subscribe",
            "/unsubscribe",
            "/subscribe ",
            "/unsubscribe ",
            "/say",
            "/say news",
        )
        for text in (*too_little, "/", "/dance", "/subscribenews"):
            await room[618].send(text)
            heard = await all_heard(room, 618)
            if len(heard[618]) != 1 or not heard[618][0].startswith("Error: "):
                raise Wrong(f"'Error: …' as the answer to {text!r}", heard[618] or "nothing")
            expect_heard({619: heard[619]}, {619: []})


@TOPICS.rule(
    "who has left is sent nothing more, and the others hear 'Client #… left the chat'",
    hint="in `finally`: off the list, off its topics, and tell the others",
)
async def topics_forget(bench: Bench) -> None:
    async with bench.client("/ws/620") as stays:
        await enters(stays, 620)
        others = bench.server.handlers
        async with bench.client("/ws/621") as leaves:
            await enters(leaves, 621)
            await subscribe({621: leaves}, 621, "news")
        await ended(bench, others)
        left = "Client #621 left the chat"
        if (times := (await enters(stays, 620)).count(left)) != 1:
            raise Wrong(f"{left!r} once", f"it came {times} times")
    await leaves_nothing_behind(
        bench, 622, 623, before=["/subscribe news"], after=["/say news anybody?"]
    )


@TOPICS.rule(
    "one who is dead, or leaves just then, keeps nobody else from hearing",
    hint=STOPS_NOBODY,
)
async def topics_stand_the_dead(bench: Bench) -> None:
    await stops_nobody(Play(bench), 625, 626)

    def news(name: Name, text: str) -> str:
        return client_says(name, text) if text == "here" else f"[news] {client_says(name, text)}"

    play = Play(bench, before=["/subscribe news"], hears=news)
    await stops_nobody(play, 627, 628, command="/say news ")


@TOPICS.rule("none of this left a traceback in the log", hint="catch WebSocketDisconnect")
async def topics_end_quietly(bench: Bench) -> None:
    async with bench.client("/ws/624") as client:
        await client.send("/subscribe news")
        await client.send("/say news I am on my way")
        await client.vanish()
    await bench.no_traceback()


OF_THE_CHAT = r"^You wrote: | says: (here I am$|after /|that was all$)| left the chat$"


@contextlib.asynccontextmanager
async def in_room(bench: Bench, *numbers: int) -> AsyncIterator[dict[int, Client]]:
    """Have clients with these ids in the chat meanwhile, who have heard all there was."""
    async with contextlib.AsyncExitStack() as stack:
        room = {}
        for number in numbers:
            room[number] = await stack.enter_async_context(bench.client(f"/ws/{number}"))
            await enters(room[number], number)
        await all_heard(room, numbers[0])
        yield room


async def told(room: dict[int, Client], number: int, command: str, answer: str) -> None:
    """Have client `number` send `command`, and expect that it gets `answer`."""
    await room[number].send(command)
    await room[number].send(f"after {command}")
    heard = await heard_until(room[number], f"Client #{number} says: after {command}")
    if answer not in heard:
        came = [text for text in heard if not re.search(OF_THE_CHAT, text)]
        raise Wrong(f"{answer!r} for client {number}", shorten(came) if came else "nothing")


async def subscribe(room: dict[int, Client], number: int, topic: str) -> None:
    """Subscribe client `number` to `topic`."""
    await told(room, number, f"/subscribe {topic}", f"Subscribed to {topic}")


async def all_heard(room: dict[int, Client], speaker: int) -> dict[int, list[str]]:
    """Have `speaker` say that this was all; return what each of them heard before."""
    await room[speaker].send("that was all")
    heard = {}
    for number, client in room.items():
        texts = await heard_until(client, f"Client #{speaker} says: that was all")
        heard[number] = [text for text in texts if not re.search(OF_THE_CHAT, text)]
    return heard


def expect_heard(heard: dict[int, list[str]], expected: dict[int, list[str]]) -> None:
    """Raise `Wrong` unless each client heard what was expected."""
    for number, texts in expected.items():
        if heard[number] != texts:
            came = shorten(heard[number]) if heard[number] else "nothing"
            raise Wrong(f"client {number} to hear {texts or 'nothing'}", came)
