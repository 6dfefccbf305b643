"""An nginx of one's own, which a cell or a test starts, reloads and stops. It needs no root.

with NginxServer("server { listen 127.0.0.1:@PORT@; return 200 hello; }") as nginx:
    urllib.request.urlopen(nginx.url())
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import ssl
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from chatlib.lab.certificate import Certificate, make_certificate
from chatlib.lab.loopback import HOST, ServerError, except_loopback_from_proxies, listen
from chatlib.lab.nginx_config import around, filled
from chatlib.lab.started import Started
from chatlib.lab.supervise import Supervised

OFF_THE_PATH = "/usr/sbin"  # where Debian has it; the PATH of a user who is not root lacks it
GUARD_SECONDS = 20.0  # against hanging: nginx starts in a few milliseconds
LOOK_SECONDS = 0.01
HOW_TO_GET_ONE = (
    "there is no nginx on this machine. On Debian and Ubuntu: apt install nginx; "
    "on macOS: brew install nginx; with conda: conda install nginx"
)
# 2026/01/01 12:00:00 [error] 17#17: *3 limiting connections by zone "address", client: …
ENTRY = re.compile(r"^[\d/]+ [\d:]+ (\[\w+\]) \d+#\d+: (?:\*\d+ )?(.*)$")


def find_nginx() -> str | None:
    """Return the path of this machine's nginx; None if there is none."""
    path = os.environ.get("PATH", "")
    return shutil.which("nginx", path=f"{path}{os.pathsep}{OFF_THE_PATH}" if path else "")


