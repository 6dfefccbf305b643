"""Workers of one app, which a notebook starts and kills."""

import asyncio

import pytest
import websockets
import websockets.sync.client

from chatlib.lab import workers
from chatlib.lab.loopback import ServerError

CHAT = "chatlib.chat:app"


@pytest.fixture(autouse=True)
def none_left():
    yield
    workers.stop()


def talk(worker, client_id=1):
    """Say hello at a worker; return what comes back."""
    with websockets.sync.client.connect(worker.ws_url(f"/ws/{client_id}")) as client:
        client.send("Hello")
        return client.recv()


def test_each_is_a_process_with_a_port_of_its_own():
    one, two = workers.start(CHAT)
    assert one.port != two.port
    assert one.pid != two.pid
    assert [talk(one), talk(two)] == ["You wrote: Hello"] * 2
    assert repr(one) == f"<worker 1: http://127.0.0.1:{one.port}/>"


def test_a_function_that_makes_the_app_gets_the_options():
    (worker,) = workers.start("fastapi:FastAPI", 1, docs_url="/here", openapi_url="/api")
    with pytest.raises(websockets.InvalidStatus):
        talk(worker)  # there is no WebSocket
    import httpx2

    assert httpx2.get(worker.http_url("/here"), trust_env=False).status_code == 200


def test_one_that_is_killed_cuts_its_clients_and_the_other_goes_on():
    one, two = workers.start(CHAT)

    async def run():
        async with websockets.connect(one.ws_url("/ws/1")) as client:
            await asyncio.to_thread(one.kill)
            await client.wait_closed()
            return client.close_code

    assert asyncio.run(run()) == 1006
    assert not one.running
    assert talk(two) == "You wrote: Hello"
    assert repr(one) == "<worker 1: ended>"


def test_what_has_ended_has_no_address_and_says_what_to_do():
    one, _ = workers.start(CHAT)
    workers.stop()
    for address in (one.ws_url, one.http_url):
        with pytest.raises(ServerError, match=r"worker 1 has ended; start the workers again"):
            address()
    workers.stop()


def test_a_stop_tells_clients_that_the_server_restarts():
    (worker,) = workers.start(CHAT, 1)
    with websockets.sync.client.connect(worker.ws_url("/ws/1")) as client:
        workers.stop()
        with pytest.raises(websockets.ConnectionClosed) as closed:
            client.recv()
    assert closed.value.rcvd.code == 1012


def test_new_ones_take_the_place_of_those_before():
    before = workers.start(CHAT)
    after = workers.start(CHAT, 1)
    assert [worker.running for worker in [*before, *after]] == [False, False, True]


def test_where_one_does_not_start_none_runs_and_the_reason_is_told():
    with pytest.raises(ServerError, match=r'worker 1 did not start: .*"nothing" not found'):
        workers.start("chatlib.chat:nothing")
    with pytest.raises(ServerError, match="worker 1 did not start"):
        workers.start("chatlib.rooms:create_app", store="sqlite:////no/such/folder/x.db")
    assert len(workers._started) == 0
