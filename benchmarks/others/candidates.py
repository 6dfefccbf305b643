"""Who is measured, and what has to be known of each."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from starlette.types import ASGIApp

from benchmarks.others import apps

FANOUT = "chatlib.core.fanout:FanoutProtocol"


@dataclass(frozen=True)
class Candidate:
    """A library, set up as its documentation has it.

    Attributes:
        label: what the tables call it.
        app: makes its app.
        packages: that it needs, as they are imported.
        dialect: what its frames look like.
        history: whether clients that come back may ask for what is kept, all of it.
        ws: the WebSocket protocol of uvicorn that its documentation asks for.
        needs_redis: whether it keeps its messages there.
    """

    label: str
    app: Callable[[], ASGIApp]
    packages: tuple[str, ...]
    dialect: Literal["text", "hub", "socketio"] = "text"
    history: bool = False
    ws: str = "auto"
    needs_redis: bool = True


CHATLIB = "chatlib-redis"
ON_A_FILE = "chatlib-sqlite"  # measured where it is asked for

CANDIDATES = {
    CHATLIB: Candidate("chatlib", apps.chatlib_app, ("redis",), dialect="hub", ws=FANOUT),
    ON_A_FILE: Candidate(
        "chatlib, on a file, without Redis",
        apps.chatlib_app,
        (),
        dialect="hub",
        ws=FANOUT,
        needs_redis=False,
    ),
    "socketio-redis": Candidate(
        "python-socketio", apps.socketio_app, ("redis", "socketio"), dialect="socketio"
    ),
    "litestar-streams": Candidate(
        "Litestar channels, streams", apps.litestar_streams_app, ("redis", "litestar"), history=True
    ),
    "litestar-pubsub": Candidate(
        "Litestar channels, pub/sub", apps.litestar_pubsub_app, ("redis", "litestar")
    ),
    "broadcaster-pubsub": Candidate(
        "encode/broadcaster, pub/sub", apps.broadcaster_app, ("redis", "broadcaster")
    ),
    "broadcaster-streams": Candidate(
        "encode/broadcaster, streams", apps.broadcaster_streams_app, ("redis", "broadcaster")
    ),
    "channels-core": Candidate(
        "channels_redis, `RedisChannelLayer`", apps.channels_app, ("redis", "channels_redis")
    ),
    "channels-pubsub": Candidate(
        "channels_redis, `RedisPubSubChannelLayer`",
        apps.channels_pubsub_app,
        ("redis", "channels_redis"),
    ),
}
