"""The checklist of chapter 09: what holds where an app is ready for the world.

A point is a sentence, with what to write where it does not hold. Each of them is tried; what the
check cannot look at, or may not do to a server that it has not started, it says.
"""

from dataclasses import dataclass
from typing import Literal

Need = Literal["loopback", "log", "server", "process"]

BIGGEST = 1 << 20  # bytes that a limit of the app's own may have; chatlib's is 64 KiB
FLOOD = 5000  # messages that one client sends at once
CAP = 300  # connections from one address
HEAD_SECONDS = 15.0  # how long a server may wait for the head of a request
STOP_SECONDS = 10.0  # how long a process may take to end once its clients are told


@dataclass(frozen=True)
class Point:
    """One line of the checklist.

    Attributes:
        says: what holds.
        hint: what to write where it does not.
        needs: what the check has to have for it. `loopback`: the server is on this machine, so
            it is no harm to load it; `log`: what it logs; `server`: the app runs on a server of
            its own, and not on that of the notebook; `process`: it may be stopped.
    """

    says: str
    hint: str
    needs: frozenset[Need] = frozenset()


def point(says: str, hint: str, *needs: Need) -> Point:
    """Return a point, in the order in which a line of `CHECKLIST` is read."""
    return Point(says, hint, frozenset(needs))


CHECKLIST: dict[str, Point] = {
    "enters": point(
        "a client is let in at the WebSocket's path",
        "path='/ws', say, names the WebSocket, and headers={…} brings what lets a client in",
    ),
    "origin": point(
        "a page of another site is refused, and nobody else is",
        "app.add_middleware(Guard); where pages of yours are on another host, Guard(origins=[…])",
    ),
    "size": point(
        "a message that is too big is closed with 1009",
        "app.add_middleware(Guard), or uvicorn's option --ws-max-size 65536",
        "loopback",
    ),
    "fragments": point(
        "fragments without an end are closed with 1009",
        "uvicorn's option --ws-max-size 65536: what is no whole message yet, no app can see",
        "loopback",
    ),
    "inflates": point(
        "a small message that inflates is closed with 1009",
        "uvicorn's option --ws-max-size 65536: it stops while it decompresses",
        "loopback",
    ),
    "bad_input": point(
        "bad input is answered, or closed with 1003, 1007 or 1008",
        "text = await receive_text(websocket), from chatlib, closes what is binary with 1003; take "
        "JSON apart with a pydantic model, and answer where it raises ValidationError",
        "loopback",
    ),
    "traceback": point(
        "nothing of all this leaves a traceback in the log",
        "catch what bad input raises, around the line that takes it apart. Text that is not UTF-8 "
        "has the server itself log a traceback: after redact_logs(), from chatlib, it is one line",
        "loopback",
        "log",
    ),
    "flood": point(
        "a flood is ended or slowed, and others are answered",
        "app.add_middleware(Guard, messages_per_second=20)",
        "loopback",
    ),
    "slow": point(
        "a stalled client holds up nobody, and costs little",
        "broadcast with chatlib's ConnectionManager, or a Room: no `await` of one client's "
        "send_text(…) holds up the others",
        "loopback",
    ),
    "pings": point(
        "pings whose pongs nobody reads cost little memory",
        "uvicorn's option --ws chatlib.core.fanout:FanoutProtocol",
        "loopback",
        "server",
        "process",
    ),
    "head": point(
        "half the head of a request is ended within 15 seconds",
        "uvicorn's option --http chatlib.core.head:TimedHead, or a proxy (nginx: "
        "client_header_timeout 10s)",
        "loopback",
        "server",
    ),
    "cap": point(
        "one address has a cap on its connections",
        "app.add_middleware(Guard, max_connections_per_address=50); a proxy in front can do it too",
        "loopback",
    ),
    "secret": point(
        "a token in the address does not reach the log",
        "redact_logs('token'), from chatlib, with the name of each such parameter",
        "loopback",
        "log",
        "server",
    ),
    "alive": point(
        "/livez or /healthz answers 200",
        "add_ops(app), from chatlib, adds /livez, /healthz, /readyz and /metrics",
    ),
    "ready": point(
        "/readyz answers 200",
        "add_ops(app) adds it too",
    ),
    "metrics": point(
        "/metrics answers, for Prometheus",
        "add_ops(app) adds it too",
    ),
    "frames": point(
        "a broadcast is encoded once, and not for each client",
        "uvicorn's option --ws chatlib.core.fanout:FanoutProtocol, or the same in UVICORN_WS",
        "server",
    ),
    "unready": point(
        "after SIGTERM /readyz says 503, or nobody is let in",
        "add_ops(app, drain=5): the server goes on for 5 seconds, and /readyz says 503 meanwhile",
        "server",
        "process",
    ),
    "told": point(
        "after SIGTERM every client is told 1012 or 1001",
        "leave SIGTERM to uvicorn, which sends 1012: set no signal handler of your own, and in a "
        "shell script start it with exec uvicorn …",
        "server",
        "process",
    ),
    "stops": point(
        "10 s later the process has ended, stalled client or not",
        "uvicorn's option --timeout-graceful-shutdown 5: it waits for handlers for ever otherwise",
        "server",
        "process",
    ),
}
# What an app decides, on whatever server it runs: the exercise of the chapter.
MAKE_IT_READY = (
    *("origin", "bad_input", "traceback", "flood", "cap"),
    *("alive", "ready", "metrics"),
)
