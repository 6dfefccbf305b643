"""An nginx of one's own: it takes a configuration, says what is wrong with it, outlives nobody."""

import contextlib
import socket
import subprocess
import sys
import urllib.error
import urllib.request

import pytest
from websockets.sync.client import connect

from chatlib import echo
from chatlib.lab import nginx
from chatlib.lab.loopback import ServerError
from chatlib.lab.nginx import NginxServer
from chatlib.lab.serve import Server

pytestmark = pytest.mark.usefixtures("needs_nginx")

HELLO = "server { listen 127.0.0.1:@PORT@; location / { return 200 @WORD@; } }"
TLS = """
server {
    listen 127.0.0.1:@TLS_PORT@ ssl;
    ssl_certificate @CERTIFICATE@;
    ssl_certificate_key @KEY@;
    location / { return 200 hello; }
}
"""
PROXY = """
server {
    listen 127.0.0.1:@PORT@;
    location / {
        proxy_pass http://@APP@;
        proxy_http_version 1.1;
        proxy_set_header Host $http_host;
        proxy_set_header Upgrade $http_upgrade;
        proxy_set_header Connection upgrade;
    }
    location /new { return 200 new; }
}
"""


def get(url, **options):
    with urllib.request.urlopen(url, timeout=30, **options) as answer:
        return answer.read().decode()


def test_it_serves_as_soon_as_it_is_there_what_the_configuration_says():
    with NginxServer(HELLO, word="hello") as server:
        assert get(server.url("/any/path")) == "hello"
        assert server.ws_url("/ws") == f"ws://127.0.0.1:{server.port}/ws"
        assert '"GET /any/path HTTP/1.1" 200' in server.access_log[0]
        assert server.error_log == []


def test_a_client_with_its_context_trusts_its_certificate_by_both_names(needs_openssl):
    with NginxServer(TLS, certificate=True) as server:
        url = server.url(tls=True)
        assert get(url, context=server.ssl_context) == "hello"
        assert get(url.replace("127.0.0.1", "localhost"), context=server.ssl_context) == "hello"
        with pytest.raises(urllib.error.URLError, match="CERTIFICATE_VERIFY_FAILED"):
            get(url)
        assert server.ws_url(tls=True) == f"wss://127.0.0.1:{server.tls_port}/"


def test_one_without_a_certificate_says_how_to_have_one():
    with pytest.raises(ServerError, match=r"@KEY@ needs certificate=True"):
        NginxServer("server { ssl_certificate_key @KEY@; }")
    with (
        NginxServer(HELLO, word="hello") as server,
        pytest.raises(ServerError, match="certificate=True"),
    ):
        assert server.ssl_context


def test_a_websocket_that_is_open_lives_through_a_reload():
    with (
        Server(echo.app) as app,
        NginxServer(PROXY.replace("/new", "/old"), app=f"127.0.0.1:{app.port}") as server,
        connect(server.ws_url("/ws"), proxy=None) as websocket,
    ):
        server.reload(PROXY)
        assert get(server.url("/new")) == "new"
        websocket.send("still here")
        assert websocket.recv(30) == "Message text was: still here"


def test_a_wrong_configuration_is_refused_with_the_line_that_is_wrong():
    with pytest.raises(ServerError) as refusal:
        NginxServer("server {\n    lisen 80;\n}")
    assert str(refusal.value) == (
        'nginx does not take it: [emerg] unknown directive "lisen" in your configuration, line 2'
    )
    with pytest.raises(ServerError, match=r"@PROT@; there are @ACCESS_LOG@, @PORT@, @TLS_PORT@"):
        NginxServer("server { listen @PROT@; }")


def test_it_goes_on_as_before_where_a_reload_is_refused():
    with NginxServer(HELLO, word="hello") as server:
        with pytest.raises(ServerError, match="lisen"):
            server.reload("server { lisen 80; }")
        assert get(server.url()) == "hello"
        server.reload()
        assert get(server.url()) == "hello"
        assert server.error_log == [
            '[emerg] unknown directive "lisen" in your configuration, line 1'
        ]


def test_the_access_log_has_the_format_that_the_configuration_gives_it():
    log = "log_format short $uri; access_log @ACCESS_LOG@ short;"
    with NginxServer(log + HELLO, word="hello") as server:
        get(server.url("/here"))
        assert server.access_log == ["/here"]


def test_the_one_that_is_started_takes_the_place_of_the_one_before():
    first = nginx.start(HELLO, word="hello")
    second = nginx.start(HELLO, word="hello")
    assert second.running
    assert not first.running
    nginx.stop()
    nginx.stop()
    assert not second.running
    assert repr(second) == "<nginx: ended>"
    for use in (second.url, second.reload, lambda: second.error_log, lambda: second.ssl_context):
        with pytest.raises(ServerError, match="start it again"):
            use()


def test_a_machine_without_nginx_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerError, match="apt install nginx"):
        NginxServer(HELLO)


def test_it_ends_with_its_workers_when_the_process_that_started_it_is_killed():
    code = (
        "import sys; from chatlib.lab.nginx import NginxServer; "
        "server = NginxServer('server { listen 127.0.0.1:@PORT@; }'); "
        "print(server.port, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        port = int(it.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            it.kill()
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""  # the worker that has it is gone
