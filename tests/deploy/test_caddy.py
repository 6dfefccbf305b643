"""Caddy with the configuration in deploy/, in front of the rooms and of an app that tells."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from proxied import HOST, Proxy, ProxyContract, code_of, recipe, wait_until

from chatlib.lab.certificate import make_certificate
from chatlib.lab.loopback import listen
from chatlib.lab.supervise import Supervised

pytestmark = pytest.mark.usefixtures("needs_caddy", "needs_openssl")


class Caddy(Proxy):
    """Caddy, from the recipe.

    Args:
        app: what is behind it.
        folder: where its files go.
        changes: of the recipe, for one test.
    """

    def __init__(self, app, folder, changes=None):
        certificate = make_certificate(folder)
        self.reserved = [listen(0), listen(0)]
        port, plain_port = (sock.getsockname()[1] for sock in self.reserved)
        super().__init__(port, plain_port, certificate.ssl_context)
        here = {
            "unix//run/chatlib/rooms.sock": f"unix/{app.uds}",
            "\nchat.example.com {": (
                f"\nhttps://{HOST}:{port} {{\n"
                f"\tbind 127.0.0.1\n\ttls {certificate.path} {certificate.key}"
            ),
            "admin unix//var/lib/caddy/admin.sock": (
                f"admin unix/{folder}/admin.sock\n\thttp_port {plain_port}"
            ),
        }
        self.text = recipe("caddy/Caddyfile", {**here, **(changes or {})})
        self.file = folder / "Caddyfile"
        self.file.write_text(self.text)
        self.log = folder / "caddy.log"
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
        self.options = ["--config", str(self.file), "--adapter", "caddyfile"]
        self.program = shutil.which("caddy")
        command = [self.program, "run", *self.options]
        self.process = Supervised(command, self.log, self.environment)
        wait_until(self.serves, "Caddy did not start")

    def serves(self):
        assert self.process.running, self.log.read_text()
        with contextlib.suppress(OSError):
            return self.status("/chat/")[0] in (200, 404)
        return False

    def reload(self):
        subprocess.run(
            [self.program, "reload", *self.options, "--force"],
            env=self.environment,
            check=True,
            capture_output=True,
        )

    def stop(self):
        self.process.end(signal.SIGTERM, 20)
        for sock in self.reserved:
            sock.close()


@contextlib.contextmanager
def running(app, changes=None):
    with tempfile.TemporaryDirectory() as folder:
        proxy = Caddy(app, Path(folder), changes)
        try:
            yield proxy
        finally:
            proxy.stop()


class TestCaddy(ProxyContract):
    STOPPED = 1001
    SHORTER = {"read_header 10s": "read_header 200ms"}

    def test_a_reload_closes_open_websockets_with_1001(self, probe):
        with running(probe) as proxy, proxy.connect("/chat/ws") as websocket:
            websocket.recv()
            proxy.reload()
            assert code_of(websocket) == 1001
            with proxy.connect("/chat/ws") as again:
                again.recv()
