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
        offers: what a client gets that comes back.
        history: whether it gets that only if it asks for the history.
        ws: the WebSocket protocol of uvicorn that its documentation asks for.
        needs_redis: whether it keeps its messages there.
    """

    label: str
    app: Callable[[], ASGIApp]
    packages: tuple[str, ...]
    dialect: Literal["text", "hub", "socketio"] = "text"
    offers: str = "nothing"
    history: bool = False
    ws: str = "auto"
    needs_redis: bool = True


FROM_CURSOR = "what it has missed"

CHATLIB = "chatlib-redis"
ON_A_FILE = "chatlib-sqlite"  # measured where it is asked for

CANDIDATES = {
    CHATLIB: Candidate(
        "chatlib",
        apps.chatlib_app,
        ("redis",),
        dialect="hub",
        offers=FROM_CURSOR,
        ws=FANOUT,
    ),
    ON_A_FILE: Candidate(
        "chatlib, on a file, without Redis",
        apps.chatlib_app,
        (),
        dialect="hub",
        offers=FROM_CURSOR,
        ws=FANOUT,
        needs_redis=False,
    ),
    "socketio-redis": Candidate(
        "python-socketio", apps.socketio_app, ("redis", "socketio"), dialect="socketio"
    ),
    "litestar-streams": Candidate(
        "Litestar channels, streams",
        apps.litestar_streams_app,
        ("redis", "litestar"),
        offers="all that is kept",
        history=True,
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