class NginxServer:
    """An nginx on this machine. It does not outlive this process.

    It serves as soon as it exists. It is a context manager, which stops it.

    Args:
        http: what stands inside of `http { }`. These are filled in: `@PORT@` and `@TLS_PORT@`, two
            free ports; `@CERTIFICATE@` and `@KEY@`, the files of a certificate; `@ACCESS_LOG@`, the
            file that `access_log` reads, for a format of one's own.
        certificate: whether it has a certificate, which it signs itself, for 127.0.0.1 and
            localhost.
        values: what else is filled in: `app="127.0.0.1:8000"` for `@APP@`.

    Attributes:
        port: the port that `@PORT@` stands for.
        tls_port: the port that `@TLS_PORT@` stands for.
        pid: the process id of its master.

    Raises:
        ServerError: there is no nginx on this machine, or no openssl for a certificate; or it did
            not start, and the message is nginx's own.
    """

    def __init__(self, http: str, *, certificate: bool = False, **values: object) -> None:
        program = find_nginx()
        if program is None:
            raise ServerError(HOW_TO_GET_ONE)
        except_loopback_from_proxies()
        self._folder = tempfile.TemporaryDirectory(prefix="chatlib-nginx-")
        self._certificate: Certificate | None = None
        self._process: Supervised | None = None
        self._reserved = [listen(0), listen(0)]  # so that nobody takes the ports meanwhile
        self.port, self.tls_port = (sock.getsockname()[1] for sock in self._reserved)
        self._http = http
        self._values = {name.upper(): str(value) for name, value in values.items()}
        self._values |= {"PORT": str(self.port), "TLS_PORT": str(self.tls_port)}
        self._values["ACCESS_LOG"] = str(self._path("access.log"))
        try:
            if certificate:
                self._certificate = make_certificate(self._path(""))
                self._values |= {"CERTIFICATE": self._certificate.path}
                self._values |= {"KEY": self._certificate.key}
            self._write(http)
            conf = str(self._path("nginx.conf"))
            self._process = Supervised([program, "-c", conf], self._path("stderr.log"))
            self.pid = self._process.pid
            self._await(lambda: self._entries().count("[notice] start worker process"))
        except BaseException:
            self.stop()
            raise

    def _path(self, name: str) -> Path:
        return Path(self._folder.name, name)

    def _write(self, http: str) -> None:
        """Write its configuration."""
        own_log = None if "@ACCESS_LOG@" in http else self._values["ACCESS_LOG"]
        self._path("http.conf").write_text(filled(http, self._values), "utf-8")
        self._path("nginx.conf").write_text(around(self._folder.name, own_log), "utf-8")

    def _read(self, name: str) -> str:
        self._expect_there()
        path = self._path(name)
        return path.read_text("utf-8", errors="replace") if path.exists() else ""

    def _entries(self) -> str:
        """Return the log of errors, without times and numbers, which differ from run to run."""
        return self._tidied(self._read("error.log"))

    def _tidied(self, log: str) -> str:
        lines = "\n".join(ENTRY.sub(r"\1 \2", line) for line in log.splitlines())
        return lines.replace(f"{self._path('http.conf')}:", "your configuration, line ")

    def _settle(self) -> None:
        """Wait until it has logged what it has answered."""
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(GUARD_SECONDS)
            sock.connect(str(self._path("asked")))
            sock.sendall(b"GET / HTTP/1.0\r\n\r\n")
            while sock.recv(1024):
                pass

    def _await(self, done: Callable[[], int], since: int = 0) -> None:
        """Wait until `done()`; raise `ServerError` if nginx says that it cannot, or has ended."""
        end = time.monotonic() + GUARD_SECONDS
        while not done():
            assert self._process is not None
            running = self._process.running
            failed = re.findall(r"\[emerg\].*", self._entries()[since:])
            if failed or not running or time.monotonic() > end:
                said = "\n".join(failed) or self._tidied(self._read("stderr.log"))[-500:]
                raise ServerError(f"nginx does not take it: {said}")
            time.sleep(LOOK_SECONDS)

    def _expect_there(self) -> None:
        if self._reserved[0].fileno() < 0:
            again = "start it again: run the cell with nginx.start(…)"
            raise ServerError(f"nginx has been stopped; {again}")

    @property
    def running(self) -> bool:
        """Whether its process lives."""
        return self._process is not None and self._process.running

    def url(self, path: str = "/", tls: bool = False) -> str:
        """Return the address of a page: `http://127.0.0.1:…`, or `https:` with `tls`."""
        return f"http{self._rest(path, tls)}"

    def ws_url(self, path: str = "/", tls: bool = False) -> str:
        """Return the address of a WebSocket: `ws://127.0.0.1:…`, or `wss:` with `tls`."""
        return f"ws{self._rest(path, tls)}"

    def _rest(self, path: str, tls: bool) -> str:
        self._expect_there()
        return f"s://{HOST}:{self.tls_port}{path}" if tls else f"://{HOST}:{self.port}{path}"

    @property
    def error_log(self) -> list[str]:
        """What it has logged of warnings and errors, without times and process ids."""
        self._settle()
        entries = self._entries().splitlines()
        return [line for line in entries if not line.startswith(("[notice]", "[info]"))]

    @property
    def access_log(self) -> list[str]:
        """What it has logged of requests. A WebSocket is logged when it has ended."""
        self._settle()
        return self._read("access.log").splitlines()

    @property
    def ssl_context(self) -> ssl.SSLContext:
        """What a client needs to trust its certificate: `websockets.connect(…, ssl=…)`.

        Raises:
            ServerError: it has none, or was stopped.
        """
        self._expect_there()
        if self._certificate is None:
            raise ServerError("this nginx has no certificate: start it with certificate=True")
        return self._certificate.ssl_context

    def reload(self, http: str | None = None) -> None:
        """Have it read its configuration anew; return when new workers take what comes.

        The connections that there are stay with the worker that has them.

        Args:
            http: the new configuration; None: the one that it has.

        Raises:
            ServerError: nginx does not take it, and goes on with the one before; or it was stopped.
        """
        since = len(self._entries())
        assert self._process is not None
        self._write(self._http if http is None else http)
        self._process.send(signal.SIGHUP)
        shutting = "[notice] gracefully shutting down"  # the worker before takes no more
        try:
            self._await(lambda: self._entries()[since:].count(shutting), since)
        except ServerError:
            self._write(self._http)
            raise
        self._http = self._http if http is None else http

    def stop(self) -> None:
        """Have it gone, with all connections, and its ports free. Harmless if it is."""
        if self._process is not None:
            self._process.end(signal.SIGTERM, GUARD_SECONDS)
            self._process = None
        for sock in self._reserved:
            sock.close()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<nginx: {self.url() if self.running else 'ended'}>"


_started: Started[NginxServer] = Started()
stop = _started.stop


def start(http: str, *, certificate: bool = False, **values: object) -> NginxServer:
    """Start an nginx, in place of the one that an earlier call started.

    Raises:
        ServerError: as `NginxServer` does.
    """
    return _started.start(lambda: NginxServer(http, certificate=certificate, **values))
