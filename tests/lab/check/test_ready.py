"""`check.ready` tells what is fit to meet the world from what is not, point by point."""

import asyncio
import contextlib
import logging
import sys

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from ready_apps import add_paths, chat, echo

from chatlib import ConnectionManager
from chatlib.core.guard import Guard
from chatlib.core.messages import receive_text
from chatlib.lab import check
from chatlib.lab.check.__main__ import main
from chatlib.lab.check.readiness import bench, loads, payloads, stops
from chatlib.lab.check.readiness.checklist import CHECKLIST
from chatlib.lab.check.readiness.command import Command, app_in, port_in
from chatlib.lab.check.readiness.paths import Door, door_in_asyncapi, doors_of
from chatlib.lab.plain import PlainManager
from chatlib.lab.serve import Server

NAMES = {point.says: name for name, point in CHECKLIST.items()}
OPTIONS = (
    "--http ready_apps:SoonTimedHead --ws chatlib.core.fanout:FanoutProtocol --ws-max-size 65536 "
    "--timeout-graceful-shutdown 1"
)


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Wait less for what does not come, and do less of what is the same each time."""
    monkeypatch.setattr(payloads, "QUIET_SECONDS", 0.3)
    monkeypatch.setattr(loads, "HEAD_SECONDS", 2.0)
    monkeypatch.setattr("chatlib.lab.check.readiness.doors.CAP", 80)
    monkeypatch.setattr(loads, "FLOOD", 1000)
    monkeypatch.setattr(loads, "MUCH", 24 * loads.MEGABYTE)
    monkeypatch.setattr(loads, "PINGS", 10 * loads.MEGABYTE)
    monkeypatch.setattr(loads, "STUCK_SECONDS", 1.0)
    monkeypatch.setattr(bench, "QUIET_SECONDS", 0.3)


def marks(report):
    """Return the mark of each point, by its name."""
    return {NAMES[rule.says]: mark for rule, mark, _ in report.lines}


def failing(report):
    return [name for name, mark in marks(report).items() if mark == "✗"]


def came(report, name):
    """Return what came of a point, and its hint."""
    return next(f"{came} {rule.hint}" for rule, _, came in report.lines if NAMES[rule.says] == name)


def expect_fails(report, name, words):
    """Expect that one point fails, and no other, and what it says."""
    assert failing(report) == [name], report
    assert words in came(report, name), report
    assert not report.passed


def run(app, *options):
    """Return the command line that runs an app of `ready_apps`."""
    return f"uvicorn --factory ready_apps:{app} {' '.join(options)}"


def test_a_good_app_on_a_good_server_passes_every_point():
    report = check.ready(run("good", OPTIONS), "/ws/1", secret="token")
    assert set(marks(report).values()) == {"✓"}, report
    assert report.passed


def test_the_tutorials_app_on_a_stock_server_fails_where_it_is_not_ready(monkeypatch):
    monkeypatch.setattr(loads, "HELD_SECONDS", 1.0)
    monkeypatch.setattr(stops, "STOP_SECONDS", 1.0)
    report = check.ready(run("tutorial"), "/ws/1", secret="token")
    assert set(failing(report)) == CHECKLIST.keys() - {"enters", "flood", "cap", "unready", "told"}
    assert marks(report)["cap"] == marks(report)["flood"] == "!"


WITH_GUARD = chat(ConnectionManager(), max_connections_per_address=60)
WITH_OPS = echo()
add_paths(WITH_OPS)
NO_READYZ = echo()
add_paths(NO_READYZ, "/healthz", "/metrics")
NO_METRICS = echo()
add_paths(NO_METRICS, "/livez", "/readyz")
NOT_ALIVE = echo()
add_paths(NOT_ALIVE, "/readyz", "/metrics")
OPS = ("alive", "ready", "metrics")


@pytest.mark.parametrize(
    ("app", "name", "words"),
    [
        (NOT_ALIVE, "alive", "HTTP 404 at /livez"),
        (NO_READYZ, "ready", "add_ops(app)"),
        (NO_METRICS, "metrics", "add_ops(app)"),
    ],
)
def test_what_an_operator_asks_for_is_missed_one_by_one(app, name, words):
    expect_fails(check.ready(app, only=OPS), name, words)


def test_a_page_of_another_site_has_to_be_refused():
    expect_fails(check.ready(echo(), only=["origin"]), "origin", "Origin evil.example, got: let in")


def test_a_page_of_its_own_has_to_be_let_in():
    app = FastAPI()

    @app.websocket("/ws")
    async def no_browser_at_all(websocket: WebSocket):
        if "origin" in websocket.headers:
            await websocket.close(1008)
            return
        await websocket.accept()
        while (await websocket.receive())["type"] == "websocket.receive":
            pass

    expect_fails(check.ready(app, only=["origin"]), "origin", "a page of its own to be let in")


SIZES = ("size", "fragments", "inflates")


def test_a_limit_above_a_mebibyte_is_none():
    with Server(echo(), ws_max_size=3 * 512 * 1024) as server:
        expect_fails(check.ready(server, only=SIZES), "size", "ws-max-size")


def test_a_guard_alone_does_not_see_fragments_without_an_end():
    app = echo()
    app.add_middleware(Guard)
    with Server(app, ws_max_size=1 << 24, ws="websockets-sansio") as server:
        expect_fails(check.ready(server, only=SIZES), "fragments", "it stays open")


def test_without_a_limit_a_message_may_inflate():
    with Server(echo(), ws_max_size=1 << 24) as server:
        report = check.ready(server, only=["inflates"])
    expect_fails(report, "inflates", "15 KB that become 16 MiB")


def test_nothing_inflates_where_nothing_is_compressed():
    with Server(echo(), ws_max_size=1 << 24, ws_per_message_deflate=False) as server:
        assert check.ready(server, only=["inflates"]).passed


BAD = ("bad_input", "traceback")


async def closes_with_1011(websocket):
    message = await websocket.receive()
    if message["type"] == "websocket.receive" and "text" in message:
        return message["text"]
    if message["type"] == "websocket.receive":
        await websocket.close(1011)
    raise WebSocketDisconnect(1011)


async def logs_it(websocket):
    text = await receive_text(websocket)
    try:
        return text if text.startswith("hello") else [][0]
    except IndexError:
        logging.getLogger("uvicorn.error").exception("what is this?")
        return "no"


def closes_all(wanted):
    """Return an app that closes every client once `wanted(message)` says so."""
    app, there = FastAPI(), set()

    @app.websocket("/ws")
    async def answer(websocket: WebSocket):
        await websocket.accept()
        there.add(websocket)
        while (message := await websocket.receive())["type"] == "websocket.receive":
            if wanted(message):
                for each in there - {websocket}:
                    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                        await each.close(1008)
                there.intersection_update({websocket})
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await websocket.send_text(message.get("text") or "")
        there.discard(websocket)

    return app


@pytest.mark.parametrize(
    ("app", "name", "words"),
    [
        (echo(closes_with_1011), "bad_input", "a binary message"),
        (closes_all(lambda message: message.get("text") == "{"), "bad_input", "another client"),
        (echo(logs_it), "traceback", "got: IndexError"),
    ],
    ids=["closes with 1011", "closes another", "logs a traceback"],
)
def test_bad_input_has_an_answer_that_says_why(app, name, words):
    expect_fails(check.ready(app, only=BAD), name, words)


def test_a_flood_must_not_be_the_end_of_others():
    said = []

    def is_much(message):
        said.append(message)
        return len(said) > 100

    report = check.ready(closes_all(is_much), only=["flood"])
    expect_fails(report, "flood", "messages_per_second")


def test_a_flood_that_is_taken_is_remarked_on():
    report = check.ready(echo(), only=["flood"])
    assert report.passed
    assert marks(report)["flood"] == "!"
    assert "hint: app.add_middleware(Guard, messages_per_second=20)" in repr(report)
    assert repr(report).endswith("  ! the app does not do it; a proxy in front of it may")


def test_who_never_reads_must_not_hold_up_the_others(monkeypatch):
    monkeypatch.setattr(loads, "HELD_SECONDS", 1.0)
    report = check.ready(chat(PlainManager()), only=["slow"])
    expect_fails(report, "slow", "a client that reads to hear what is said")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is looked up on Linux alone")
def test_what_is_kept_for_who_never_reads_must_have_a_bound():
    report = check.ready(run("hoarder"), "/ws", secret="", only=["slow"])
    expect_fails(report, "slow", "memory to be bounded while a client reads nothing")


def test_an_app_without_fan_out_holds_up_nobody():
    report = check.ready(echo(), only=["slow"])
    assert marks(report) == {"enters": "✓", "slow": "·"}
    assert "no other hears" in came(report, "slow")


def test_no_cap_is_remarked_on_and_a_cap_is_seen():
    report = check.ready(echo(), only=["cap"])
    assert report.passed
    assert marks(report)["cap"] == "!"
    assert marks(check.ready(WITH_GUARD, only=["cap"]))["cap"] == "✓"


def test_an_address_has_to_be_let_in_again_when_its_connections_have_ended(monkeypatch):
    monkeypatch.setattr("chatlib.lab.check.readiness.doors.CALM_SECONDS", 0.5)
    app, count = FastAPI(), []

    @app.websocket("/ws")
    async def counts_for_ever(websocket: WebSocket):
        count.append(websocket)
        if len(count) > 40:
            await websocket.close(1013)
            return
        await websocket.accept()
        while (await websocket.receive())["type"] == "websocket.receive":
            pass

    expect_fails(check.ready(app, only=["cap"]), "cap", "to be let in again")


STOPS = ("unready", "told", "stops")


def test_a_process_that_just_ends_tells_nobody():
    report = check.ready(run("told_nothing"), "/ws", secret="", only=STOPS)
    expect_fails(report, "told", "cut without a close frame")


def test_readyz_may_not_say_200_while_the_server_stops(monkeypatch):
    monkeypatch.setattr(stops, "UNREADY_SECONDS", 1.0)
    options = "--timeout-graceful-shutdown 1"
    report = check.ready(run("ready_to_the_last", options), "/ws", secret="", only=STOPS)
    expect_fails(report, "unready", "HTTP 200")
    assert check.ready(run("drains", options), "/ws", secret="", only=STOPS).passed


def test_what_cannot_be_looked_at_is_no_failure_and_has_its_reason():
    report = check.ready(WITH_OPS, only=[*OPS, "told", "head"])
    assert report.passed
    assert marks(report)["told"] == marks(report)["head"] == "·"
    assert "not looked at: this is the notebook's server" in repr(report)
    assert repr(report).endswith("it could not be looked at here, so nothing is known of it")


def test_an_address_that_runs_is_checked_without_its_log():
    with Server(WITH_OPS) as server:
        report = check.ready(server.http_url(""), "/ws", only=[*OPS, "traceback", "size"])
    assert marks(report)["size"] == "✓"
    assert marks(report)["traceback"] == "·"
    assert "only who starts a server sees its log" in repr(report)


def test_a_server_on_another_machine_is_not_loaded(monkeypatch):
    monkeypatch.setattr("chatlib.lab.check.readiness.targets.is_loopback", lambda host: False)
    seen = []
    with Server(WITH_OPS) as server:
        server.observers.append(seen.append)
        report = check.ready(server.ws_url(""), "/ws", only=CHECKLIST.keys() - {"origin"})
    assert {name for name, mark in marks(report).items() if mark != "·"} == {
        *("enters", "alive", "ready", "metrics", "frames")
    }
    assert len([event for event in seen if event.kind == "accept"]) == 2  # one for `frames`
    assert "on another machine" in repr(report)


def test_an_address_without_a_path_says_what_is_missing():
    with Server(WITH_OPS) as server:
        report = check.ready(server.http_url(""))
    assert failing(report) == ["enters"]
    assert "path='/ws'" in came(report, "enters")
    assert marks(report)["alive"] == "·"


def test_a_message_that_the_app_takes_and_what_lets_a_client_in_are_the_readers():
    app = FastAPI()

    @app.websocket("/ws")
    async def choosy(websocket: WebSocket):
        if websocket.headers.get("cookie") != "session=ada":
            await websocket.close(1008)
            return
        await websocket.accept()
        while (text := (await websocket.receive()).get("text", "")).isdecimal():
            await websocket.send_text(text)

    def sign_in(url):
        return {"Cookie": "session=ada"} if url.startswith("http://127") else {}

    assert "HTTP 403" in came(check.ready(app, only=["enters"]), "enters")
    report = check.ready(app, headers=sign_in, only=["enters"])
    assert "say=" in came(report, "enters")
    assert check.ready(app, headers=sign_in, say=str, only=["enters"]).passed
    assert check.ready(app, headers={"Cookie": "session=ada"}, say="7", only=["enters"]).passed


def test_it_works_where_an_event_loop_runs():
    async def cell():
        return check.ready(WITH_OPS, only=OPS)

    assert asyncio.run(cell()).passed


def test_what_is_no_app_and_no_command_is_said():
    assert "the class FastAPI" in repr(check.ready(FastAPI))
    assert "cannot run 'nowhere'" in repr(check.ready("nowhere --port {port}"))
    _, _, came = check.ready("ready_apps:none", "/ws", secret="").lines[0]
    assert 'Attribute "none" not found in module "ready_apps"' in came
    with pytest.raises(ValueError, match="an address such as http://127"):
        check.ready("ftp://127.0.0.1")
    with pytest.raises(ValueError, match="only= takes some of enters, origin"):
        check.ready(WITH_OPS, only=["all"])


def test_the_port_of_a_command_and_its_app_are_found():
    assert port_in(["uvicorn", "app:app", "--port", "8123"]) == 8123
    assert port_in(["gunicorn", "--bind=127.0.0.1:8124", "app:app"]) == 8124
    assert port_in(["uvicorn", "app:app", "--port", "{port}"]) is None
    assert app_in(["uvicorn", "--ws", "chatlib.core.fanout:FanoutProtocol", "my.app:app"]) == (
        "my.app:app"
    )
    assert app_in(["python", "-m", "chatlib", "chat"]) == "chatlib.chat:app"
    assert app_in(["hello"]) is None


def test_a_command_ends_with_the_check_and_its_doors_are_found():
    command = Command("python -m chatlib items")
    try:
        assert command.doors == [Door("/items/1/ws", "token")]
        assert "Uvicorn running" in command.log()
    finally:
        command.end()
    assert not command.running


def test_the_terminal_has_it_too(capsys):
    with Server(WITH_OPS) as server:
        url = server.http_url("")
        with pytest.raises(SystemExit, match="0"):
            main(["ready", url, "--path", "/ws", "--header", "Cookie: a=b", "--only", "alive"])
        assert "✓ /livez or /healthz answers 200" in capsys.readouterr().out
        with pytest.raises(SystemExit, match="1"):
            main(["ready", url, "--path", "/", "--only", "alive"])
        with pytest.raises(SystemExit, match="2"):
            main(["ready", url, "--only", "everything"])


def test_doors_have_their_parameters_filled_in():
    app = FastAPI()
    for path in ("/a/{b}/{c:int}", "/{d:uuid}"):
        app.websocket(path)(lambda websocket: None)
    assert [door.path for door in doors_of(app)] == [
        "/a/1/1",
        "/12345678-1234-4234-8234-123456789abc",
    ]
    document = '{"channels": {"room": {"address": "/rooms/{room}"}}}'
    assert door_in_asyncapi(document) == Door("/rooms/1")
    assert door_in_asyncapi("<html>") is None
