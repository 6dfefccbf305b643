"""What each of the proxies in deploy/ has to do for the apps behind it."""

import contextlib
import json
import re
import signal
import socket

import pytest
from probe import CHUNK, CHUNKS
from proxied import GUARD_SECONDS, HOST, code_of, say, wait_until

OPERATORS = ("metrics", "livez", "healthz", "readyz")


class ProxyContract:
    """What holds for each of the proxies.

    A module has `running(app, changes)`, which makes a `Proxy` in front of an app, from the recipe
    with changes that are for one test; `stop` is what an operator does to it.
    """

    DOWN = (502, 503)  # what clients get while the app is not there
    TOO_BIG = (400, 431)
    STOPPED = 1006
    SHORTER = ("", "")  # the change that has half a request ended soon

    def test_a_client_of_the_rooms_speaks_and_hears_over_tls_below_the_prefix(self, chat):
        with chat.enter() as ada, chat.enter("bob") as bob:
            say(ada, "hello", "1")
            say(bob, "good morning", "2")

    def test_a_page_of_the_proxied_host_is_let_in_and_a_foreign_one_is_not(self, chat, tell):
        with tell.connect("/chat/ws", origin=tell.origin) as websocket:
            websocket.recv()
        assert tell.refusal(origin="https://example.org") == 403
        assert tell.refusal(origin=f"https://{HOST}:1") == 403
        with chat.enter(origin=chat.origin) as websocket:
            assert json.loads(websocket.recv())["type"] == "welcome"

    def test_the_app_knows_how_the_client_has_reached_it(self, tell):
        with tell.connect("/chat/ws") as websocket:
            assert json.loads(websocket.recv()) == {
                "client": "127.0.0.1",
                "scheme": "wss",
                "host": f"{HOST}:{tell.port}",
                "path": "/chat/ws",
            }

    def test_a_client_cannot_choose_its_address(self, tell, probe):
        with contextlib.ExitStack() as stack:
            for number in range(3):
                forged = {"X-Forwarded-For": f"203.0.113.{number}"}
                websocket = stack.enter_context(tell.connect("/chat/ws", additional_headers=forged))
                assert json.loads(websocket.recv())["client"] == "127.0.0.1"
            forged = {"X-Forwarded-For": "203.0.113.9"}
            assert tell.refusal(additional_headers=forged) == 503
        assert "203.0.113" not in probe.log
        assert re.search(r'127\.0\.0\.1:\d+ - "WebSocket /chat/ws" \[accepted\]', probe.log)

    def test_half_a_request_is_ended(self, front, probe):
        with front(probe, dict([self.SHORTER])) as proxy:
            proxy.answer(b"GET /chat/half HTTP/1.1\r\nHost: ")
            assert "/chat/half" not in proxy.get("/chat/seen")

    def test_a_big_head_is_answered_and_does_not_reach_the_app(self, tell):
        assert tell.status("/chat/big", f"X-Big: {'x' * 30_000}")[0] in self.TOO_BIG
        assert "/chat/big" not in tell.get("/chat/seen")
        assert tell.status("/chat/small", "X-Small: x")[0] == 404
        assert "/chat/small" in tell.get("/chat/seen")

    @pytest.mark.parametrize("name", OPERATORS)
    def test_what_is_for_operators_is_refused(self, tell, name):
        before = tell.get("/chat/seen").count(f"/chat/{name}")
        encoded = f"%{ord(name[0]):x}{name[1:]}"
        for path in (name, f"{name}/", f"/{name}", f"./{name}", f"x/../{name}", encoded):
            status, answer = tell.status(f"/chat/{path}?x=1")
            assert status in (400, 404), (path, answer)
        assert tell.get("/chat/seen").count(f"/chat/{name}") == before

    def test_browsers_are_told_to_use_tls(self, tell):
        assert "strict-transport-security: max-age=31536000" in tell.status("/chat/")[1].lower()
        address = ("127.0.0.1", tell.plain_port)
        with socket.create_connection(address, timeout=GUARD_SECONDS) as sock:
            sock.sendall(f"GET /chat/ HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
            answer = sock.makefile().read().lower()
        assert " 30" in answer.splitlines()[0]
        assert f"location: https://{HOST}" in answer

    def test_the_prefix_without_its_slash_leads_to_the_page(self, tell):
        status, answer = tell.status("/chat")
        assert status in (301, 302)
        assert re.search(r"(?i)location: (https://localhost)?/chat/\r\n", answer)

    def test_another_name_gets_no_answer(self, tell):
        said = b""
        with contextlib.suppress(OSError), tell.raw(name="127.0.0.1") as sock:
            sock.settimeout(1)
            sock.sendall(b"GET /chat/other HTTP/1.0\r\nHost: example.org\r\n\r\n")
            said = sock.recv(100)
        assert not said.startswith(b"HTTP/1.1 2")
        assert "/chat/other" not in tell.get("/chat/seen")

    def test_a_client_that_does_not_read_slows_the_app_down(self, tell):
        with tell.connect("/chat/flood", max_size=None, max_queue=1) as websocket:
            websocket.send("begin")
            assert tell.get("/chat/stalled") < CHUNKS / 2
            for _ in range(CHUNKS):
                assert websocket.recv() == CHUNK
            assert tell.get("/chat/stalled") == CHUNKS

    def test_when_the_proxy_stops_clients_see_it(self, front, probe):
        with front(probe) as proxy, proxy.connect("/chat/ws") as websocket:
            websocket.recv()
            proxy.stop()
            assert code_of(websocket) == self.STOPPED

    def test_clients_of_an_app_that_restarts_see_1012_and_come_back(self, chat, rooms):
        with chat.enter() as websocket:
            rooms.stop(signal.SIGTERM)
            assert code_of(websocket) == 1012
        try:
            assert chat.refusal("/chat/rooms/lobby") in self.DOWN
        finally:
            rooms.start()
        wait_until(lambda: chat.status("/chat/")[0] == 200, "the app does not come back")
        with chat.enter() as websocket:
            say(websocket, "here again", "3")


class ReadinessContract(ProxyContract):
    """What holds for a proxy that asks the app whether it takes new connections."""

    SOONER = ("", "")  # the change that has it ask often

    def test_an_app_that_is_not_ready_gets_nobody_new_and_keeps_who_is_there(self, front, probe):
        try:
            with (
                front(probe, dict([self.SOONER])) as proxy,
                proxy.connect("/chat/ws") as websocket,
            ):
                websocket.recv()
                probe.get("/say-ready?now=false")
                wait_until(lambda: proxy.status("/chat/")[0] == 503, "the proxy does not ask")
                assert proxy.refusal() == 503
                websocket.send("still here")
                assert websocket.recv() == "still here"
                probe.get("/say-ready?now=true")
                wait_until(lambda: proxy.status("/chat/")[0] == 200, "the proxy asks no more")
        finally:
            probe.get("/say-ready?now=true")

    def test_the_rooms_themselves_are_asked(self, rooms):
        assert "200 OK" in rooms.get("/readyz").splitlines()[0]
