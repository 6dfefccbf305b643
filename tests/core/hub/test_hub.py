"""The hub: what is published anywhere reaches all who follow a room, once and in order."""

import asyncio
import json
from typing import Annotated

import pytest
import websockets
from fastapi import FastAPI, Query, WebSocket, WebSocketDisconnect
from fastapi.testclient import TestClient
from live import Served
from pydantic import BaseModel
from websockets.asyncio.client import connect

from chatlib.core.fanout import FanoutProtocol
from chatlib.core.hub import feed as feed_module
from chatlib.core.hub import presence as presence_module
from chatlib.core.hub.envelope import cursors_in
from chatlib.core.hub.feed import Feed
from chatlib.core.hub.hub import Hub
from chatlib.core.hub.presence import NAMES, Presence
from chatlib.core.hub.publisher import Publisher, new_key
from chatlib.core.taskline import line_of
from chatlib.stores.memory import MemoryStore
from chatlib.stores.retention import Retention
from chatlib.stores.store import START, Cursor, Entry, next_tag

GUARD_SECONDS = 30.0
BIG = "x" * 10_000


def app_on(hub):
    """An app whose clients follow the rooms that they name."""
    app = FastAPI(lifespan=hub.lifespan)

    @app.websocket("/{rooms}")
    async def follow(
        websocket: WebSocket,
        rooms: str,
        after: Annotated[list[str] | None, Query()] = None,
        last: int = 0,
        name: str | None = None,
    ):
        await websocket.accept()
        names = rooms.split(",")
        cursors = dict(zip(names, after or [], strict=False))
        place = after[0] if after and len(names) == 1 else cursors
        await hub.follow(websocket, *names, after=place, last=last, name=name)

    return app


@pytest.fixture
def address(store):
    return store


class Client:
    """A client, and what it was told of each room."""

    def __init__(self, connection):
        self.connection = connection
        self.welcomes = []
        self.heard = []  # and not asked for yet

    async def next(self, kind):
        """Return the next frame of a kind."""
        while not (found := [frame for frame in self.heard if frame["type"] == kind]):
            self.heard.append(json.loads(await self.connection.recv()))
        self.heard.remove(found[0])
        return found[0]

    async def knows_of(self, *names):
        """Wait until it has been told that these are the people."""
        while self.people != set(names):
            told = await self.next("people")
            if told["room"] != self.welcomes[0]["room"]:
                continue  # its inbox, where it counts as well
            assert not self.people & set(told["joined"])
            assert self.people >= set(told["left"])
            self.people = self.people - set(told["left"]) | set(told["joined"])
            assert len(self.people) == told["count"]

    async def messages(self, number):
        """Return what the next messages say."""
        return [(await self.next("message"))["data"] for _ in range(number)]


def play(hub, scenario, **options):
    """Run `scenario(join)` beside a server with `hub`; `join(path)` connects a client."""
    with Served(app_on(hub), **options) as served:

        async def join(path):
            connection = await connect(f"ws://127.0.0.1:{served.port}/{path}", proxy=None)
            client = Client(connection)
            clients.append(client)
            rooms = len({*path.partition("?")[0].split(",")}) + ("name=" in path)
            client.welcomes = [await client.next("welcome") for _ in range(rooms)]
            client.people = set(client.welcomes[0]["people"])
            return client

        async def run():
            async with asyncio.timeout(GUARD_SECONDS):
                await scenario(served, join)
                for client in clients:
                    client.connection.transport.abort()  # there may be more than it would read
                    await client.connection.wait_closed()

        clients = []
        asyncio.run(run())


async def publish(served, hub, *messages, room="orders"):
    """Publish in the server's event loop; return the receipts."""
    return [
        await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(hub.publish(room, message), served.loop)
        )
        for message in messages
    ]


def test_a_member_hears_what_is_published_with_its_place(address):
    hub = Hub(address)

    async def scenario(served, join):
        client = await join("orders")
        (welcome,) = client.welcomes
        assert (welcome["type"], welcome["room"]) == ("welcome", "orders")
        assert (welcome["history"], welcome["head"]) == ("new", 0)
        assert welcome["after"] == "0.00000000"
        (receipt,) = await publish(served, hub, {"item": "tea"})
        assert await client.next("message") == {
            "type": "message",
            "room": "orders",
            "id": 1,
            "tag": receipt.tag,
            "data": {"item": "tea"},
        }

    play(hub, scenario)


