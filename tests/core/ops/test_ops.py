"""What an app with `add_ops` answers, on a real server."""

import json
import urllib.error
import urllib.request

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from fastapi.staticfiles import StaticFiles
from live import Served
from scrape import Scrape
from websockets.sync.client import connect

from chatlib import ConnectionManager, Guard, Hub, Room, add_ops
from chatlib.stores.memory import MemoryStore

PATHS = ("/livez", "/readyz", "/healthz", "/metrics")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def ask(served, path):
    """Return the status, the headers and the text of an answer."""
    try:
        with DIRECT.open(f"http://127.0.0.1:{served.port}{path}", timeout=20) as answer:
            return answer.status, answer.headers, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers, error.read().decode()


def statuses(served):
    return [ask(served, path)[0] for path in PATHS]


class Away(MemoryStore):
    """A store that can be away."""

    error = None

    async def check(self):
        if self.error is not None:
            raise self.error


def chat_app(manager):
    app = FastAPI()

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await manager.connect(websocket)
        try:
            while True:
                await manager.broadcast(await websocket.receive_text())
        except WebSocketDisconnect:
            manager.disconnect(websocket)

    return app


def test_an_app_without_rooms_is_alive_ready_and_has_figures():
    app = FastAPI()
    add_ops(app)
    with Served(app) as served:
        assert statuses(served) == [200, 200, 200, 200]
        assert json.loads(ask(served, "/readyz")[2]) == {"ready": True, "why": None}
        health = json.loads(ask(served, "/healthz")[2])
        assert (health["log"], health["rooms"], health["members"]) == (None, 0, 0)
        assert Scrape(ask(served, "/metrics")[2])["connections"] == 0


def test_the_figures_of_a_manager_say_who_came_who_left_and_what_it_cost_them():
    manager, room = ConnectionManager(), Room()
    app = chat_app(manager)
    add_ops(app, manager, room)
    with Served(app) as served:
        url = f"ws://127.0.0.1:{served.port}/ws"
        with connect(url, proxy=None) as ana, connect(url, proxy=None) as ben:
            ana.send("hello")
            assert (ana.recv(), ben.recv()) == ("hello", "hello")
            found = Scrape(ask(served, "/metrics")[2])
            assert (found["rooms"], found["members"], found["members_fast"]) == (2, 2, 2)
            assert (found["deliveries_total"], found["delivery_duration_seconds_count"]) == (2, 2)
            assert json.loads(ask(served, "/healthz")[2])["members"] == 2
        served.until(lambda: not manager.active_connections)
        found = Scrape(ask(served, "/metrics")[2])
        assert (found["members_joined_total"], found["members_left_total"]) == (2, 2)
        assert "chatlib_store_up" not in found.names


def test_on_another_protocol_nobody_is_on_the_fast_path():
    manager = ConnectionManager()
    app = chat_app(manager)
    add_ops(app, manager)
    with (
        Served(app, ws="websockets-sansio") as served,
        connect(f"ws://127.0.0.1:{served.port}/ws", proxy=None) as ana,
    ):
        ana.send("hello")
        ana.recv()
        found = Scrape(ask(served, "/metrics")[2])
        assert (found["members"], found["members_fast"]) == (1, 0)


@pytest.mark.parametrize("error", [OSError("/srv/chat.db is gone"), KeyError("a fault")])
def test_while_the_store_is_away_the_app_is_alive_and_not_ready(error):
    store = Away()
    hub = Hub(store)
    app = FastAPI(lifespan=hub.lifespan)
    add_ops(app, hub)
    with Served(app) as served:
        assert statuses(served) == [200, 200, 200, 200]
        store.error = error
        assert statuses(served) == [200, 503, 503, 200]
        _, headers, text = ask(served, "/readyz")
        assert (headers["Retry-After"], headers["Cache-Control"]) == ("1", "no-store")
        assert json.loads(text) == {"ready": False, "why": "the store cannot be used just now"}
        assert json.loads(ask(served, "/healthz")[2])["log"]["ok"] is False
        store.error = None
        assert statuses(served) == [200, 200, 200, 200]


def test_an_app_that_forgot_to_open_its_hub_is_not_ready():
    app = FastAPI()  # without lifespan=hub.lifespan
    add_ops(app, Hub("memory:"))
    with Served(app) as served:
        assert statuses(served) == [200, 503, 503, 200]
        assert "FastAPI(lifespan=hub.lifespan)" in ask(served, "/readyz")[2]


def test_a_full_app_is_alive_and_ready():
    app = chat_app(ConnectionManager())
    app.add_middleware(Guard, max_connections=1)
    add_ops(app)
    with (
        Served(app) as served,
        connect(f"ws://127.0.0.1:{served.port}/ws", proxy=None),
    ):
        with pytest.raises(Exception, match="503"):
            connect(f"ws://127.0.0.1:{served.port}/ws", proxy=None)
        assert statuses(served) == [200, 200, 200, 200]


def test_a_route_of_the_apps_own_that_was_there_before_answers():
    app = FastAPI()

    @app.get("/healthz")
    def healthz():
        return "mine"

    add_ops(app)
    with Served(app) as served:
        assert ask(served, "/healthz")[2] == '"mine"'
        assert ask(served, "/livez")[0] == 200


@pytest.mark.parametrize("path", PATHS)
def test_a_monitor_may_ask_with_head(path):
    app = FastAPI()
    add_ops(app)
    with Served(app) as served:
        asked = urllib.request.Request(f"http://127.0.0.1:{served.port}{path}", method="HEAD")
        with DIRECT.open(asked, timeout=20) as answer:
            assert (answer.status, answer.read()) == (200, b"")
    assert path not in app.openapi()["paths"] or list(app.openapi()["paths"][path]) == ["get"]


def test_a_room_that_was_given_twice_counts_once():
    manager = ConnectionManager()
    app = chat_app(manager)
    add_ops(app, manager, manager.room, manager)
    with (
        Served(app) as served,
        connect(f"ws://127.0.0.1:{served.port}/ws", proxy=None) as ana,
    ):
        ana.send("hello")
        ana.recv()
        found = Scrape(ask(served, "/metrics")[2])
        assert (found["rooms"], found["members"], found["deliveries_total"]) == (1, 1, 1)


def test_files_at_the_root_come_after(tmp_path):
    (tmp_path / "livez").write_text("a file")
    before, after = FastAPI(), FastAPI()
    add_ops(before)
    before.mount("/", StaticFiles(directory=tmp_path))
    after.mount("/", StaticFiles(directory=tmp_path))
    add_ops(after)
    with Served(before) as one, Served(after) as two:
        assert "worker" in ask(one, "/livez")[2]
        assert ask(two, "/livez")[2] == "a file"


def test_what_is_no_source_is_refused_with_what_is_one():
    with pytest.raises(TypeError, match="expected a Hub, a ConnectionManager or a Room, got 7"):
        add_ops(FastAPI(), 7)
    with pytest.raises(TypeError, match="one Hub at most"):
        add_ops(FastAPI(), Hub("memory:"), Hub("memory:"))


@pytest.mark.parametrize("drain", [-1, float("inf"), float("nan")])
def test_a_drain_that_cannot_be_is_refused(drain):
    with pytest.raises(ValueError, match="expected drain in seconds from 0 on"):
        add_ops(FastAPI(), drain=drain)
