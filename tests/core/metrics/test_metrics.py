"""`/metrics` of one process: what it says of connections, rooms and the store."""

import asyncio
import contextlib
import subprocess
import sys

import httpx2
import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from guests import play
from live import CLOSE, Raw, Served
from prometheus_client import REGISTRY, Counter
from scrape import Scrape
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chatlib.core.hub.hub import Hub
from chatlib.core.metrics import figures
from chatlib.core.metrics.add import LACKING, add_metrics
from chatlib.core.metrics.traffic import CODES, OTHER, OWN_CODES, Traffic
from chatlib.core.times import BOUNDS, Times
from chatlib.rooms import create_app
from chatlib.stores.memory import MemoryStore
from chatlib.stores.store import NotKept, Unsure

ALL = {one.name: one for one in vars(figures).values() if isinstance(one, figures.Figure)}


async def scrape(house):
    answer = await house.http.get("/metrics")
    assert answer.status_code == 200
    return Scrape(answer.text)


async def until(house, condition):
    """Return the first scrape of which `condition` is true."""
    while not condition(found := await scrape(house)):  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0.01)
    return found


def test_each_figure_is_there_from_the_start_with_a_type_and_a_text():
    async def scenario(house):
        found = await scrape(house)
        for name, figure in ALL.items():
            family = found.families[name.removesuffix("_total")]
            assert (family.type, family.documentation) == (figure.kind, figure.help)
            assert family.samples
        assert len(found.by("store_info", "durable")) == 1
        assert {key[0] for key in found.totals()} <= found.names

    play(scenario)


@pytest.mark.parametrize("name", ALL)
def test_names_are_as_prometheus_has_them(name):
    figure = ALL[name]
    assert name.startswith("chatlib_")
    assert name.endswith("_total") == (figure.kind == "counter")
    assert not name.endswith(("_count", "_sum", "_bucket", "_ms", "_kb"))
    assert figure.help.endswith(".")


def test_it_is_text_that_no_cache_keeps_and_that_only_reading_gets():
    async def scenario(house):
        answer = await house.http.get("/metrics")
        assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
        assert answer.headers["cache-control"] == "no-store"
        assert (await house.http.post("/metrics")).status_code == 405
        assert "/metrics" not in (await house.http.get("/openapi.json")).json()["paths"]

    play(scenario)


def test_connections_members_and_rooms_are_those_of_now():
    async def scenario(house):
        guests = [
            await house.join(room, name)
            for room, name in [("lobby", "ana"), ("lobby", "ben"), ("garden", "cy")]
        ]
        found = await scrape(house)
        assert (found["connections"], found["members"], found["rooms"]) == (3, 3, 2)
        assert (found["largest_room_members"], found["processes"]) == (2, 1)
        for guest in guests:
            await guest.leave()
        # A handler ends after its connection has left its room.
        found = await until(house, lambda found: not found["rooms"] and not found["connections"])
        assert (found["members"], found["members_behind"]) == (0, 0)
        assert found["largest_room_members"] == found["waiting_bytes"] == 0
        assert found["connections_accepted_total"] == 3

    play(scenario)


def test_no_total_falls_when_a_room_goes_and_comes_again():
    async def scenario(house):
        for round_number in range(1, 4):
            ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
            await ana.said("hello", f"k{round_number}")
            await ben.next("message", key=f"k{round_number}")
            before = await scrape(house)
            assert before["deliveries_total"] >= 2 * round_number
            assert before["delivered_bytes_total"] > 100 * round_number
            await ana.leave()
            await ben.leave()
            after = await until(house, lambda found: not found["rooms"])
            assert after.fallen_since(before) == set()
            assert len(house.hub._ledger._ending) <= 1

    play(scenario)


def test_deliveries_are_what_rooms_have_written():
    async def scenario(house):
        guests = [await house.join("lobby", name) for name in ("ana", "ben", "cy")]
        for guest in guests:
            await guest.sees("ana", "ben", "cy")
        before = await scrape(house)
        await guests[0].said("hello")
        for guest in guests:
            await guest.next("message")
        after = await scrape(house)
        assert after["deliveries_total"] - before["deliveries_total"] == 3

    play(scenario)