class Order(BaseModel):
    item: str


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ("text", {"data": "text"}),
        ('{"a', {"data": '{"a'}),
        (b"\0\xff", {"base64": "AP8="}),
        ([1, None], {"data": [1, None]}),
        (Order(item="tea"), {"data": {"item": "tea"}}),
    ],
)
def test_text_bytes_json_and_models_can_be_published(message, field):
    hub = Hub("memory:")

    async def scenario(served, join):
        client = await join("orders")
        await publish(served, hub, message)
        frame = await client.next("message")
        assert field.items() <= frame.items()

    play(hub, scenario)


@pytest.mark.parametrize(
    "body",
    [
        b'"data":"\xff"}',
        b"hello",
        b"",
        b'"data":1',
        b'"data":1}}',
        b'"data":NaN}',
        b'"data":' + b"[" * 10_000 + b"]" * 10_000 + b"}",
        b'"id":7,"data":1}',
    ],
    ids=["no UTF-8", "no JSON", "nothing", "open", "more", "NaN", "deep", "an id of its own"],
)
def test_a_message_that_was_damaged_is_told_as_unreadable_and_the_room_goes_on(address, body):
    hub = Hub(address)

    async def scenario(served, join):
        client = await join("orders")
        appending = hub.store.append("orders", "damaged", body)
        receipt = await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(appending, served.loop)
        )
        await publish(served, hub, "next")
        newcomer = await join("orders?last=2")  # reads it from the store
        for each in (client, newcomer):
            assert await each.next("message") == {
                "type": "message",
                "room": "orders",
                "id": 1,
                "tag": receipt.tag,
                "unreadable": True,
            }
            assert await each.messages(1) == ["next"]
        reading = hub.read("orders")
        messages = await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(reading, served.loop))
        assert [message.get("unreadable") for message in messages] == [True, None]

    play(hub, scenario)


def test_who_comes_back_with_a_cursor_misses_nothing(address):
    hub = Hub(address)

    async def scenario(served, join):
        receipts = await publish(served, hub, *range_of(500))
        cursor = f"{receipts[99].id}.{receipts[99].tag}"
        client = await join(f"orders?after={cursor}")
        assert client.welcomes[0]["history"] == "complete"
        assert await client.messages(400) == range_of(500)[100:]
        await publish(served, hub, ["live"])
        assert await client.messages(1) == [["live"]]

    play(hub, scenario)


def range_of(number):
    return [[n] for n in range(number)]


def test_between_what_was_missed_and_what_comes_there_is_no_gap_and_nothing_twice(address):
    hub = Hub(address)

    async def scenario(served, join):
        await publish(served, hub, *range_of(50))
        stop = asyncio.Event()

        async def talk():
            number = 50
            while not stop.is_set():
                await publish(served, hub, [number])
                number += 1

        talking = asyncio.create_task(talk())
        for _ in range(20):
            client = await join("orders?last=30")
            frames = [await client.next("message") for _ in range(60)]
            ids = [frame["id"] for frame in frames]
            assert ids == [*range(ids[0], ids[0] + 60)]
            assert [frame["data"] for frame in frames] == [[n - 1] for n in ids]
            assert client.welcomes[0]["history"] == "new"
        stop.set()
        await talking

    play(hub, scenario)


@pytest.mark.parametrize("query", ["", "last=0", "last=3", "last=99", "after=2.0123abcd&last=3"])
def test_a_newcomer_knows_its_cursor_before_the_first_message(address, query):
    hub = Hub(address)

    async def scenario(served, join):
        receipts = await publish(served, hub, *range_of(10))
        client = await join(f"orders?{query}")
        again = await join(f"orders?after={client.welcomes[0]['after']}")
        assert again.welcomes[0]["history"] == "complete"
        (last,) = await publish(served, hub, ["last"])
        for each in (client, again):
            ids = []
            while last.id not in ids:
                ids.append((await each.next("message"))["id"])
            assert ids == [*range(int(client.welcomes[0]["after"].partition(".")[0]) + 1, 12)]
        assert client.welcomes[0]["head"] == receipts[-1].id

    play(hub, scenario)


