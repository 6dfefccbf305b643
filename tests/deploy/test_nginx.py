"""nginx with the configuration in deploy/, in front of the rooms and of an app that tells."""

import json

import pytest
from fronts import APP, Nginx
from proxied import FORGED, SECRET, say, wait_until
from proxy_contract import ProxyContract

from chatlib.lab.serve import Server
from chatlib.rooms import create_app

pytestmark = pytest.mark.usefixtures("needs_nginx", "needs_openssl")


running = Nginx


class TestNginx(ProxyContract):
    SHORTER = ("client_header_timeout 10s", "client_header_timeout 200ms")

    def test_without_the_upgrade_headers_the_app_answers_404(self, probe):
        for line in (
            "        proxy_set_header Upgrade    $http_upgrade;\n",
            "        proxy_set_header Connection $connection_upgrade;\n",
        ):
            with running(probe, {line: ""}) as broken:
                assert broken.refusal() == 404

    def test_without_the_port_in_host_every_page_is_foreign(self, probe):
        with running(probe, {"Host $http_host": "Host $host"}) as broken:
            assert broken.refusal(origin=broken.origin) == 403

    def test_without_a_host_every_page_is_foreign(self, probe):
        with running(probe, {"        proxy_set_header Host $http_host;\n": ""}) as broken:
            assert broken.refusal(origin=broken.origin) == 403

    def test_an_address_that_is_added_is_one_that_a_client_can_choose(self, probe):
        added = {"X-Forwarded-For   $remote_addr": "X-Forwarded-For $proxy_add_x_forwarded_for"}
        with (
            running(probe, added) as broken,
            broken.connect("/chat/ws", additional_headers=FORGED) as websocket,
        ):
            assert json.loads(websocket.recv())["client"] == FORGED["X-Forwarded-For"]

    def test_a_time_out_inside_the_server_ends_no_half_request(self, probe):
        """The server that the recipe has for other names is the one that counts."""
        inside = {
            "client_header_timeout 10s;\n": "",
            "    client_body_timeout 10s;": "    client_header_timeout 200ms;",
        }
        with running(probe, inside) as broken, broken.raw() as sock:
            sock.sendall(b"GET /chat/half HTTP/1.1\r\nHost: ")
            sock.settimeout(1)
            with pytest.raises(TimeoutError):
                sock.recv(100)

    def test_one_too_many_is_refused_and_let_in_when_one_has_left(self, probe):
        with running(probe, {"limit_conn chatlib_open 50": "limit_conn chatlib_open 2"}) as proxy:
            with proxy.connect("/chat/ws"), proxy.connect("/chat/ws"):
                assert proxy.refusal() == 503
                assert proxy.status("/chat/")[0] == 200  # pages are free
            wait_until(
                lambda: "".join(proxy.nginx.access_log).count(" 101 ") == 2, "both are still there"
            )
            with proxy.connect("/chat/ws") as websocket:
                websocket.recv()
            assert any("chatlib_open" in line for line in proxy.nginx.error_log)

    def test_a_long_path_is_answered_by_nginx(self, tell):
        assert tell.status(f"/chat/{'x' * 9000}")[0] == 414

    def test_a_burst_of_new_ones_is_refused(self, probe):
        slower = {"rate=10r/s": "rate=1r/m", "burst=20": "burst=2"}
        with running(probe, slower) as proxy:
            for _ in range(3):
                with proxy.connect("/chat/ws") as websocket:
                    websocket.recv()
            assert proxy.refusal() == 503
            assert proxy.status("/chat/")[0] == 200

    def test_an_open_websocket_lives_through_a_reload(self, probe):
        with running(probe) as proxy, proxy.connect("/chat/ws") as websocket:
            websocket.recv()
            proxy.nginx.reload(proxy.http.replace("max-age=31536000", "max-age=1"))
            assert "max-age=1\r\n" in proxy.status("/chat/")[1]
            websocket.send("still here")
            assert websocket.recv() == "still here"

    def test_the_log_has_no_query(self, tell):
        tell.status("/chat/logged?token=secret")
        log = "\n".join(tell.nginx.access_log)
        assert '"GET /chat/logged" 404' in log
        assert "secret" not in log

    @pytest.mark.parametrize("shared", [True, False], ids=["a shared store", "no shared store"])
    def test_two_servers_are_one_house_with_a_shared_store_alone(self, tmp_path, shared):
        store = f"sqlite:///{tmp_path}/chat.db" if shared else "memory:"
        apps = [create_app(store, secret=SECRET) for _ in range(2)]
        with (
            Server(apps[0], root_path="/chat") as one,
            Server(apps[1], root_path="/chat") as other,
            running(None, {APP: f"{one.address}; server {other.address}"}) as proxy,
            proxy.enter("ada") as ada,
            proxy.enter("bob") as bob,
        ):
            assert {len(one.handlers), len(other.handlers)} == {1}  # each has one of the two
            say(ada, "hello", "1")
            assert say(bob, "good morning", "2") == (["hello"] if shared else [])
