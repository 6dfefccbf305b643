"""HAProxy with the configuration in deploy/, in front of the rooms and of an app that tells."""

import contextlib
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from proxied import HOST, Proxy, ProxyContract, recipe, wait_until
from websockets.exceptions import InvalidStatus

from chatlib.lab.certificate import make_certificate
from chatlib.lab.loopback import listen
from chatlib.lab.supervise import Supervised

pytestmark = pytest.mark.usefixtures("needs_haproxy", "needs_openssl")


class HAProxy(Proxy):
    """HAProxy, from the recipe.

    Args:
        app: what is behind it.
        folder: where its files go.
        changes: of the recipe, for one test.
    """

    def __init__(self, app, folder, changes=None):
        certificate = make_certificate(folder)
        both = folder / "both.pem"
        both.write_text(Path(certificate.path).read_text() + Path(certificate.key).read_text())
        self.reserved = [listen(0), listen(0)]
        port, plain_port = (sock.getsockname()[1] for sock in self.reserved)
        super().__init__(port, plain_port, certificate.ssl_context)
        here = {
            "unix@/run/chatlib/rooms.sock": f"unix@{app.uds}",
            "bind :80": f"bind 127.0.0.1:{plain_port}",
            "bind :443": f"bind 127.0.0.1:{port}",
            "/etc/haproxy/chat.example.com.pem": str(both),
            "chat.example.com": HOST,
            "log /dev/log local0": "log stdout format raw local0",
            "    user haproxy\n    group haproxy\n": "",  # who may not enter the folder
            "maxconn 20000": "maxconn 100",
        }
        self.text = recipe("haproxy/haproxy.cfg", {**here, **(changes or {})})
        self.file = folder / "haproxy.cfg"
        self.file.write_text(self.text)
        self.log = folder / "haproxy.log"
        program = shutil.which("haproxy")
        self.process = Supervised([program, "-W", "-f", str(self.file)], self.log)
        wait_until(self.serves, lambda: self.log.read_text())

    def serves(self):
        assert self.process.running, self.log.read_text()
        with contextlib.suppress(OSError):
            return self.status("/chat/")[0] in (200, 404)
        return False

    def stop(self):
        self.process.end(signal.SIGTERM, 20)
        for sock in self.reserved:
            sock.close()


@contextlib.contextmanager
def running(app, changes=None):
    with tempfile.TemporaryDirectory() as folder:
        proxy = HAProxy(app, Path(folder), changes)
        try:
            yield proxy
        finally:
            proxy.stop()


class TestHAProxy(ProxyContract):
    SHORTER = {"timeout http-request 10s": "timeout http-request 200ms"}

    def test_one_too_many_is_refused_and_let_in_when_one_has_left(self, probe):
        with running(probe, {"sc_conn_cur(0) gt 50": "sc_conn_cur(0) gt 2"}) as proxy:
            with proxy.connect("/chat/ws"), proxy.connect("/chat/ws"):
                assert proxy.refusal() == 503
                assert proxy.status("/chat/")[0] == 200
            wait_until(
                lambda: proxy.log.read_text().count('/chat/ws" 101') == 2, "both are still there"
            )
            with proxy.connect("/chat/ws") as websocket:
                websocket.recv()

    def test_a_burst_of_new_ones_is_refused(self, probe):
        with running(probe, {"sc_conn_rate(0) gt 120": "sc_conn_rate(0) gt 5"}) as proxy:
            refused = 0
            for _ in range(6):
                try:
                    with proxy.connect("/chat/ws") as websocket:
                        websocket.recv()
                except InvalidStatus as error:
                    assert error.response.status_code == 503
                    refused += 1
            assert refused
            assert proxy.status("/chat/")[0] == 200

    def test_an_open_websocket_lives_through_a_reload(self, probe):
        with running(probe) as proxy, proxy.connect("/chat/ws") as websocket:
            websocket.recv()
            proxy.file.write_text(proxy.text.replace("max-age=31536000", "max-age=1"))
            proxy.process.send(signal.SIGUSR2)
            wait_until(
                lambda: "max-age=1\r\n" in proxy.status("/chat/")[1], "it has not been reloaded"
            )
            websocket.send("still here")
            assert websocket.recv() == "still here"

    def test_the_log_has_no_query(self, tell):
        tell.status("/chat/logged?token=secret")
        wait_until(lambda: '"GET /chat/logged" 404' in tell.log.read_text(), "no log")
        assert "secret" not in tell.log.read_text()