def test_a_history_that_is_no_more_is_told(address):
    hub = Hub(address)

    async def scenario(served, join):
        await publish(served, hub, *range_of(3))
        client = await join("orders?after=2.0123abcd&last=2")
        assert client.welcomes[0]["history"] == "diverged"
        assert await client.messages(2) == [[1], [2]]

    play(hub, scenario)


def test_a_history_that_was_trimmed_is_told():
    hub = Hub(MemoryStore(Retention(messages=3)))

    async def scenario(served, join):
        await publish(served, hub, *range_of(10))
        client = await join("orders?after=0.00000000")
        assert client.welcomes[0]["history"] == "trimmed"
        assert await client.messages(3) == [[7], [8], [9]]

    play(hub, scenario)


def test_a_connection_may_be_in_several_rooms_and_come_back_to_each(address):
    hub = Hub(address)

    async def scenario(served, join):
        (one,) = await publish(served, hub, ["before"], room="a")
        await publish(served, hub, ["missed"], room="a")
        await publish(served, hub, ["missed"], room="b")
        client = await join(f"a,b?after={one.id}.{one.tag}&after=0.00000000")
        frames = [await client.next("message") for _ in range(2)]
        assert [(frame["room"], frame["data"]) for frame in frames] == [
            ("a", ["missed"]),
            ("b", ["missed"]),
        ]
        await publish(served, hub, ["live"], room="a")
        await publish(served, hub, ["live"], room="b")
        assert await client.messages(2) == [["live"], ["live"]]

    play(hub, scenario)


def test_all_connections_of_a_person_hear_its_inbox(address):
    hub = Hub(address)

    async def scenario(served, join):
        ana, tab = await join("orders?name=ana"), await join("orders?name=ana")
        ben = await join("orders?name=ben")
        sending = asyncio.run_coroutine_threadsafe(hub.send_to("ana", "for you"), served.loop)
        await asyncio.wrap_future(sending)
        await publish(served, hub, "for all")
        assert await ana.messages(2) == await tab.messages(2) == ["for you", "for all"]
        assert await ben.messages(1) == ["for all"]

    play(hub, scenario)


def test_people_are_told_once_for_all_their_connections(address):
    hub = Hub(address)

    async def scenario(served, join):
        ana = await join("orders?name=ana")
        await ana.knows_of("ana")
        tabs = [await join("orders?name=ben") for _ in range(2)]
        await ana.knows_of("ana", "ben")
        cleo = await join("orders?name=cleo")
        await cleo.knows_of("ana", "ben", "cleo")
        for tab in tabs:
            await ana.knows_of("ana", "ben", "cleo")
            await tab.connection.close()  # with 1000: it will not be back
        await ana.knows_of("ana", "cleo")

    play(hub, scenario)


