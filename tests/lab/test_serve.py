"""A server in the notebook's kernel: it starts, it stops, it is replaced, and it never hangs."""

import asyncio
import contextlib
import socket
import subprocess
import sys
import threading
import urllib.request

import pytest
import websockets
import websockets.sync.client
from fastapi import FastAPI, WebSocket

from chatlib.chat import app as chat_app
from chatlib.echo import app as echo_app
from chatlib.lab import serve
from chatlib.lab.loopback import ServerError
from chatlib.lab.serve import Server

MODULE = sys.modules[Server.__module__]  # whose name in its package is the function `serve`


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """Each test stops what it started, and no thread of a server outlives it."""
    before = set(threading.enumerate())
    yield
    left = [
        thread.name
        for thread in threading.enumerate()
        if thread.name.startswith("chatlib") and thread not in before
    ]
    assert left == []


@pytest.fixture
def stack():
    with contextlib.ExitStack() as stack:
        yield stack


def echoes(server):
    """Whether a client that connects to `server` hears its echo."""
    with websockets.sync.client.connect(server.ws_url(), open_timeout=10) as client:
        client.send("hello")
        return client.recv(timeout=10) == "Message text was: hello"


def test_it_accepts_connections_as_soon_as_it_is_there():
    with Server(echo_app) as server:
        assert echoes(server)


def test_its_repr_says_where_it_is_and_whether_it_has_stopped():
    with Server(echo_app, name="echo") as server:
        assert repr(server) == f"<echo: http://127.0.0.1:{server.port}/>"
    assert repr(server) == "<echo: stopped>"


def test_each_gets_a_free_port_of_its_own():
    with Server(echo_app) as one, Server(echo_app) as other:
        assert one.port != other.port
        assert echoes(one)
        assert echoes(other)


def test_a_port_can_be_given():
    with Server(echo_app) as first:
        port = first.port
    with Server(echo_app, port=port) as server:
        assert server.port == port
        assert echoes(server)


def test_serving_again_replaces_the_server_before():
    old = serve(echo_app)
    new = serve(chat_app)
    assert not old.running
    assert new.running
    new.stop()


def test_serving_again_at_the_same_given_port_replaces_the_server_before():
    first = serve(echo_app)
    port = first.port
    second = serve(echo_app, port=port)
    assert not first.running
    assert echoes(second)
    second.stop()


def test_another_name_stands_beside_it():
    one, other = serve(echo_app), serve(echo_app, name="second")
    assert echoes(one)
    assert echoes(other)
    one.stop()
    assert echoes(other)
    other.stop()


def test_a_context_manager_replaces_nothing(stack):
    served = serve(echo_app)
    stack.callback(served.stop)
    with Server(echo_app):
        assert served.running
    assert echoes(served)


def test_a_start_that_fails_leaves_the_server_before(stack):
    served = serve(echo_app)
    stack.callback(served.stop)
    with pytest.raises(ServerError):
        serve(failing_app(ValueError("no database")))
    assert echoes(served)


def failing_app(error):
    @contextlib.asynccontextmanager
    async def lifespan(app):
        raise error
        yield

    return FastAPI(lifespan=lifespan)


def test_a_lifespan_that_raises_gives_its_reason():
    with pytest.raises(
        ServerError, match=r"lifespan failed with ValueError: no database"
    ) as failed:
        Server(failing_app(ValueError("no database")))
    assert isinstance(failed.value.__cause__, ValueError)


def test_a_port_that_is_taken_is_said_to_be():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=rf"cannot listen at port {port}.*free one"):
            Server(echo_app, port=port)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_said_to_be(port):
    with pytest.raises(ServerError, match=rf"port {port}: ports go from 0 to 65535"):
        Server(echo_app, port=port)


def test_a_port_as_a_text_is_refused():
    with pytest.raises(TypeError, match=r"a number, such as 8000; got '8000'"):
        Server(echo_app, port="8000")


def test_a_thread_that_dies_gives_its_reason(monkeypatch):
    async def dies(self, sockets=None):
        raise OSError("out of files")

    monkeypatch.setattr("uvicorn.Server.startup", dies)
    with pytest.raises(ServerError, match=r"thread ended with OSError: out of files"):
        Server(echo_app)


def test_a_lifespan_that_never_ends_its_start_is_given_up(monkeypatch):
    monkeypatch.setattr(MODULE, "START_SECONDS", 0.2)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        await asyncio.Event().wait()
        yield

    with pytest.raises(ServerError, match="still starting"):
        Server(FastAPI(lifespan=lifespan))


def test_what_is_no_app_is_said_to_be_none():
    with pytest.raises(TypeError, match="takes an ASGI app"):
        Server("chatlib.echo:app")


def test_after_a_stop_it_says_how_to_start_again():
    server = Server(echo_app)
    server.stop()
    server.stop()
    for use in (server.ws_url, server.http_url, server.show):
        with pytest.raises(ServerError, match="start the server again"):
            use()


def test_clients_are_told_1012_at_a_stop():
    async def stay(server):
        async with asyncio.timeout(10), websockets.connect(server.ws_url()) as client:
            await asyncio.to_thread(server.stop)
            with pytest.raises(websockets.ConnectionClosedError) as closed:
                await client.recv()
            return closed.value.rcvd.code

    assert asyncio.run(stay(Server(echo_app))) == 1012


