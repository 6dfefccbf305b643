"""What is checked: an app on the notebook's own server, or an address. See `command` too."""

import contextlib
import ipaddress
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from chatlib.lab.check.readiness.checklist import Need
from chatlib.lab.check.readiness.paths import Door, door_in_asyncapi, doors_of
from chatlib.lab.check.readiness.place import Place
from chatlib.lab.loopback import except_loopback_from_proxies
from chatlib.lab.server import Server

TRACEBACK = "Traceback (most recent call last):"
HAND_IN = "hand in the command that starts it: check.ready('uvicorn module:app …')"
NOTEBOOKS = f"this is the notebook's server, and not yours; {HAND_IN}"

Headers = Mapping[str, str] | Callable[[str], Mapping[str, str]]


class Target:
    """A server that runs.

    Attributes:
        url: `http://127.0.0.1:8000`, say.
        doors: the WebSockets that it is known to have.
        lacks: what the check has not got, with the reason.
        running: whether it has not ended.
        restarts: whether it can begin afresh.
    """

    url: str
    doors: Sequence[Door] = ()
    lacks: Mapping[Need, str]
    running = True
    restarts = False

    def log(self) -> str:
        """Return all that it has logged."""
        return ""

    def memory(self) -> int | None:
        """Return the bytes of memory that its processes have; None where that is not to be had."""
        return None

    def restart(self) -> None:
        """Have it begin afresh, if it `restarts`. This blocks."""
        raise NotImplementedError

    def terminate(self) -> None:
        """Send it SIGTERM."""
        raise NotImplementedError

    def end(self) -> None:
        """Have it end, if the check has started it."""

    def trouble(self) -> str:
        """Return in words that it answers nobody, and why, as far as that is known."""
        return "Then the server answered nobody any more, and the rest was not tried"


class Served(Target):
    """An app, on a server in a thread of this process."""

    def __init__(self, app: Any, running: Server | None) -> None:
        self.server = running or Server(app, name="ready")
        self.own = running is None
        self.url = self.server.http_url("")
        self.doors = doors_of(app)
        self.lacks = {"server": NOTEBOOKS, "process": NOTEBOOKS}

    def log(self) -> str:
        lines = []
        for line in list(self.server.log):
            lines.append(line.text)
            if line.error is not None:
                error = line.error
                lines.append(f"{TRACEBACK}\n{type(error).__name__}: {error}".rstrip(": "))
        return "\n".join(lines)

    def end(self) -> None:
        if self.own:
            self.server.ask_to_stop()  # an app that blocks its thread could not be waited for

    def trouble(self) -> str:
        return f"{super().trouble()}: {self.server.where_blocked()}"


class Address(Target):
    """A server that somebody else has started."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https", "ws", "wss"} or not parts.hostname:
            raise ValueError(f"expected an address such as http://127.0.0.1:8000, got {url!r}")
        secure = "s" if parts.scheme in {"https", "wss"} else ""
        self.url = f"http{secure}://{parts.netloc}"
        why = f"only who starts a server sees its log, and stops it; {HAND_IN}"
        self.lacks = {"log": why, "process": why}
        if not is_loopback(parts.hostname):
            self.lacks["loopback"] = "on another machine than this it would do harm"
        else:
            except_loopback_from_proxies()

    async def ask_for_doors(self, headers: Mapping[str, str]) -> None:
        """Learn from the server itself where its WebSockets are, if it says so."""
        with contextlib.suppress(OSError):
            status, text = await Place(self.url, "/", headers).get("/asyncapi.json")
            door = door_in_asyncapi(text) if status == 200 else None
            self.doors = [door] if door else []


def is_loopback(host: str) -> bool:
    """Return whether `host` is this machine's own."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
