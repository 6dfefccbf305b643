"""Each option of uvicorn works in a notebook's server, or says in a sentence what to do instead."""

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import urllib.request

import pytest
import websockets
from fastapi import FastAPI
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from chatlib.echo import app as echo_app
from chatlib.lab.loopback import ServerError
from chatlib.lab.options import REFUSED
from chatlib.lab.serve import Server

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def echoes(server, **options):
    """Whether a client that connects to `server` hears its echo.

    It is no client with threads: before Python 3.13 two of them must not use one TLS connection.
    """

    async def talk():
        async with (
            asyncio.timeout(20),
            websockets.connect(server.ws_url(), proxy=None, **options) as client,
        ):
            await client.send("hello")
            return await client.recv() == "Message text was: hello"

    return asyncio.run(talk())


@pytest.mark.parametrize(
    "ws",
    [
        "auto",
        "websockets-sansio",
        "wsproto",
        "chatlib.core.fanout:FanoutProtocol",
        WebSocketsSansIOProtocol,
    ],
)
def test_a_protocol_is_a_class_or_a_name_and_its_traffic_is_recorded(ws):
    seen = []
    with Server(echo_app, ws=ws) as server:
        server.observers.append(seen.append)
        assert echoes(server)
    assert [event.kind for event in seen][:4] == ["request", "accept", "text", "text"]


@pytest.mark.parametrize("ws", ["none", None])
def test_without_a_protocol_there_is_no_websocket(ws):
    with Server(echo_app, ws=ws) as server, pytest.raises(websockets.InvalidStatus, match="404"):
        echoes(server)


@pytest.mark.parametrize(
    ("ws", "error", "says"),
    [
        ("nothing", ValueError, r"'module:name', or one of auto, none, .*; got 'nothing'"),
        ("no.such:Protocol", ValueError, "No module named 'no'"),
        ("websockets", ValueError, "write ws='websockets-sansio'"),
        (42, TypeError, "a protocol class of uvicorn's, or a string; got 42"),
        (str, TypeError, "a protocol class of uvicorn's, or a string; got <class 'str'>"),
    ],
)
def test_what_is_no_protocol_is_refused(ws, error, says):
    with pytest.raises(error, match=says):
        Server(echo_app, ws=ws)