def test_a_client_that_never_reads_does_not_hold_up_a_stop():
    app = FastAPI()
    stalled = threading.Event()

    @app.websocket("/ws")
    async def flood(websocket: WebSocket):
        await websocket.accept()
        while True:
            sending = asyncio.ensure_future(websocket.send_text("x" * 60_000))
            done, _ = await asyncio.wait({sending}, timeout=1)
            if not done:
                stalled.set()
            await sending

    server = Server(app)
    with websockets.sync.client.connect(
        server.ws_url(), compression=None, max_queue=1, close_timeout=0
    ):
        assert stalled.wait(20)
        server.stop()
    assert not server.running


def test_a_handler_that_ignores_its_clients_leaving_is_cancelled_at_a_stop(monkeypatch):
    monkeypatch.setattr(MODULE, "GRACE_SECONDS", 0)
    app = FastAPI()
    cancelled = threading.Event()

    @app.websocket("/ws")
    async def deaf(websocket: WebSocket):
        await websocket.accept()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    server = Server(app)
    with websockets.sync.client.connect(server.ws_url()):
        server.stop()
    assert cancelled.wait(10)


def test_a_handler_that_blocks_the_thread_is_named_at_a_stop(monkeypatch):
    monkeypatch.setattr(MODULE, "STOP_SECONDS", 0.2)
    app = FastAPI()
    blocking, release = threading.Event(), threading.Event()

    @app.websocket("/ws")
    async def hogs_the_loop(websocket: WebSocket):
        await websocket.accept()
        blocking.set()
        release.wait(20)

    server = Server(app)
    with websockets.sync.client.connect(server.ws_url()):
        assert blocking.wait(10)
        with pytest.warns(RuntimeWarning, match=r"hogs_the_loop\(\).*Restart the kernel"):
            server.stop()
        release.set()
        server._thread.join(10)


def test_nothing_is_printed_and_the_log_has_it_all(capfd):
    app = FastAPI()

    @app.websocket("/ws")
    async def fails(websocket: WebSocket):
        await websocket.accept()
        raise ValueError("a mistake of the handler's")

    with Server(app) as server:
        with (
            websockets.sync.client.connect(server.ws_url()) as client,
            pytest.raises(websockets.ConnectionClosed),
        ):
            client.recv(timeout=10)
        asyncio.run(server.settled())
        (error,) = server.log.errors
        assert str(error.error) == "a mistake of the handler's"
        assert "WebSocket /ws" in repr(server.log)
    assert capfd.readouterr() == ("", "")


def test_two_servers_keep_their_logs_apart():
    with Server(echo_app) as one, Server(chat_app) as other:
        assert echoes(one)
        assert "/ws" in repr(one.log)
        assert "/ws" not in repr(other.log)


def test_it_is_reached_where_a_proxy_is_set(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.setenv("NO_PROXY", "example.com")
    monkeypatch.delenv("no_proxy", raising=False)
    with Server(echo_app) as server:
        assert echoes(server)
        with urllib.request.urlopen(server.http_url("/"), timeout=10) as page:
            assert page.status == 200


SCRIPT = """
import asyncio, nest_asyncio, websockets
from chatlib.echo import app
from chatlib.lab import serve

async def talk(server):
    async with websockets.connect(server.ws_url()) as client:
        await client.send("hello")
        return await client.recv()

before = serve(app)
nest_asyncio.apply()
print(asyncio.run(talk(before)))
after = serve(app)
print(asyncio.run(talk(after)))
after.stop()
print(before, after)
"""


def test_it_works_before_and_after_nest_asyncio_is_applied():
    """In a process of its own, since the patch is for ever."""
    ran = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.stdout.splitlines() == [
        "Message text was: hello",
        "Message text was: hello",
        "<server: stopped> <server: stopped>",
    ], ran.stderr


def test_a_killed_process_leaves_no_port_behind():
    """As when a kernel is restarted."""
    script = (
        "from chatlib.echo import app; from chatlib.lab import serve; "
        "print(serve(app).port, flush=True); input()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    port = int(process.stdout.readline())
    with Server(echo_app):
        pass
    process.kill()
    process.wait(10)
    process.stdin.close()
    process.stdout.close()
    with Server(echo_app, port=port) as server:
        assert echoes(server)


def test_a_process_with_a_running_server_ends_by_itself():
    script = "from chatlib.echo import app; from chatlib.lab import serve; serve(app)"
    subprocess.run([sys.executable, "-c", script], timeout=60, check=True)


@pytest.mark.parametrize("variable", ["CHATLIB_PROXY_PREFIX", "JUPYTERHUB_SERVICE_PREFIX"])
def test_behind_a_hub_the_page_comes_through_its_proxy(monkeypatch, variable):
    monkeypatch.setenv(variable, "/user/ana/")
    with Server(echo_app) as server:
        page = server.show("/")
    html = page._repr_mimebundle_()["text/html"]
    assert f'src="/user/ana/proxy/{server.port}/"' in html


def test_the_page_is_shown_with_a_text_that_stands_alone(monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
    with Server(echo_app) as server:
        bundle = server.show("/")._repr_mimebundle_()
    url = f"http://127.0.0.1:{server.port}/"
    assert bundle["text/plain"] == f"The page is at {url}"
    assert f'<iframe src="{url}"' in bundle["text/html"]
    assert f'<a href="{url}"' in bundle["text/html"]


def test_a_repeated_cell_that_corrects_a_handler_is_told_that_the_first_one_answers():
    app = FastAPI()
    for answer in ("wrong", "right"):
        exec(f"""
@app.websocket("/ws")
async def say(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text({answer!r})
""")
    with pytest.warns(UserWarning, match=r"two handlers for WebSocket /ws, and the first one"):
        server = serve(app)
    with server, websockets.sync.client.connect(server.ws_url()) as client:
        assert client.recv(timeout=10) == "wrong"
