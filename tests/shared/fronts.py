"""nginx, HAProxy and Caddy, each from its recipe in deploy/."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import pytest
from proxied import GUARD_SECONDS, HOST, Proxy, recipe, wait_until

from chatlib.lab.certificate import make_certificate
from chatlib.lab.loopback import listen
from chatlib.lab.nginx import OFF_THE_PATH, NginxServer
from chatlib.lab.supervise import Supervised


def find(program):
    """Return the path of a program of this machine; skip the test if there is none."""
    found = shutil.which(program, path=os.pathsep.join([os.environ["PATH"], OFF_THE_PATH]))
    if found is None:
        pytest.skip(f"there is no {program} here. On Debian and Ubuntu: apt install {program}")
    return found


APP = "unix:/run/chatlib/rooms.sock"  # what nginx's recipe leads to


class Nginx(Proxy):
    """nginx, from the recipe. It is a context manager, which stops it.

    Args:
        app: what is behind it; None: a change says that.
        changes: of the recipe, for one test.
    """

    def __init__(self, app, changes=None):
        here = {
            APP: f"unix:{app.uds}" if app else "",
            "listen 80": "listen 127.0.0.1:@PORT@",
            "listen 443": "listen 127.0.0.1:@TLS_PORT@",
            "/etc/letsencrypt/live/chat.example.com/fullchain.pem": "@CERTIFICATE@",
            "/etc/letsencrypt/live/chat.example.com/privkey.pem": "@KEY@",
            "/var/log/nginx/chatlib.log": "@ACCESS_LOG@",
            "server_name chat.example.com": f"server_name {HOST}",
        }
        self.http = recipe("nginx/chatlib.conf", {**here, **(changes or {})})
        self.nginx = NginxServer(self.http, certificate=True)
        super().__init__(self.nginx.tls_port, self.nginx.port, self.nginx.ssl_context)

    def stop(self):
        """Stop it, as an operator does."""
        self.nginx.stop()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.stop()


class Program(Proxy):
    """A proxy that is a program with a file. It is a context manager, which starts and stops it.

    A class gives `changes(app)`, which puts what is of this machine into the recipe, and
    `command()`.
    """

    RECIPE = ""
    UP = ""  # what it writes once it heeds signals

    def __init__(self, app, changes=None):
        self._temporary = tempfile.TemporaryDirectory()
        self.folder = Path(self._temporary.name)
        self.certificate = make_certificate(self.folder)
        self._reserved = [listen(0), listen(0)]
        ports = [sock.getsockname()[1] for sock in self._reserved]
        super().__init__(*ports, self.certificate.ssl_context)
        self.text = recipe(self.RECIPE, {**self.changes(app), **(changes or {})})
        self.file = self.folder / "configuration"
        self.file.write_text(self.text)
        self._log = self.folder / "log"
        self._log.touch()
        self.environment = {"PATH": os.environ["PATH"], "HOME": str(self.folder)}

    @property
    def log(self):
        """What it has written."""
        return self._log.read_text("utf-8")

    def __enter__(self):
        self.process = Supervised(self.command(), self._log, self.environment)
        try:
            wait_until(self._serves, "it does not lead to the app")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _serves(self):
        assert self.process.running, self.log
        if self.UP not in self.log:
            return False
        with contextlib.suppress(OSError):
            return self.status("/chat/")[0] == 200
        return False

    def stop(self):
        """Stop it, as an operator does."""
        if self.process is not None:
            self.process.end(signal.SIGTERM, GUARD_SECONDS)
            self.process = None

    def __exit__(self, *exc_info):
        self.stop()
        for sock in self._reserved:
            sock.close()
        self._temporary.cleanup()


class HAProxy(Program):
    """HAProxy, from the recipe."""

    RECIPE = "haproxy/haproxy.cfg"
    UP = "Loading success"

    def changes(self, app):
        both = self.folder / "both.pem"
        parts = [Path(path).read_text() for path in (self.certificate.path, self.certificate.key)]
        both.write_text("".join(parts))
        return {
            "unix@/run/chatlib/rooms.sock": f"unix@{app.uds}",
            "bind :80": f"bind 127.0.0.1:{self.plain_port}",
            "bind :443": f"bind 127.0.0.1:{self.port}",
            "/etc/haproxy/chat.example.com.pem": str(both),
            "chat.example.com": HOST,
            "log /dev/log local0": "log stdout format raw local0",
            "    user haproxy\n    group haproxy\n": "",  # who may not enter the folder
            "maxconn 20000": "maxconn 100",
        }

    def command(self):
        return [find("haproxy"), "-W", "-f", str(self.file)]

    def reloads(self):
        """Ask it to reload. A master that has just started may lose the signal."""
        self.process.send(signal.SIGUSR2)
        return "Reloading HAProxy" in self.log


class Caddy(Program):
    """Caddy, from the recipe."""

    RECIPE = "caddy/Caddyfile"

    def changes(self, app):
        return {
            "unix//run/chatlib/rooms.sock": f"unix/{app.uds}",
            "\nchat.example.com {": (
                f"\nhttps://{HOST}:{self.port} {{\n\tbind 127.0.0.1\n"
                f"\ttls {self.certificate.path} {self.certificate.key}"
            ),
            "admin unix//var/lib/caddy/admin.sock": (
                f"admin unix/{self.folder}/admin.sock\n\thttp_port {self.plain_port}"
            ),
        }

    def command(self, verb="run"):
        program = find("caddy")
        return [program, verb, "--config", str(self.file), "--adapter", "caddyfile"]

    def reload(self):
        subprocess.run(
            [*self.command("reload"), "--force"],
            env=self.environment,
            check=True,
            capture_output=True,
        )
