"""`python -m chatlib`, and the other ways to run an app, as an engineer types them."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import uvicorn
import websockets
from scrape import Scrape

from chatlib.__main__ import main
from chatlib.core.metrics.shared import runs

ROOT = Path(__file__).parent.parent
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
COMMANDS = {
    "python -m chatlib": [sys.executable, "-m", "chatlib", "{app}", "--port", "0"],
    "uvicorn": [sys.executable, "-m", "uvicorn", "chatlib.{app}:app", "--port", "0"],
    "uvicorn with ready frames": [
        *[sys.executable, "-m", "uvicorn", "--ws", "chatlib.core.fanout:FanoutProtocol"],
        *["chatlib.{app}:app", "--port", "0"],
    ],
    "gunicorn": [
        *[sys.executable, "-m", "gunicorn", "-k", "chatlib.worker.FanoutWorker"],
        *["chatlib.{app}:app", "--bind", "127.0.0.1:0"],
    ],
    "fastapi dev": [
        *[sys.executable, "-m", "fastapi", "dev", "chatlib/{app}.py"],
        *["--port", "0", "--no-reload"],
    ],
}


class Output(list):
    """The lines that a process has printed."""

    def __init__(self, process):
        super().__init__()
        self.process = process


LISTENS = r"(?:running on (?:http://|unix socket |socket )|Listening at: http://)(.+?) \("


@contextlib.contextmanager
def running(command, app="", *, pass_fds=(), **environment):
    """Run `app` by `command`, and give the address at which it says it listens, and its output."""
    process = subprocess.Popen(
        [part.format(app=app) for part in command],
        cwd=ROOT,
        env={**os.environ, **environment},
        pass_fds=pass_fds,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
    )
    output = Output(process)
    try:
        for line in process.stdout:
            output.append(line)
            if address := re.search(LISTENS, line):
                wait_for(address[1])
                yield address[1], output
                break
        else:
            pytest.fail("it did not start:\n" + "".join(output))
    finally:
        process.terminate()
        output += process.stdout
        process.wait(20)
        process.stdout.close()


def wait_for(address):
    """Wait until a server listens there: with several workers, uvicorn says so before it does."""
    host, _, port = re.sub("[(')]", "", address).replace(", ", ":").rpartition(":")
    unix = address.startswith("/")
    deadline = time.monotonic() + 20
    while True:
        try:
            with socket.socket(socket.AF_UNIX if unix else socket.AF_INET) as sock:
                sock.connect(address if unix else (host, int(port)))
            return
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.01)  # there is no event to wait for


def chatlib_runs(*arguments, **more):
    """Run `python -m chatlib` with `arguments`."""
    return running([sys.executable, "-m", "chatlib", *arguments], **more)


@pytest.mark.parametrize("how", COMMANDS)
def test_the_chat_runs(how):
    async def talk(address):
        url = f"ws://{address}/ws/7"
        async with asyncio.timeout(20), websockets.connect(url, proxy=None) as client:
            await client.send("hello")
            return await client.recv()

    with running(COMMANDS[how], "chat") as (address, _):
        assert asyncio.run(talk(address)) == "You wrote: hello"


@pytest.mark.parametrize("how", COMMANDS)
def test_no_token_and_no_traceback_reaches_the_log(how):
    async def knock_and_misbehave(address):
        url = f"ws://{address}/items/foo/ws?%74oken=s3cret&q=1"
        async with asyncio.timeout(20), websockets.connect(url, proxy=None) as client:
            await client.send(b"\xff", text=True)
            with pytest.raises(websockets.ConnectionClosedError):
                await client.recv()

    with running(COMMANDS[how], "items") as (address, output):
        asyncio.run(knock_and_misbehave(address))
    text = "".join(output)
    assert "[accepted]" in text
    assert "s3cret" not in text
    assert "Traceback" not in text


async def greet(address, at="/ws/7", **options):
    """Connect to `at` of `address`, and return what a client hears that says hello."""
    async with (
        asyncio.timeout(20),
        websockets.connect(f"ws://{address}{at}", proxy=None, **options) as client,
    ):
        await client.send("hello")
        return await client.recv()


TOO_BIG = (1009, "frame exceeds limit of 65536 bytes")  # the server's words, and not Guard's


async def shout(address, at):
    """Send more than 64 KiB to `at` of `address`, and return how the server closes."""
    async with (
        asyncio.timeout(20),
        websockets.connect(f"ws://{address}{at}", proxy=None) as client,
    ):
        await client.send("x" * (64 * 1024 + 1))
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await client.recv()
        return closed.value.rcvd


@pytest.fixture
def seen(monkeypatch):
    """What uvicorn would have been given."""
    seen = {}
    monkeypatch.delenv("PORT", raising=False)
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    monkeypatch.setattr("chatlib.__main__.expect_free_port", lambda host, port: None)
    monkeypatch.setattr(uvicorn, "run", lambda app, **options: seen.update(options))
    return seen


def test_by_default_it_listens_at_port_8000_of_this_machine_alone(seen):
    main(["chat"])
    assert (seen["host"], seen["port"], seen["workers"]) == ("127.0.0.1", 8000, 1)


def test_several_workers_are_said_to_have_rooms_of_their_own(seen, capsys):
    main(["chat", "--workers", "2"])
    assert seen["workers"] == 2
    assert "clients of one do not hear those of another" in capsys.readouterr().err


def test_a_request_whose_head_does_not_end_has_a_time_out(seen):
    main(["chat"])
    assert seen["http"] == "chatlib.core.head:TimedHead"


def test_the_port_comes_from_the_environment_where_none_is_given(seen, monkeypatch):
    monkeypatch.setenv("PORT", "8123")
    main(["chat"])
    assert seen["port"] == 8123
    main(["chat", "--port", "8124"])
    assert seen["port"] == 8124


def test_an_empty_port_in_the_environment_counts_as_none(seen, monkeypatch):
    monkeypatch.setenv("PORT", "")
    main(["chat"])
    assert seen["port"] == 8000


def test_a_port_in_the_environment_that_is_not_used_is_not_read(seen, monkeypatch, socket_path):
    monkeypatch.setenv("PORT", "x")
    main(["chat", "--uds", socket_path])
    assert seen["uds"] == socket_path
    with socket.create_server(("127.0.0.1", 0)) as listening:
        main(["chat", "--fd", str(listening.fileno())])
        assert seen["fd"] == listening.fileno()


def test_the_help_says_that_the_port_may_come_from_the_environment(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "default: $PORT, else 8000" in capsys.readouterr().out


def test_every_worker_has_ready_frames_and_the_bound_on_a_message():
    with chatlib_runs("chat", "--port", "0", "--workers", "2") as (address, output):
        closed = asyncio.run(shout(address, "/ws/7"))
    assert (closed.code, closed.reason) == TOO_BIG
    text = "".join(output)
    assert text.count("Started server process") == 2
    assert "[closed]" in text  # which the protocol with ready frames logs


@pytest.mark.parametrize("app", ["chat", "items"])
def test_an_origin_that_is_let_in_is_let_in_by_every_worker(app):
    path = {"chat": "/ws/7", "items": "/items/foo/ws?token=t"}[app]
    arguments = [app, "--port", "0", "--workers", "2", "--origin", "https://one.example"]
    with chatlib_runs(*arguments, "--origin", "https://two.example") as (address, _):
        for origin in ("https://one.example", "https://two.example"):
            assert asyncio.run(greet(address, path, origin=origin))
        with pytest.raises(websockets.InvalidStatus):
            asyncio.run(greet(address, path, origin="https://three.example"))


def test_the_echo_lets_in_all_origins_unless_some_are_named():
    with chatlib_runs("echo", "--port", "0") as (address, _):
        assert asyncio.run(greet(address, "/ws", origin="https://three.example"))
    with (
        chatlib_runs("echo", "--port", "0", "--origin", "https://one.example") as (address, _),
        pytest.raises(websockets.InvalidStatus),
    ):
        asyncio.run(greet(address, "/ws", origin="https://three.example"))


@pytest.mark.parametrize("how", [how for how in COMMANDS if how != "python -m chatlib"])
def test_other_ways_to_start_take_the_origins_from_the_environment(how):
    environment = {"CHATLIB_ORIGINS": "https://one.example https://two.example"}
    with running(COMMANDS[how], "chat", **environment) as (address, _):
        assert asyncio.run(greet(address, origin="https://two.example"))


def test_it_listens_at_a_unix_socket_in_place_of_one_that_a_dead_server_left(socket_path):
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(socket_path)
    with chatlib_runs("chat", "--uds", socket_path, "--workers", "2") as (address, _):
        assert address == socket_path
        assert asyncio.run(greet("localhost", unix=True, path=socket_path))


def test_it_listens_at_a_socket_that_was_open_before():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.fileno()
        with chatlib_runs("chat", "--fd", str(number), pass_fds=[number]):
            address = f"127.0.0.1:{listening.getsockname()[1]}"
            assert asyncio.run(greet(address)) == "You wrote: hello"


def test_behind_a_proxy_the_documentation_is_found_below_the_root_path():
    with (
        chatlib_runs("chat", "--port", "0", "--root-path", "/below") as (address, _),
        DIRECT.open(f"http://{address}/docs", timeout=20) as page,
    ):
        assert b"/below/openapi.json" in page.read()


WRONG = {
    "an app that does not exist": (["party"], "'echo', 'items', 'chat'"),
    "a port that is no number": (["chat", "--port", "x"], "from 0 to 65535, got 'x'"),
    "a port that is too high": (["chat", "--port", "65536"], "from 0 to 65535, got '65536'"),
    "no worker": (["chat", "--workers", "0"], "from 1 to 1000, got '0'"),
    "an origin without a scheme": (["chat", "--origin", "a.example"], "https://example.com"),
    "a root path without a slash": (["chat", "--root-path", "below"], "such as /chat"),
    "a level that does not exist": (["chat", "--log-level", "loud"], "'info', 'debug'"),
    "an option that does not exist": (["chat", "--reload"], "--reload"),
    "two places to listen at": (["chat", "--port", "1", "--uds", "s"], "not allowed with"),
    "a host that is empty": (["chat", "--host", ""], "0.0.0.0"),
    "a host that is not found": (["chat", "--host", "a.invalid"], "cannot listen at port 8000"),
    "a host that is no name": (["chat", "--host", "a..b"], "listen at 'a..b': expected an address"),
    "a host that is too long": (["chat", "--host", "x" * 70], "such as localhost"),
    "a folder that does not exist": (["chat", "--uds", "/nowhere/s"], "No such file"),
    "a file that is no socket": (["chat", "--uds", __file__], "already in use"),
    "a path that is too long": (["chat", "--uds", "/tmp/" + "x" * 200], "too long"),
    "a descriptor that is not open": (["chat", "--fd", "99999"], "descriptor 99999"),
}


def refusal(capsys, *arguments):
    """Return the line with which `python -m chatlib` refuses `arguments`."""
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    assert out == ""
    return line.replace("(choose from echo, items, chat)", "(choose from 'echo', 'items', 'chat')")


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_refused_in_one_line(what, capsys, monkeypatch):
    arguments, says = WRONG[what]
    monkeypatch.delenv("PORT", raising=False)
    assert says in refusal(capsys, *arguments)


@pytest.mark.parametrize(
    ("name", "value"),
    [("PORT", "x"), ("WEB_CONCURRENCY", "many"), ("CHATLIB_ORIGINS", "a.example")],
)
def test_a_wrong_value_in_the_environment_is_refused_with_its_name(
    name, value, capsys, monkeypatch
):
    monkeypatch.setenv(name, value)
    assert f"${name}: " in refusal(capsys, "chat")


def test_a_port_that_is_taken_is_said_to_be_in_one_line(capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert refusal(capsys, "chat", "--port", str(port)).endswith(
            f"port {port} of '127.0.0.1': Address already in use; --port 0 takes any free one"
        )


def test_a_unix_socket_at_which_a_server_listens_is_left_to_it(capsys, socket_path):
    with socket.socket(socket.AF_UNIX) as taken:
        taken.bind(socket_path)
        taken.listen()
        assert "a server listens there already" in refusal(capsys, "chat", "--uds", socket_path)


def test_the_garbage_collector_is_tuned_in_the_process_that_serves():
    script = (
        "import gc; from chatlib.__main__ import chat; chat(); "
        "print(gc.get_threshold(), gc.get_freeze_count() > 10_000)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "(10000, 1000, 1000) True\n"


VARIABLES = {
    "UVICORN_WS": "chatlib.core.fanout:FanoutProtocol",
    "UVICORN_WS_MAX_SIZE": "65536",
    "UVICORN_TIMEOUT_GRACEFUL_SHUTDOWN": "5",
}


@pytest.mark.parametrize("workers", ["1", "2"])
def test_uvicorn_takes_the_protocol_and_the_bounds_from_the_environment(workers):
    command = [sys.executable, "-m", "uvicorn", "chatlib.echo:app", "--port", "0"]
    with running([*command, "--workers", workers], **VARIABLES) as (address, output):
        closed = asyncio.run(shout(address, "/ws"))
    assert (closed.code, closed.reason) == TOO_BIG
    assert "[closed]" in "".join(output)


def test_gunicorns_worker_has_the_bound_on_a_message():
    with running(COMMANDS["gunicorn"], "echo") as (address, output):
        closed = asyncio.run(shout(address, "/ws"))
    assert (closed.code, closed.reason) == TOO_BIG
    assert "[closed]" in "".join(output)


DEAF = """
import asyncio
from fastapi import FastAPI, WebSocket