def test_two_hubs_on_one_file_are_one(tmp_path):
    address = f"sqlite:///{tmp_path}/app.db"
    hub, other = Hub(address), Hub(address)

    async def scenario(served, join):
        client = await join("orders")
        async with other:
            for number in range(50):
                await other.publish("orders", [number])
                await publish(served, hub, [number])
        assert await client.messages(100) == [[n // 2] for n in range(100)]

    play(hub, scenario)


def test_a_script_publishes_without_serving_anything(tmp_path):
    address = f"sqlite:///{tmp_path}/app.db"
    hub = Hub(address)

    async def scenario(served, join):
        client = await join("orders")
        async with Publisher(address) as publisher:
            await publisher.publish("orders", "from a script")
        assert await client.messages(1) == ["from a script"]

    play(hub, scenario)


def test_a_thread_publishes_and_waits(address):
    hub = Hub(address)

    async def scenario(served, join):
        client = await join("orders")
        receipt = await asyncio.to_thread(hub.publish_from_thread, "orders", "from a thread")
        assert receipt.id == 1
        assert await client.messages(1) == ["from a thread"]

    play(hub, scenario)


def test_the_thread_of_the_hub_is_told_to_await():
    async def scenario():
        async with Hub("memory:") as hub:
            with pytest.raises(RuntimeError, match=r"await hub\.publish"):
                hub.publish_from_thread("orders", "x")

    asyncio.run(scenario())


def test_a_hub_that_is_not_open_says_how_to_open_it():
    hub = Hub("memory:")
    with pytest.raises(RuntimeError, match=r"FastAPI\(lifespan=hub.lifespan\)"):
        asyncio.run(hub.publish("orders", "x"))


def test_a_member_that_does_not_read_is_cut_off_and_the_others_hear_all():
    hub = Hub("memory:")

    async def scenario(served, join):
        reader, sleeper = await join("orders"), await join("orders")
        sleeper.connection.transport.pause_reading()
        for _ in range(100):  # 20 MB in all: more than the kernel takes
            await publish(served, hub, *[BIG] * 20)
            assert await reader.messages(20) == [BIG] * 20
        sleeper.connection.transport.resume_reading()
        with pytest.raises((websockets.ConnectionClosed, ConnectionResetError)):
            await sleeper.messages(2000)

    play(hub, scenario)


def test_a_burst_of_more_than_the_log_holds_cuts_off_nobody_who_reads(address):
    hub = Hub(address)

    async def scenario(served, join):
        clients = [await join("orders") for _ in range(5)]

        async def burst():
            await asyncio.gather(*(hub.publish("orders", f"{n} {BIG * 10}") for n in range(50)))

        hearing = [asyncio.create_task(client.messages(50)) for client in clients]
        bursting = asyncio.run_coroutine_threadsafe(burst(), served.loop)  # 5 MB in one turn
        await asyncio.wrap_future(bursting)
        for heard in await asyncio.gather(*hearing):
            assert [text.partition(" ")[0] for text in heard] == [str(n) for n in range(50)]

    play(hub, scenario)


def test_a_room_that_nobody_follows_takes_no_memory(address):
    hub = Hub(address)

    async def scenario(served, join):
        for number in range(20):
            client = await join(f"room{number}")
            await client.connection.close()
        await asyncio.to_thread(served.until, lambda: not hub._feeds)

    play(hub, scenario)


@pytest.mark.parametrize("protocol", [FanoutProtocol, "websockets-sansio"])
def test_a_client_that_is_lost_while_it_reads_up_is_one_that_has_left(protocol):
    hub = Hub("memory:")

    async def scenario(served, join):
        for _ in range(100):  # 20 MB in all: more than the kernel takes
            await publish(served, hub, *[BIG] * 20)
        url = f"ws://127.0.0.1:{served.port}/orders?after=0.00000000"
        client = await connect(url, proxy=None, max_queue=1)
        await client.recv()
        client.transport.abort()
        await client.wait_closed()
        await asyncio.to_thread(served.until, lambda: not served.uvicorn.server_state.tasks)
        assert not hub._feeds
        assert served.log.errors == []

    play(hub, scenario, ws=protocol)


class Hasty(MemoryStore):
    """A store to which something is appended while the answer with its heads is on its way."""

    hasty = False

    async def heads(self, rooms):
        heads = await super().heads(rooms)
        if self.hasty:
            await self.append("orders", "late", b'"data":"late"}')
            await asyncio.sleep(0)  # the ears hear of it
        return heads


def test_what_is_published_while_a_room_begins_is_not_late():
    store = Hasty()
    hub = Hub(store)

    async def scenario(served, join):
        (receipt,) = await publish(served, hub, "first")
        store.hasty = True
        client = await join(f"orders?after={receipt.id}.{receipt.tag}")
        assert await client.messages(1) == ["late"]

    play(hub, scenario)


async def expect_close(joining, code):
    with pytest.raises(websockets.ConnectionClosed) as closed:
        await joining
    assert closed.value.rcvd.code == code


def test_a_room_that_is_named_twice_is_joined_once(address):
    hub = Hub(address)

    async def scenario(served, join):
        client = await join("orders,orders?last=5&name=ana")
        asking = asyncio.run_coroutine_threadsafe(hub.people("orders"), served.loop)
        assert await asyncio.wrap_future(asking) == {"ana": 1}
        await publish(served, hub, *range_of(2))
        assert await client.messages(2) == range_of(2)

    play(hub, scenario)


def test_a_connection_that_is_in_a_room_cannot_join_it_again():
    hub = Hub("memory:")
    app = FastAPI(lifespan=hub.lifespan)

    @app.websocket("/")
    async def twice(websocket: WebSocket):
        await websocket.accept()
        async with hub.join(websocket, "orders"):
            with pytest.raises(RuntimeError, match="in the room 'orders' already"):
                await hub.follow(websocket, "orders")
            await hub.publish("orders", "still here")
            await websocket.receive()

    with TestClient(app) as tester, tester.websocket_connect("/") as socket:
        assert socket.receive_json()["type"] == "welcome"
        assert socket.receive_json()["data"] == "still here"


@pytest.mark.parametrize(
    "path", ["@ana", "orders?name=", f"orders?name={'n' * 200}", "r" * 201, "orders?after=x"]
)
def test_what_a_client_may_not_ask_for_is_refused_and_it_is_told(path):
    hub = Hub("memory:")

    async def scenario(served, join):
        await expect_close(join(path), 1008)
        assert not hub._feeds

    play(hub, scenario)


def test_the_inbox_of_a_person_is_no_room(address):
    """An app may take the name of a room from its clients."""
    hub = Hub(address)

    async def scenario(served, join):
        with pytest.raises(ValueError, match="a person's inbox"):
            await publish(served, hub, "from somebody", room="@ana")
        refused = await connect(f"ws://127.0.0.1:{served.port}/@ana", proxy=None)
        with pytest.raises(websockets.ConnectionClosed):
            await refused.recv()

    play(hub, scenario)


def test_a_single_cursor_is_for_the_room_and_not_for_the_inbox(address):
    hub = Hub(address)

    async def scenario(served, join):
        (receipt,) = await publish(served, hub, "x")
        client = await join(f"orders?name=ana&after={receipt.id}.{receipt.tag}")
        told = [(welcome["room"], welcome["history"]) for welcome in client.welcomes]
        assert told == [("orders", "complete"), ("@ana", "new")]

    play(hub, scenario)


def test_an_inbox_is_no_room_to_publish_in_or_to_read():
    async def scenario():
        async with Hub("memory:") as hub:
            with pytest.raises(ValueError, match="inbox"):
                await hub.publish("@ana", "x")
            with pytest.raises(ValueError, match="inbox"):
                await hub.read("@ana")
            with pytest.raises(ValueError, match="expected a name"):
                await hub.send_to("", "x")

    asyncio.run(scenario())


def test_keys_that_the_hub_makes_are_in_the_order_of_time(monkeypatch):
    times = iter([5, 5, 300, 2**60])
    monkeypatch.setattr("chatlib.core.hub.publisher.time.time_ns", lambda: next(times))
    keys = [new_key() for _ in range(4)]
    assert len(set(keys)) == 4
    assert sorted(keys[1:]) == keys[1:]

    async def scenario():
        async with Publisher("memory:") as publisher:
            await publisher.publish("orders", "tea")
            await publisher.publish("orders", "milk")
            page = await publisher.store.read("orders")
            assert [entry.key.partition("-")[0] for entry in page.entries] == ["0" * 15 + "6"] * 2

    times = iter([6, 6])
    asyncio.run(scenario())


def test_an_empty_key_is_no_key():
    async def scenario():
        async with Hub("memory:") as hub:
            with pytest.raises(ValueError, match="expected a key"):
                await hub.publish("orders", "x", key="")

    asyncio.run(scenario())


def test_a_single_cursor_is_not_one_for_several_rooms():
    with pytest.raises(ValueError, match="a cursor for each room by its name"):
        cursors_in("17.a41f09c2", ["a", "b"])


def test_who_is_at_another_worker_is_in_the_welcome(tmp_path):
    address = f"sqlite:///{tmp_path}/app.db"
    hub, other = Hub(address), Hub(address)

    async def scenario(served, join):
        async with other:
            await other.store.enter("orders", "ana")
            client = await join("orders")
            assert client.welcomes[0]["people"] == ["ana"]

    play(hub, scenario)


def test_a_message_that_comes_while_a_feed_begins_is_heard():
    class Slow(MemoryStore):
        """Answers late how far its rooms are."""

        async def heads(self, rooms):
            heads = await super().heads(rooms)
            if receipt:
                await self.append("orders", "meanwhile", b'"data":"meanwhile"}')
                await asyncio.sleep(0)
            return heads

    store, receipt = Slow(), []
    hub = Hub(store, beat=1000)

    async def scenario(served, join):
        receipt.extend(await publish(served, hub, "before"))
        client = await join(f"orders?after={receipt[0].id}.{receipt[0].tag}")
        assert await client.messages(1) == ["meanwhile"]

    play(hub, scenario)


def test_a_log_that_went_back_is_told_though_nobody_writes():
    store = MemoryStore()
    hub = Hub(store, beat=0.05)

    async def scenario(served, join):
        client = await join("orders")
        await publish(served, hub, "gone soon")
        await client.next("message")
        store._logs.clear()
        await expect_close(client.next("never"), 4409)

    play(hub, scenario)


def test_the_next_number_of_another_history_is_not_told_as_the_next_message():
    store = MemoryStore()

    async def scenario():
        await store.append("orders", "k", b"one")
        feed = Feed("orders", store, lambda room, entry: entry.body.decode(), 1000)
        await feed.start()
        feed.new([Entry(2, "0123abcd", "other", b"of another history")])
        assert feed.cursor.id == 1
        tag = next_tag(feed.cursor.tag, b"two")
        await store.append("orders", "k2", b"two")
        assert feed.cursor == Cursor(2, tag)
        await feed.stop()

    asyncio.run(scenario())


def test_a_room_that_cannot_be_read_is_read_as_soon_as_it_can_be(monkeypatch):
    monkeypatch.setattr(feed_module, "AGAIN_SECONDS", 0.01)
    told = []
    store = MemoryStore()
    hub = Hub(store, beat=1000)
    failures = iter([OSError("it is not there")] * 3)

    async def failing(*args, **options):
        for failure in failures:
            raise failure
        return await read(*args, **options)

    read, store.read = store.read, failing

    async def scenario(served, join):
        client = await join("orders")
        monkeypatch.setattr(store._ears, "new", lambda room, entries: None)  # a hint is lost
        await publish(served, hub, "hello")
        served.loop.call_soon_threadsafe(store._ears.resync, "orders")
        assert await client.messages(1) == ["hello"]
        told.extend(line.text for line in served.log if line.level == "WARNING")

    play(hub, scenario)
    assert told == ["room 'orders' cannot be read: it is not there"]


def test_what_is_hinted_at_while_a_feed_finds_out_that_its_history_is_another_is_not_lost():
    store = MemoryStore()
    read = store.read

    async def slow(*args, **options):
        page = await read(*args, **options)
        await store.append("orders", "k2", b"newer")
        return page

    async def scenario():
        await store.append("orders", "k", b"old")
        feed = Feed("orders", store, lambda room, entry: entry.body.decode(), 1000)
        await feed.start()
        store._logs.clear()
        store.read = slow
        await store.append("orders", "k1", b"new")
        await feed._repairing
        assert feed.cursor.id == 2
        await feed.stop()

    asyncio.run(scenario())


def test_people_that_could_not_be_read_are_told_as_soon_as_they_can_be(monkeypatch):
    monkeypatch.setattr(presence_module, "AGAIN_SECONDS", 0.01)
    store = MemoryStore()
    people, told = store.people, asyncio.Queue()
    faults = iter([OSError("gone"), OSError("gone")])

    async def faulty(room):
        for fault in faults:
            raise fault
        return await people(room)

    monkeypatch.setattr(store, "people", faulty)

    async def scenario():
        presence = Presence("orders", store, told.put_nowait)
        await store.enter("orders", "ana")
        presence.change()
        assert json.loads(await told.get())["joined"] == ["ana"]
        await presence.telling

    asyncio.run(asyncio.wait_for(scenario(), 10))


def test_a_hub_can_be_closed_though_python_loses_a_cancellation():
    """As `asyncio.wait_for` does before Python 3.12."""

    class Losing(MemoryStore):
        asked = None

        async def heads(self, rooms):
            if self.asked is None:
                return await super().heads(rooms)
            self.asked.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.asked = None
            return await super().heads(rooms)

    async def scenario():
        store = Losing()
        async with Hub(store, beat=0.01):
            store.asked = asyncio.Event()
            await store.asked.wait()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(scenario())


def test_after_a_fault_nobody_is_told_as_gone_who_is_there_a_moment_later(monkeypatch):
    monkeypatch.setattr(presence_module, "DOUBT_SECONDS", 0.01)
    store, told = MemoryStore(), []
    answers = iter([{"ana": 1}, {}, {"ana": 1}, {"ana": 1}, {}, {}])

    async def people(room):
        return next(answers)

    monkeypatch.setattr(store, "people", people)

    async def scenario():
        presence = Presence("orders", store, told.append)
        await presence.load()
        presence.resync()
        await presence.telling
        assert told == []
        presence.resync()
        await presence.telling
        presence.change()
        await presence.telling
        assert [json.loads(frame)["left"] for frame in told] == [["ana"]]

    asyncio.run(scenario())


def test_who_joins_while_messages_wait_for_their_place_hears_them_once():
    hub = Hub("memory:", limit=2000)
    app = FastAPI(lifespan=hub.lifespan)

    @app.websocket("/first")
    async def first(websocket: WebSocket):
        await websocket.accept()
        await hub.follow(websocket, "orders")

    @app.websocket("/second")
    async def second(websocket: WebSocket):
        await websocket.accept()
        receipts = [await hub.publish("orders", [n]) for n in range(20)]
        await asyncio.sleep(0)  # so that the feed knows of them, and has more than its room takes
        async with hub.join(websocket, "orders", after=START):
            await hub.publish("orders", ["live"])
            assert len(receipts) == 20
            await websocket.receive()

    with (
        TestClient(app) as tester,
        tester.websocket_connect("/first") as one,
        tester.websocket_connect("/second") as two,
    ):
        for socket in (one, two):
            assert socket.receive_json()["type"] == "welcome"
        for socket in (one, two):
            assert [socket.receive_json()["id"] for _ in range(21)] == [*range(1, 22)]


def test_who_has_gone_before_it_joins_is_told_as_gone():
    hub = Hub("memory:")
    app = FastAPI(lifespan=hub.lifespan)
    told = []

    @app.websocket("/")
    async def late(websocket: WebSocket):
        await websocket.accept()
        line_of(websocket).end()
        try:
            async with hub.join(websocket, "orders"):
                pass
        except WebSocketDisconnect as gone:
            told.append(gone.code)

    with TestClient(app) as tester, tester.websocket_connect("/"):
        pass
    assert told == [1006]


def test_names_are_forgotten_while_they_are_too_many_and_told_anew_afterwards():
    presence = Presence("orders", MemoryStore(), lambda text: None)

    def told(before, after):
        presence.told = after
        frame = json.loads(presence.difference(before))
        return frame["joined"], frame["left"], frame["count"]

    few, many = frozenset("ab"), frozenset(map(str, range(NAMES + 1)))
    assert told(few, many) == ([], [], NAMES + 1)
    assert told(many, few) == (["a", "b"], [], 2)
    assert told(few, frozenset("b")) == ([], ["a"], 1)


def test_a_connection_that_was_not_accepted_gets_nothing():
    hub = Hub("memory:")
    app = FastAPI(lifespan=hub.lifespan)

    @app.websocket("/")
    async def hasty(websocket: WebSocket):
        with pytest.raises(RuntimeError, match="comes after accept"):
            await hub.follow(websocket, "orders")
        await websocket.accept()
        await websocket.send_text("accepted")

    with TestClient(app) as tester, tester.websocket_connect("/") as socket:
        assert socket.receive_text() == "accepted"


def test_a_client_gets_no_more_of_the_past_than_a_page():
    hub = Hub("memory:")

    async def scenario(served, join):
        await publish(served, hub, *range_of(250))
        client = await join("orders?last=1000000")
        assert (await client.next("message"))["id"] == 51
        client = await join("orders?last=-1")
        await publish(served, hub, "live")
        assert (await client.next("message"))["id"] == 251

    play(hub, scenario)


def test_a_cursor_that_is_no_text_is_refused():
    with pytest.raises(ValueError, match="expected a cursor"):
        cursors_in({"orders": 5}, ["orders"])


def test_a_shout_reaches_the_members_in_all_processes_and_is_not_kept(tmp_path):
    address = f"sqlite:///{tmp_path}/app.db"
    hub, other = Hub(address), Hub(address)

    async def scenario(served, join):
        client = await join("orders")
        typing = {"type": "typing", "from": "ana"}
        await call_in(served, hub.shout, "orders", typing)
        assert await client.next("typing") == typing
        async with other:
            other.shout("orders", {"type": "typing", "from": "ben"})
            assert (await client.next("typing"))["from"] == "ben"
            assert await other.read("orders") == []

    play(hub, scenario)


async def call_in(served, call, *args):
    """Call `call` in the server's event loop."""

    async def body():
        return call(*args)

    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(body(), served.loop))


def test_a_shout_is_lost_rather_than_that_a_member_is_cut_off():
    async def scenario():
        async with Hub("memory:", limit=1000) as hub, hub._use("orders") as feed:
            feed.room.fits = lambda frame: False
            feed.room.post = lambda frame: pytest.fail("it was posted")
            hub.shout("orders", {"type": "typing"})

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("room", "message", "error"),
    [("", {"type": "typing"}, "expected a room"), ("orders", {"x": {1, 2}.__iter__}, "JSON")],
)
def test_a_shout_that_cannot_be_is_refused(room, message, error):
    async def scenario():
        async with Hub("memory:") as hub:
            with pytest.raises(ValueError, match=error):
                hub.shout(room, message)

    asyncio.run(scenario())