def test_joins_are_told_apart_by_what_was_missed():
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        ack = await ana.said("hello")
        await house.join(f"lobby?after={ack['id']}.{ack['tag']}", "ben")
        await house.join("lobby?after=0.00000000", "cy")
        await house.join("lobby?after=1.deadbeef", "dan")
        found = await scrape(house)
        assert found.by("joins_total", "history") == {"new": 1, "complete": 2, "diverged": 1}

    play(scenario)


class Faulty(MemoryStore):
    """A store that fails where a test says so."""

    def __init__(self):
        super().__init__()
        self.fails = {}

    async def append(self, *arguments):
        if "append" in self.fails:
            raise self.fails["append"]
        return await super().append(*arguments)

    async def check(self):
        if "check" in self.fails:
            raise self.fails["check"]


def test_appends_are_told_apart_by_what_became_of_them():
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        await ana.said("hello", "k1")
        await ana.said("hello", "k1")
        for error in (NotKept("full"), Unsure("cut"), Unsure("cut")):
            house.hub.store.fails = {"append": error}
            await ana.said("lost")
        found = await scrape(house)
        outcomes = {"kept": 1, "again": 1, "not_kept": 1, "unsure": 2}
        assert found.by("appends_total", "outcome") == outcomes
        assert found["append_duration_seconds_count"] == 5
        assert 0 < found["append_duration_seconds_sum"] < 5

    play(scenario, Faulty())


def test_what_cannot_be_appended_is_no_append():
    hub = Hub("memory:")

    async def run():
        async with hub:
            with pytest.raises(ValueError, match="key"):
                await hub.publish("room", "x", key="")
            await hub.publish("room", "x")

    asyncio.run(run())
    assert hub.appends.outcomes == {"kept": 1}


def test_an_append_that_is_cancelled_may_be_kept():
    class Slow(MemoryStore):
        async def append(self, *arguments):
            await asyncio.Event().wait()

    hub = Hub(Slow())

    async def run():
        async with hub:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0):
                    await hub.publish("room", "x")

    asyncio.run(run())
    assert hub.appends.outcomes == {"unsure": 1}


def test_a_time_is_in_the_class_whose_bound_it_does_not_exceed():
    times = Times()
    for seconds in (0.0, 0.0001, 0.00011, 5.0, 999.0):
        times.note(seconds)
    assert times.up_to()[0.0001] == 2
    assert times.up_to()[0.00025] == 3
    assert times.up_to()[5.0] == 4
    assert times.up_to()[BOUNDS[-1]] == 5


@pytest.mark.parametrize("error", [OSError("no way"), KeyError("a fault")])
def test_a_store_that_does_not_answer_is_down_and_the_app_goes_on(error, monkeypatch):
    monkeypatch.setattr("chatlib.core.metrics.add.ASK_SECONDS", 0.0)

    async def scenario(house):
        assert (await scrape(house))["store_up"] == 1
        house.hub.store.fails = {"check": error}
        assert (await scrape(house))["store_up"] == 0
        house.hub.store.fails = {}
        assert (await scrape(house))["store_up"] == 1

    play(scenario, Faulty())


def test_however_many_ask_for_figures_the_store_is_asked_once_a_second():
    class Counting(MemoryStore):
        asked = 0

        async def check(self):
            self.asked += 1

    store = Counting()

    async def scenario(house):
        for _ in range(5):
            await asyncio.gather(*(scrape(house) for _ in range(4)))
        assert store.asked <= 3  # it took no three seconds

    play(scenario, store)


def test_no_name_of_a_room_or_a_person_is_in_it(tmp_path):
    async def scenario(house):
        ana = await house.join("hidden-place", "zacharias")
        await ana.said("a whispered word")
        await house.join("@me", "zacharias")
        await house.refusal("hidden-place?after=forged", "zacharias")
        text = (await house.http.get("/metrics")).text.lower()
        for secret in ("hidden", "zacharias", "whispered", "forged", str(tmp_path).lower()):
            assert secret not in text

    play(scenario, f"sqlite:///{tmp_path}/chat.db")