app = FastAPI()

@app.websocket("/ws")
async def deaf(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        print("cancelled in time", flush=True)
        raise
"""


def test_gunicorns_worker_ends_its_handlers_before_gunicorn_kills_it(tmp_path):
    (tmp_path / "deaf.py").write_text(DEAF)
    command = [*COMMANDS["gunicorn"], "--graceful-timeout", "3", "--chdir", str(tmp_path)]
    with running([part.replace("chatlib.{app}", "deaf") for part in command]) as (address, output):
        assert asyncio.run(greet(address, "/ws")) == "hello"
    assert "cancelled in time\n" in output


def test_without_gunicorn_the_worker_says_what_to_install():
    script = "import sys; sys.modules['uvicorn_worker'] = None; import chatlib.worker"
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ran.stderr.splitlines()[-1].endswith("pip install gunicorn uvicorn-worker")


# Rooms.


@pytest.fixture
def rooms_seen(seen, monkeypatch):
    """What uvicorn would have been given, where nothing is in the environment."""
    for name in ("CHATLIB_STORE", "CHATLIB_SECRET"):
        monkeypatch.setenv(name, "")  # which counts as not set, and is undone afterwards
    return seen


def test_rooms_say_where_messages_are_kept_and_what_an_acknowledgement_is_worth(
    rooms_seen, capsys, tmp_path
):
    worth = {
        "memory:": "an acknowledged message is in memory, and ends with the process that has it",
        f"sqlite:///{tmp_path}/chat.db": "an acknowledged message is on the disk",
    }
    for address, says in worth.items():
        os.environ["CHATLIB_SECRET"] = ""
        main(["rooms", "--store", address])
        assert capsys.readouterr().err.splitlines() == [
            f"python -m chatlib: rooms are kept in {address}; {says}",
            "python -m chatlib: who signs in stays so until this server stops; "
            "$CHATLIB_SECRET makes it last",
        ]
        assert os.environ["CHATLIB_STORE"] == address
        assert len(os.environ["CHATLIB_SECRET"]) >= 32


def test_rooms_are_in_memory_unless_the_environment_says_otherwise(rooms_seen, capsys, tmp_path):
    main(["rooms"])
    assert "rooms are kept in memory:;" in capsys.readouterr().err
    os.environ["CHATLIB_STORE"] = f"sqlite:///{tmp_path}/chat.db"
    main(["rooms", "--workers", "2"])
    assert f"rooms are kept in sqlite:///{tmp_path}/chat.db;" in capsys.readouterr().err
    assert rooms_seen["workers"] == 2


def test_a_secret_of_ones_own_is_left_as_it_is_and_not_shown(rooms_seen, capsys):
    secret = "a secret of mine that is long enough"
    os.environ["CHATLIB_SECRET"] = secret
    main(["rooms"])
    (note,) = capsys.readouterr().err.splitlines()
    assert "rooms are kept in memory:" in note
    assert secret not in note
    assert os.environ["CHATLIB_SECRET"] == secret


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rooms", "--store", "redis:x"], "expected the address of a store, 'memory:',"),
        (["rooms", "--store", "chat.db"], "expected the address of a store"),
        (["rooms", "--store", "sqlite://chat.db"], "expected the address of a store"),
        (["rooms", "--store", "sqlite:///:memory:"], "take 'memory:'"),
        (["rooms", "--store", "sqlite:////nowhere/chat.db"], "there is no folder /nowhere"),
        (["rooms", "--store", "sqlite:////tmp"], "it is a folder, and no file"),
        (["rooms", "--store", f"sqlite:///{ROOT}"], "cannot keep messages in"),
        (["rooms", "--workers", "2"], "memory: is for one process, and there are 2 workers; --sto"),
        (["rooms", "--workers", "2", "--store", "memory:"], "memory: is for one process"),
        (["chat", "--store", "memory:"], "--store is for rooms: chat keeps nothing"),
    ],
)
def test_a_store_that_cannot_be_is_refused_in_one_line(arguments, says, rooms_seen, capsys):
    assert says in refusal(capsys, *arguments)
    assert "app" not in rooms_seen


def test_a_secret_that_is_too_short_is_refused_in_one_line_and_not_shown(rooms_seen, capsys):
    os.environ["CHATLIB_SECRET"] = "sesame"
    line = refusal(capsys, "rooms")
    assert "$CHATLIB_SECRET: expected a secret of at least 32 bytes, got 6" in line
    assert "sesame" not in line


def test_without_the_package_for_tokens_rooms_say_what_to_install(rooms_seen, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "chatlib.core.rooms.identity", raising=False)
    monkeypatch.setitem(sys.modules, "jwt", None)
    assert "pip install 'chatlib[rooms]'" in refusal(capsys, "rooms")


TOKEN_OF = "a secret that this test knows, and long"


@contextlib.asynccontextmanager
async def in_a_room(address, name):
    """Connect to the lobby, and give the connection once it is welcomed."""
    from chatlib.core.rooms.identity import Tokens

    headers = {"Authorization": f"Bearer {Tokens(TOKEN_OF).sign(name, 60)}"}
    url = f"ws://{address}/rooms/lobby?last=0"
    async with websockets.connect(url, proxy=None, additional_headers=headers) as client:
        assert json.loads(await client.recv())["type"] == "welcome"
        yield client


async def frame_of(client, kind):
    while (frame := json.loads(await client.recv()))["type"] != kind:
        pass
    return frame


LOGGING = """
import json
import logging

from chatlib.core import log
from chatlib.rooms import app

block = log.__doc__.partition("    FIELDS = ")[2].partition("uvicorn sets up")[0]
exec("\\n".join(line[4:] for line in ("    FIELDS = " + block).splitlines()))
"""


def test_the_log_is_json_with_the_formatter_that_the_docstring_shows(tmp_path):
    async def come_and_go(address):
        async with asyncio.timeout(20), in_a_room(address, "ana") as ana:
            await ana.close(4001)

    (tmp_path / "logging_app.py").write_text(LOGGING)
    command = [sys.executable, "-m", "uvicorn", "--ws", "chatlib.core.fanout:FanoutProtocol"]
    command += ["--app-dir", str(tmp_path), "logging_app:app", "--port", "0"]
    with running(command, CHATLIB_SECRET=TOKEN_OF) as (address, output):
        asyncio.run(come_and_go(address))
    lines = [json.loads(line) for line in output if line.startswith("{")]
    (end,) = [line for line in lines if "[closed]" in line["message"]]
    assert (end["room"], end["code"], end["connection"] > 0) == ("lobby", 4001, True)
    assert not any("[closed]" in line for line in output if not line.startswith("{"))


def ask(address, path):
    with DIRECT.open(f"http://{address}{path}", timeout=20) as answer:
        return answer.read().decode()


async def scrape_until(address, condition):
    """Ask whichever worker answers for the figures, until `condition` of them is true."""
    found = None
    while found is None or not condition(found):
        found = Scrape(await asyncio.to_thread(ask, address, "/metrics"))
    return found


async def end_of(process):
    """Wait until `process` has ended.

    That its connections are closed says less: Linux closes the files of a process from the newest
    on, so the locks that it took at its start are held for a moment more.
    """
    if not hasattr(os, "pidfd_open"):
        while runs(process):  # noqa: ASYNC110 - other systems have no event for it
            await asyncio.sleep(0.01)
        return
    ended, descriptor = asyncio.Event(), os.pidfd_open(process)
    try:
        asyncio.get_running_loop().add_reader(descriptor, ended.set)
        await ended.wait()
        asyncio.get_running_loop().remove_reader(descriptor)
    finally:
        os.close(descriptor)


def test_the_metrics_of_all_workers_are_added_up_and_a_killed_one_is_connected_to_nobody(tmp_path):
    async def worker_with_members(address):
        while True:
            health = json.loads(await asyncio.to_thread(ask, address, "/healthz"))
            if health["members"]:
                return health["worker"], health["members"]

    def all_there(found):
        return (found["processes"], found["connections"], found["members"]) == (2, 8, 8)

    def all_told(found):
        return found["deliveries_total"] >= 8 and found["appends_total"] == 1

    async def talk(address):
        async with asyncio.timeout(60), contextlib.AsyncExitStack() as stack:
            names = [f"guest {number}" for number in range(8)]
            clients = [await stack.enter_async_context(in_a_room(address, n)) for n in names]
            await clients[0].send('{"type":"say","key":"k1","text":"hello"}')
            for client in clients:
                await frame_of(client, "message")
            before = await scrape_until(address, lambda f: all_there(f) and all_told(f))
            assert before["connections_accepted_total"] == before["joins_total"] == 8
            assert before["append_duration_seconds_count"] == 1
            assert before.by("store_info", "durable") == {"disk": 1}

            worker, members = await worker_with_members(address)
            os.kill(worker, signal.SIGKILL)
            await end_of(worker)
            ends = {asyncio.create_task(client.wait_closed()) for client in clients}
            while len(ends) > 8 - members:
                _, ends = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for _ in range(6):  # the one that is left, and soon the one in place of the other
                after = await scrape_until(address, lambda found: True)
                assert after["connections"] == after["members"] == 8 - members
                assert after.fallen_since(before) == set()
                before = after
            await scrape_until(address, lambda found: found["processes"] == 2)
            for end in ends:
                end.cancel()

    folders = tmp_path / "folders"
    folders.mkdir()
    arguments = ["rooms", "--port", "0", "--workers", "2"]
    arguments += ["--store", f"sqlite:///{tmp_path}/chat.db"]
    environment = {"CHATLIB_SECRET": TOKEN_OF, "TMPDIR": str(folders)}
    with chatlib_runs(*arguments, **environment) as (address, output):
        assert len(list(folders.glob("chatlib-metrics-*"))) == 1
        asyncio.run(talk(address))
    assert list(folders.iterdir()) == []
    assert "Traceback" not in "".join(output)


def status_of(address, path):
    try:
        with DIRECT.open(f"http://{address}{path}", timeout=20) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        with error:
            return error.code


async def told_to_look_away(address, server):
    """Have a server stop; return once its readiness says so, and a client came in after that."""
    async with asyncio.timeout(40):
        assert status_of(address, "/readyz") == 200
        server.terminate()
        while status_of(address, "/readyz") != 503:
            pass
        async with in_a_room(address, "late"):
            pass


DRAINING = {
    "python -m chatlib": "chatlib rooms --port 0 --drain 900",
    "uvicorn": "uvicorn chatlib.rooms:app --port 0",
}


@pytest.mark.parametrize("how", DRAINING)
def test_a_server_that_drains_is_not_ready_and_serves_until_it_is_told_again(how):
    command = [sys.executable, "-m", *DRAINING[how].split()]
    with running(command, CHATLIB_SECRET=TOKEN_OF, CHATLIB_DRAIN="900") as (address, output):
        asyncio.run(told_to_look_away(address, output.process))
        output.process.terminate()
        output.process.wait(40)
    assert "Traceback" not in "".join(output)


def test_gunicorn_drains_and_then_stops_by_itself():
    command = [sys.executable, "-m", "gunicorn", "-k", "chatlib.worker.FanoutWorker"]
    command += ["chatlib.rooms:app", "--bind", "127.0.0.1:0"]
    with running(command, CHATLIB_SECRET=TOKEN_OF, CHATLIB_DRAIN="2") as (address, output):
        asyncio.run(told_to_look_away(address, output.process))
        assert output.process.wait(40) == 0
    assert "Traceback" not in "".join(output)


def test_all_workers_drain_and_then_stop_by_themselves(tmp_path):
    arguments = ["rooms", "--port", "0", "--workers", "2", "--drain", "2"]
    arguments += ["--store", f"sqlite:///{tmp_path}/chat.db"]
    with chatlib_runs(*arguments, CHATLIB_SECRET=TOKEN_OF) as (address, output):
        asyncio.run(told_to_look_away(address, output.process))
        assert output.process.wait(40) == 0
    assert "".join(output).count("not ready from now on; the server stops in 2 seconds") == 2


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["rooms", "--drain", "-1"], "argument --drain: expected seconds from 0 on, got '-1'"),
        (["chat", "--drain", "1"], "--drain is for rooms: chat has no /readyz"),
    ],
)
def test_a_drain_that_cannot_be_is_refused(arguments, why, capsys):
    assert why in refusal(capsys, *arguments)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_is_told_to_stop_says_1012_to_clients_of_all_workers(workers, tmp_path):
    async def talk(address, pid):
        async with asyncio.timeout(40), contextlib.AsyncExitStack() as stack:
            names = [f"guest {number}" for number in range(8)]
            clients = [await stack.enter_async_context(in_a_room(address, n)) for n in names]
            await clients[0].send('{"type":"say","key":"k1","text":"hello"}')
            assert not (await frame_of(clients[0], "ack"))["again"]
            for client in clients[1:]:
                assert (await frame_of(client, "message"))["text"] == "hello"
            os.kill(pid, signal.SIGTERM)
            for client in clients:
                with pytest.raises(websockets.ConnectionClosed) as closed:
                    await frame_of(client, "nothing")
                assert closed.value.rcvd.code == 1012

    arguments = ["rooms", "--port", "0", "--workers", workers]
    arguments += ["--store", f"sqlite:///{tmp_path}/chat.db"]
    with chatlib_runs(*arguments, CHATLIB_SECRET=TOKEN_OF) as (address, output):
        process = output.process
        asyncio.run(talk(address, process.pid))
        assert process.wait(20) in {0, -signal.SIGTERM}
    text = "".join(output)
    assert text.count("Started server process") == int(workers)
    assert text.count("Finished server process") == int(workers)
    assert "Traceback" not in text
    assert "rooms are kept in sqlite:///" in text


def test_what_was_said_before_a_restart_is_there_after_it_and_tokens_are_good(tmp_path):
    async def say(address):
        async with asyncio.timeout(20), in_a_room(address, "ana") as ana:
            await ana.send('{"type":"say","key":"k1","text":"hello"}')
            return await frame_of(ana, "ack")

    arguments = ["rooms", "--port", "0", "--store", f"sqlite:///{tmp_path}/chat.db"]
    acks = []
    for _ in range(2):
        with chatlib_runs(*arguments, CHATLIB_SECRET=TOKEN_OF) as (address, _):
            acks.append(asyncio.run(say(address)))
    assert acks[1] == acks[0] | {"again": True}