def test_a_member_with_a_name_may_do_without_its_inbox_and_the_welcome_say_more():
    hub = Hub("memory:")
    app = FastAPI(lifespan=hub.lifespan)

    @app.websocket("/")
    async def here(websocket: WebSocket):
        await websocket.accept()
        more = {"you": "ana"}
        async with hub.join(websocket, "orders", name="ana", inbox=False, welcome=more):
            await hub.send_to("ana", "not heard here")
            await hub.publish("orders", "heard")
            with pytest.raises(WebSocketDisconnect):
                await websocket.receive_text()

    with TestClient(app) as tester, tester.websocket_connect("/") as socket:
        frames = [socket.receive_json() for _ in range(2)]
        assert (frames[0]["room"], frames[0]["you"]) == ("orders", "ana")
        assert (frames[1]["room"], frames[1]["data"]) == ("orders", "heard")


@pytest.mark.parametrize(("last", "reads"), [(0, 0), (1, 0), (2, 0), (3, 1), (50, 1)])
def test_what_a_newcomer_gets_is_read_from_the_store_only_if_it_is_not_in_memory(last, reads):
    read = []

    class Counting(MemoryStore):
        async def read(self, room, **which):
            read.append(which)
            return await super().read(room, **which)

    hub = Hub(Counting())

    async def scenario(served, join):
        await publish(served, hub, "one", "two", "three")
        await join("orders?last=0")
        await publish(served, hub, "four", "five")
        read.clear()
        client = await join(f"orders?last={last}")
        assert len(read) == reads
        words = ["one", "two", "three", "four", "five"][-last:] if last else []
        assert await client.messages(len(words)) == words
        (welcome,) = client.welcomes
        assert (welcome["history"], welcome["head"]) == ("new", 5)
        assert welcome["after"].partition(".")[0] == str(5 - len(words))
        await publish(served, hub, "six")
        assert await client.messages(1) == ["six"]

    play(hub, scenario)


def test_a_newcomer_gets_a_short_room_as_a_whole_from_memory():
    hub = Hub("memory:")

    async def scenario(served, join):
        await join("orders")
        await publish(served, hub, "one", "two")
        hub.store.read = None  # whoever reads it now fails
        client = await join("orders?last=50")
        assert await client.messages(2) == ["one", "two"]
        assert client.welcomes[0]["after"] == "0.00000000"

    play(hub, scenario)
