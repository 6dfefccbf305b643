"""HAProxy with the configuration in deploy/, in front of the rooms and of an app that tells."""

import json

import pytest
from fronts import HAProxy
from proxied import FORGED, wait_until
from proxy_contract import ReadinessContract

pytestmark = pytest.mark.usefixtures("needs_openssl")


running = HAProxy


class TestHAProxy(ReadinessContract):
    # Its answer may be lost: it closes while the rest of the head still comes.
    TOO_BIG = (0, 400)
    SOONER = ("inter 2s", "inter 50ms")
    SHORTER = ("timeout http-request 10s", "timeout http-request 200ms")

    def test_one_too_many_is_refused_and_let_in_when_one_has_left(self, probe):
        with running(probe, {"sc_conn_cur(0) gt 50": "sc_conn_cur(0) gt 2"}) as proxy:
            with proxy.connect("/chat/ws"), proxy.connect("/chat/ws"):
                assert proxy.refusal() == 503
                assert proxy.status("/chat/")[0] == 200
            wait_until(lambda: proxy.log.count('/chat/ws" 101') == 2, "both are still there")
            with proxy.connect("/chat/ws") as websocket:
                websocket.recv()

    def test_a_burst_of_new_ones_is_refused(self, probe):
        with running(probe, {"sc_conn_rate(0) gt 120": "sc_conn_rate(0) gt 3"}) as proxy:
            for _ in range(3):
                with proxy.connect("/chat/ws") as websocket:
                    websocket.recv()
            assert proxy.refusal() == 503
            assert proxy.status("/chat/")[0] == 200

    def test_an_open_websocket_lives_through_a_reload(self, probe):
        with running(probe) as proxy, proxy.connect("/chat/ws") as websocket:
            websocket.recv()
            proxy.file.write_text(proxy.text.replace("max-age=31536000", "max-age=1"))
            wait_until(proxy.reloads, "it does not reload")
            wait_until(lambda: "max-age=1\r\n" in proxy.status("/chat/")[1], "it is not reloaded")
            websocket.send("still here")
            assert websocket.recv() == "still here"

    def test_the_log_has_no_query(self, tell):
        tell.status("/chat/logged?token=secret")
        wait_until(lambda: '"GET /chat/logged" 404' in tell.log, "no log")
        assert "secret" not in tell.log

    def test_an_address_that_is_added_is_one_that_a_client_can_choose(self, probe):
        added = {"    http-request set-header X-Forwarded-For %[src]": "    option forwardfor"}
        with (
            running(probe, added) as broken,
            broken.connect("/chat/ws", additional_headers=FORGED) as websocket,
        ):
            assert json.loads(websocket.recv())["client"] == FORGED["X-Forwarded-For"]