GIVEN = {
    "uds": ("app.sock", "with `uvicorn --uds …`"),
    "fd": (0, "with `uvicorn --fd …`"),
    "reload": (True, r"run the cell with serve\(…\) again"),
    "reload_dirs": (["."], r"run the cell with serve\(…\) again"),
    "reload_delay": (1.0, r"run the cell with serve\(…\) again"),
    "reload_includes": (["*.py"], r"run the cell with serve\(…\) again"),
    "reload_excludes": (["*.txt"], r"run the cell with serve\(…\) again"),
    "workers": (2, "with `uvicorn --workers …`"),
    "timeout_worker_healthcheck": (9, "with `uvicorn --workers …`"),
    "log_config": ({}, "in the server's `log`"),
    "use_colors": (True, "in the server's `log`"),
    "interface": ("wsgi", "a2wsgi"),
    "factory": (True, r"serve\(make_app\(\)\)"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_makes_no_sense_here_is_refused_with_what_to_do_instead(name):
    value, says = GIVEN[name]
    with pytest.raises(ValueError, match=rf"serve\(\) takes no {name}: .*{says}"):
        Server(echo_app, **{name: value})


def test_what_changes_nothing_is_let_pass():
    nothing = {"uds": None, "fd": None, "reload": False, "workers": 1, "log_config": None}
    with Server(echo_app, interface="asgi3", factory=False, **nothing) as server:
        assert echoes(server)


WRONG = {
    "an option that does not exist": ({"prot": 1}, TypeError, "'prot' is none"),
    "a level that does not exist": ({"log_level": "loud"}, ValueError, "info, debug, trace; got"),
    "a lifespan that does not exist": ({"lifespan": "maybe"}, ValueError, "one of auto, on, off"),
    "a loop that does not exist": (
        {"loop": "fast"},
        ValueError,
        "asyncio, uvloop, zuvloop; got 'fast'",
    ),
    "a parser that does not exist": (
        {"http": "h12"},
        ValueError,
        "auto, h11, httptools, zttp; got 'h12'",
    ),
    "HTTP/2 without its parser": ({"http2": True}, ValueError, "pip install zttp"),
    "a number as a text": ({"ws_max_size": "9"}, TypeError, "of the type int; got '9'"),
    "seconds as a text": ({"ws_ping_timeout": "9"}, TypeError, "float | None; got '9'"),
    "yes as a text": ({"access_log": "yes"}, TypeError, "of the type bool; got 'yes'"),
    "a key alone": ({"ssl_keyfile": "k.pem"}, ValueError, "ssl_certfile='….pem'"),
    "no certificate": (
        {"ssl_certfile": "/no/c.pem"},
        ValueError,
        "ssl_certfile is the path of a f",
    ),
    "no authorities": (
        {"ssl_ca_certs": "/no/c.pem"},
        ValueError,
        "ssl_ca_certs is the path of a f",
    ),
    "no environment": ({"env_file": "/no/env"}, ValueError, "of a file, and '/no/env' is none"),
    "a folder": ({"env_file": "/"}, ValueError, "of a file, and '/' is none"),
    "a path that is a number": ({"env_file": 3}, TypeError, "str | os.PathLike[str] | None; got 3"),
    "a lifespan in capitals": ({"lifespan": "ON"}, ValueError, "of auto, on, off; got 'ON'"),
    "a lifespan that is yes": ({"lifespan": True}, ValueError, "of auto, on, off; got True"),
    "no interface": ({"interface": None}, ValueError, "one of auto, asgi3; got None"),
    "a loop in capitals": (
        {"loop": "UVLOOP"},
        ValueError,
        "none, auto, asyncio, uvloop, zuvloop; ",
    ),
    "a loop that is a number": ({"loop": 3}, TypeError, "function that makes an event loop; got 3"),
    "a parser in capitals": ({"http": "H11"}, ValueError, "auto, h11, httptools, zttp; got 'H11'"),
    "a parser that is none": (
        {"http": "json:loads"},
        TypeError,
        "a protocol class of uvicorn's, or",
    ),
    "no parser": ({"http": None}, TypeError, "http is a protocol class of uvicorn's, or"),
    "a number to call": ({"callback_notify": 3}, TypeError, "callback_notify is of the type"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_be_is_refused_with_its_name(what):
    options, error, says = WRONG[what]
    with pytest.raises(error) as refused:
        Server(echo_app, **options)
    assert says in str(refused.value)


def test_a_refusal_does_not_show_a_password():
    with pytest.raises(ValueError, match=r"ssl_certfile='.*': SSLError") as refused:
        Server(echo_app, ssl_certfile=__file__, ssl_keyfile_password="s3cret")
    assert "s3cret" not in str(refused.value)


@pytest.mark.parametrize("loop", ["auto", "asyncio", "uvloop", "none", "uvloop:new_event_loop"])
def test_the_event_loop_can_be_chosen(loop):
    with Server(echo_app, loop=loop) as server:
        assert echoes(server)
        name = type(server.loop).__module__
    assert name.startswith("uvloop" if "uv" in loop or loop == "auto" else "asyncio")


@pytest.mark.parametrize("http", ["h11", "httptools"])
def test_the_http_parser_can_be_chosen(http):
    with Server(echo_app, http=http) as server:
        assert echoes(server)


HOSTS = {"0.0.0.0": "127.0.0.1", "localhost": "localhost"}
with contextlib.suppress(OSError), socket.create_server(("::1", 0), family=socket.AF_INET6):
    HOSTS |= {"::1": "[::1]", "::": "[::1]"}  # where there is IPv6


@pytest.mark.parametrize(("host", "reached_at"), HOSTS.items())
def test_it_listens_at_the_host_that_is_given(host, reached_at):
    with Server(echo_app, host=host) as server:
        assert server.address == f"{reached_at}:{server.port}"
        assert echoes(server)
        assert server.show().url == f"http://{server.address}/"


def test_a_host_that_is_not_this_machine_is_said_to_be_none():
    with pytest.raises(ServerError, match=r"of 'no.such.invalid': [^.]*\.$"):
        Server(echo_app, host="no.such.invalid")


def test_a_level_may_be_in_capitals():
    with Server(echo_app, log_level="DEBUG") as server:
        assert echoes(server)


def test_the_variables_in_a_file_are_read(tmp_path, monkeypatch):
    monkeypatch.setenv("CHATLIB_TEST", "")
    monkeypatch.delenv("CHATLIB_TEST")
    (tmp_path / "env").write_text("CHATLIB_TEST=read\n")
    with Server(echo_app, env_file=tmp_path / "env") as server:
        assert echoes(server)
    assert os.environ["CHATLIB_TEST"] == "read"


def test_with_a_certificate_it_speaks_tls_and_what_passes_is_recorded(certificate):
    options = {"ssl_keyfile": certificate.key, "ssl_certfile": certificate.path}
    trust = ssl.create_default_context(cafile=certificate.path)
    seen = []
    with Server(echo_app, **options) as server:
        assert server.ws_url() == f"wss://127.0.0.1:{server.port}/ws"
        assert repr(server) == f"<server: https://127.0.0.1:{server.port}/>"
        assert server.show().url == server.http_url()
        server.observers.append(seen.append)
        assert echoes(server, ssl=trust)
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=trust)
        )
        with opener.open(server.http_url(), timeout=10) as page:
            assert page.status == 200
    assert [event.kind for event in seen][:4] == ["request", "accept", "text", "text"]


def test_a_level_holds_for_one_server():
    with Server(echo_app, log_level="debug") as server:
        assert echoes(server)
    assert {line.level for line in server.log} == {"INFO", "DEBUG"}
    with Server(echo_app) as server:
        assert echoes(server)
    assert {line.level for line in server.log} == {"INFO"}


def test_a_level_holds_for_a_server_that_replaces_one_of_the_same_level():
    with Server(echo_app, log_level="debug"), Server(echo_app, log_level="debug") as server:
        assert echoes(server)
    assert "DEBUG" in {line.level for line in server.log}


def test_at_the_level_trace_the_log_has_what_the_app_is_told():
    with Server(echo_app, log_level="trace") as server:
        assert echoes(server)
    assert "ASGI" in repr(server.log)


@pytest.fixture
def no_handler_at_the_root(monkeypatch):
    """As in a notebook's kernel: pytest has some."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [])


def test_the_log_has_the_requests_if_it_is_asked_to(no_handler_at_the_root):
    with Server(echo_app, access_log=True) as server:
        with DIRECT.open(server.http_url(), timeout=10) as page:
            page.read()
        asyncio.run(server.settled())
    assert '"GET / HTTP/1.1" 200' in repr(server.log)


def test_a_long_grace_is_waited_for(monkeypatch):
    server = Server(FastAPI(), timeout_graceful_shutdown=30)
    join, waited = server._thread.join, []
    monkeypatch.setattr(server._thread, "join", lambda seconds: (waited.append(seconds), join()))
    server.stop()
    assert waited[0] > 30


def test_a_server_that_has_had_all_its_requests_says_that_it_stopped():
    server = Server(echo_app, limit_max_requests=1)
    with DIRECT.open(server.http_url(), timeout=10) as page:
        page.read()
    server._thread.join(20)
    with pytest.raises(ServerError, match="start the server again"):
        server.http_url()
    server.stop()


def test_the_number_of_workers_in_the_environment_is_not_read(monkeypatch):
    monkeypatch.setenv("WEB_CONCURRENCY", "many")
    with Server(echo_app) as server:
        assert echoes(server)