def test_series_do_not_grow_with_rooms_and_people():
    async def scenario(house):
        before = await scrape(house)
        for number in range(10):
            guest = await house.join(f"room-{number}", f"guest {number}")
            await guest.connection.close(4000 + number)
        after = await until(house, lambda found: not found["connections"])
        assert len(after.samples) == len(before.samples)
        assert after.by("connections_closed_total", "code") == {OTHER: 10}

    play(scenario)


# How connections end.


def test_connections_are_counted_by_their_close_code():
    async def scenario(house):
        leaves = await house.join("lobby", "ana")
        await leaves.leave()
        await house.refusal("lobby", None, token="forged")
        too_big = await house.join("lobby", "ben")
        await too_big.send("x" * 100_000)
        assert (await too_big.closed())[0] == 1009
        cut = await house.join("lobby", "cy")
        cut.connection.transport.abort()
        found = await until(house, lambda found: not found["connections"])
        codes = found.by("connections_closed_total", "code")
        assert codes == {"1000": 1, "4401": 1, "1009": 1, "1006": 1}
        assert found["connections_accepted_total"] == 4

    play(scenario)


def test_a_handshake_that_is_refused_is_no_connection():
    async def scenario(house):
        with pytest.raises(InvalidStatus):
            await house.knock("lobby", "ana", origin="https://evil.example")
        found = await scrape(house)
        assert found["handshakes_refused_total"] == 1
        assert found["connections_accepted_total"] == found["connections_closed_total"] == 0

    play(scenario)


def test_a_close_without_a_code_is_not_taken_for_a_connection_that_was_lost():
    hub = Hub("memory:")
    with Served(own_app(hub)) as served:
        with Raw(served, "/orders") as says_goodbye, Raw(served, "/orders") as is_lost:
            says_goodbye.frame()
            says_goodbye.send(b"", CLOSE)
            says_goodbye.closed()
            is_lost.reset()
            served.until(lambda: not hub.rooms)
        found = ask(served)
    assert found.by("connections_closed_total", "code") == {"1005": 1, "1006": 1}


def test_a_code_of_the_apps_own_has_a_series_and_no_more_than_some_have_one():
    traffic = Traffic()
    for code in range(4100, 4100 + OWN_CODES + 5):
        traffic.begin()
        traffic.end(code, by_app=True)
    assert traffic.open == 0
    assert len(traffic.closed) == len(CODES) + 1 + OWN_CODES
    assert traffic.closed["4100"] == 1
    assert traffic.closed[OTHER] == 5


def test_a_code_that_a_client_makes_up_has_no_series():
    traffic = Traffic()
    traffic.begin()
    traffic.end(4123, by_app=False)
    assert traffic.closed[OTHER] == 1
    assert "4123" not in traffic.closed


# Members that are slow, and feeds that are behind.


def own_app(hub, **options):
    """An app of somebody's own, which follows rooms."""
    app = FastAPI(lifespan=hub.lifespan)

    @app.websocket("/{room}")
    async def follow(websocket: WebSocket, room: str):
        await websocket.accept()
        await hub.follow(websocket, room)

    add_metrics(app, hub, **options)
    return app


def ask(served, path="/metrics"):
    url = f"http://127.0.0.1:{served.port}{path}"
    return Scrape(httpx2.get(url, trust_env=False).raise_for_status().text)


def test_a_member_that_is_cut_off_stays_counted_when_it_and_its_room_are_gone():
    hub = Hub("memory:", limit=50_000)

    async def flood():
        for _ in range(200):
            await hub.publish("orders", "x" * 10_000)
            await asyncio.sleep(0)

    with Served(own_app(hub), send_buffer=4096) as served:
        with Raw(served, "/orders", receive_buffer=4096) as client:
            client.frame()
            assert ask(served)["members"] == 1
            served.run(flood())
            served.until(lambda: not hub.rooms)
        found = ask(served)
    assert sum(found.by("evictions_total", "reason").values()) == 1
    assert found["members"] == found["members_behind"] == 0


