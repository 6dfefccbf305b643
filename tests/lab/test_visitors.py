"""Visitors who are told to go and come back; one who asks how long it takes; one who knocks."""

import asyncio
import contextlib
import random
import signal
import sys
import time

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from chatlib.lab import Server, commands, visitors
from chatlib.lab.knocks import Knocks, knock
from chatlib.lab.loopback import listen
from chatlib.lab.pulse import Pulse
from chatlib.lab.visiting import Connection
from chatlib.lab.visitors import Visitors, VisitorsError, stay_away

CODES = (1000, 1008, 1013, 4000)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there are no such signals")


def door(*, refuse_after=10_000):
    """Return an app that closes each with a code when told, and refuses after so many."""
    app = FastAPI()
    app.state.inside, app.state.came = [], 0

    @app.websocket("/ws/{number}")
    async def endpoint(websocket: WebSocket, number: int) -> None:
        app.state.came += 1
        if app.state.came > refuse_after:
            await websocket.close()
            return
        await websocket.accept()
        app.state.inside.append(websocket)
        with contextlib.suppress(WebSocketDisconnect):
            await websocket.receive_text()

    return app


def close_all(server, code):
    """Close all who are in."""

    async def close():
        inside, server.app.state.inside = server.app.state.inside, []
        for websocket in inside:
            await websocket.close(code)

    asyncio.run_coroutine_threadsafe(close(), server.loop).result(20)


@pytest.fixture(autouse=True)
def none_left():
    yield
    visitors.stop()
    commands.stop()


def at_once(code, attempt, retry):
    return 0


def by_what_they_were_told(code, attempt, retry):
    return None if code == 1008 else random.uniform(0, retry / 1000)


def once(code, attempt, retry):
    return None if attempt else 0


def test_they_are_in_and_note_the_code_and_come_back_by_the_rule():
    with Server(door()) as server, Visitors(server, 5, by_what_they_were_told) as crowd:
        for times, code in enumerate((1012, 4000), 1):
            close_all(server, code)
            crowd.all_back(times)
        close_all(server, 1008)
        crowd.all_told(3)
        crowd.all_back(3)  # who stays away is waited for no more
        record = crowd.record()
    assert record.codes == {1012: 5, 4000: 5, 1008: 5}
    assert record.told_at == sorted(record.told_at)
    assert len(record.in_since(0)) == len(record.waits_since(0)) == 15
    assert record.in_since(record.told_at[-1]) == []
    assert record.refused_since(0) == 0


def test_who_is_refused_tries_again_as_often_as_the_rule_says():
    """4 come in, are sent away, and are refused; `once` gives up after that."""
    with Server(door(refuse_after=4)) as server, Visitors(server, 4, once) as crowd:
        close_all(server, 1012)
        crowd.all_back()
        assert crowd.record().refused_since(0) == 4


def test_whom_the_server_cuts_off_has_1006_and_is_led_to_the_other_server():
    with Server(door()) as other:
        first = commands.start("python -m chatlib chat --port {port}")
        with Visitors(first, 3, at_once, back_to=other) as crowd:
            first.kill()
            crowd.all_back()
            record = crowd.record()
        assert record.codes == {1006: 3}
        assert other.app.state.came == 3


def test_who_is_deaf_reads_nothing_and_hears_of_no_end():
    with Server(door()) as server, Visitors(server, 2, deaf=True) as crowd:
        close_all(server, 1012)
        with pytest.raises(VisitorsError, match=r"0 connections have ended after 0\.01 s"):
            crowd.all_told(seconds=0.01)


def test_not_to_be_let_in_is_an_error_and_so_is_an_end_of_their_process():
    with Server(door(refuse_after=1)) as server:
        with Visitors(server, 1) as crowd:
            crowd._child.kill()
            with pytest.raises((VisitorsError, ValueError)):
                crowd.record()
        with pytest.raises(VisitorsError, match="0 of 2 visitors were let in"):
            Visitors(server, 2)


def test_fewer_are_enough_where_nobody_looks(monkeypatch):
    monkeypatch.delenv("CHATLIB_ROUNDS", raising=False)
    assert visitors.many(2000) == 2000
    monkeypatch.setenv("CHATLIB_ROUNDS", "1")
    assert visitors.many(2000) == 400
    assert stay_away(1012, 0, 4.0) is None


@pytest.mark.parametrize("size", [2, 125, 126, 70_000])
def test_a_close_is_found_behind_messages_of_any_size_in_any_pieces(size):
    wide = 2 if size < 65_536 else 8
    length = (
        bytes([size])
        if size < 126
        else bytes([126 if wide == 2 else 127]) + size.to_bytes(wide, "big")
    )
    sent = b"HTTP/1.1 101 X\r\n\r\n\x81" + length + b"x" * size + b"\x88\x02" + b"\x03\xf4"

    async def run(step):
        connection = Connection(b"", deaf=False)

        class Transport:
            def close(self):
                pass

        connection.transport = Transport()
        for start in range(0, len(sent), step):
            assert not connection.code.done()
            connection.data_received(sent[start : start + step])
        return connection.is_in.result(), connection.code.result()

    for step in (1 if size < 1000 else 997, len(sent)):
        assert asyncio.run(run(step)) == (True, 1012)


def test_a_pulse_sees_how_long_the_event_loop_stood_still():
    with Server(door()) as server, Pulse(server) as pulse:
        server.loop.call_soon_threadsafe(time.sleep, 0.3)
        asyncio.run_coroutine_threadsafe(asyncio.sleep(0), server.loop).result(20)
    assert pulse.longest() > 0.2
    assert pulse.longest() == max(wait for _, wait in pulse.waits)


def test_knocks_are_answered_and_counted_by_what_came():
    server = commands.start("python -m chatlib chat --port {port}")
    with Knocks(server, "/ws/1", http="/nowhere") as knocks:
        server.signal(signal.SIGTERM)
        server.wait()
        guard = time.monotonic() + 20
        while not any(each.answer == "refused" for each in knocks.look()):
            assert time.monotonic() < guard
    assert knocks.answers("/ws/1")[101] > 0
    assert knocks.answers("/nowhere")[404] > 0
    assert knocks.answers("/ws/1", since=knocks.first("/ws/1", "refused"))[101] == 0
    with pytest.raises(StopIteration):
        knocks.first("/ws/1", 503)


def test_a_knock_that_is_taken_and_not_answered_is_cut_off():
    with listen(0) as sock:
        sock.listen()

        async def run():
            knocking = asyncio.create_task(
                asyncio.to_thread(knock, sock.getsockname()[1], "/", False)
            )
            taken, _ = await asyncio.to_thread(sock.accept)
            taken.close()
            return await knocking

        assert asyncio.run(run()) == "cut off"