def test_a_member_that_reads_too_little_is_behind():
    hub = Hub("memory:")

    async def fill():
        for _ in range(8):
            await hub.publish("orders", "x" * 100_000)

    with (
        Served(own_app(hub), send_buffer=4096) as served,
        Raw(served, "/orders", receive_buffer=4096) as client,
    ):
        client.frame()
        served.run(fill())
        found = ask(served)
    assert found["members_behind"] == 1
    assert found["waiting_bytes"] > 100_000


class Deaf(MemoryStore):
    """A store that tells nobody what is new."""

    async def hear(self, room, ear):
        pass


def test_the_lag_is_what_the_store_had_and_a_feed_had_not_and_the_repair_counts():
    hub = Hub(Deaf(), beat=0.05)

    async def fill():
        for number in range(3):
            await hub.publish("orders", f"order {number}")

    with Served(own_app(hub)) as served, Raw(served, "/orders") as client:
        client.frame()
        served.run(fill())
        served.until(lambda: hub.stats.lag == 3)
        served.until(lambda: hub.stats.lag == 0)
        found = ask(served)
    assert found["repairs_total"] == 1
    assert found["feed_lag_messages"] == 0


# Apps of one's own, and what is not there.


def test_an_app_of_ones_own_has_it_in_one_line_at_a_path_of_its_own():
    hub = Hub("memory:")
    counter = Counter("orders_seen", "Orders that were seen.")
    try:
        counter.inc(7)
        with Served(own_app(hub, path="/figures")) as served, Raw(served, "/orders") as client:
            client.frame()
            client.send(b"\x0f\xa0", CLOSE)
            client.closed()
            served.until(lambda: not hub.rooms)
            found = ask(served, "/figures")
    finally:
        REGISTRY.unregister(counter)
    assert found["connections_accepted_total"] == 1
    assert found.by("connections_closed_total", "code") == {OTHER: 1}
    totals = {sample.name: sample.value for sample in found.samples}
    assert totals["orders_seen_total"] == 7
    assert "python_info" in totals


def test_what_the_apps_own_lifespan_yields_is_still_its_state():
    hub = Hub("memory:")

    @contextlib.asynccontextmanager
    async def lifespan(app):
        async with hub:
            yield {"greeting": "hello"}

    app = FastAPI(lifespan=lifespan)

    @app.websocket("/ws")
    async def greet(websocket: WebSocket):
        await websocket.accept()
        await websocket.send_text(websocket.state.greeting)

    add_metrics(app, hub)
    with TestClient(app) as client, client.websocket_connect("/ws") as connection:
        assert connection.receive_text() == "hello"
        assert "chatlib_connections_accepted_total 1.0" in client.get("/metrics").text


def test_on_a_server_without_ready_frames_the_figures_are_there_too():
    hub = Hub("memory:")

    async def talk(served):
        async with connect(f"ws://127.0.0.1:{served.port}/orders", proxy=None) as client:
            await client.recv()
            await asyncio.to_thread(served.run, hub.publish("orders", "tea"))
            await client.recv()
            found = await asyncio.to_thread(ask, served)
            assert (found["connections"], found["deliveries_total"]) == (1, 1)
            await client.close(1001)
            with contextlib.suppress(ConnectionClosed):
                await client.recv()

    with Served(own_app(hub), ws="websockets-sansio") as served:
        asyncio.run(talk(served))
        served.until(lambda: not hub.rooms)
        assert ask(served).by("connections_closed_total", "code") == {"1001": 1}


def test_without_prometheus_client_there_is_no_such_page_and_a_line_says_what_brings_it(
    monkeypatch, logged
):
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with TestClient(create_app()) as client:
        assert client.get("/metrics").status_code == 404
        assert client.get("/healthz").status_code == 200
    assert [(record.levelname, record.getMessage()) for record in logged] == [("INFO", LACKING)]


def test_importing_the_rooms_does_not_import_prometheus_client():
    script = "import sys, chatlib, chatlib.rooms; print('prometheus_client' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "False\n"
