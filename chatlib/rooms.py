"""Rooms that remember: known people, history, and a client that comes back misses nothing.

`app` takes its store and its secret from the environment: `CHATLIB_STORE`, by default `memory:`,
and `CHATLIB_SECRET`. An app with users of its own makes one with `create_app`.
"""

import math
import os
import secrets
from collections.abc import Awaitable, Callable, Collection

from fastapi import FastAPI, WebSocket

from chatlib.core.guard import Guard
from chatlib.core.hub.hub import BEAT_SECONDS, Hub
from chatlib.core.metrics.add import add_metrics
from chatlib.core.ops.add import add_stopping
from chatlib.core.ops.health import Probes, add_probes
from chatlib.core.ops.stopping import drain_from_environment
from chatlib.core.origins import origins_from_environment
from chatlib.core.pages import add_page
from chatlib.core.redact import redact_logs
from chatlib.core.rooms.entrance import Entrance
from chatlib.core.rooms.http_guard import guard_http
from chatlib.core.rooms.identity import Tokens
from chatlib.core.rooms.message import frame_of
from chatlib.core.rooms.routes import add_routes
from chatlib.core.rooms.sign_in import TOKEN_SECONDS, add_sign_in
from chatlib.core.rooms.spec import add_spec
from chatlib.core.rooms.talk import Limits, Rooms
from chatlib.stores.store import Store

STORE = "CHATLIB_STORE"
SECRET = "CHATLIB_SECRET"
RETRY_MILLISECONDS = 4000

redact_logs()


async def everybody(name: str, room: str) -> bool:
    """Let everybody into each room."""
    return True


def create_app(
    store: str | Store = "memory:",
    *,
    secret: str | None = None,
    sign_in: bool = True,
    token_seconds: float = TOKEN_SECONDS,
    allow: Callable[[str, str], Awaitable[bool]] = everybody,
    known: Callable[[str], Awaitable[bool]] | None = None,
    limits: Limits | None = None,
    origins: Collection[str] = (),
    beat: float = BEAT_SECONDS,
    retry: int = RETRY_MILLISECONDS,
    drain: float = 0.0,
) -> FastAPI:
    """Return an app that speaks `chatlib.rooms.1`: its page `/protocol` describes it.

    `app.state.hub` is its `Hub`, for what the server itself has to say. What the hub publishes is
    no message of this protocol, though: use `app.state.rooms.keep`.

    Args:
        store: an address, as `store_at` takes it, or a store.
        secret: of at least 32 bytes, with which tokens are signed; the same in each process. None:
            a random one, so tokens are good for as long as this process.
        sign_in: whether whoever comes can sign in with any name that they like: for a course, or
            among people who trust each other. If not, `Tokens(secret).sign(name, seconds)` makes
            tokens for the users of an app of your own.
        token_seconds: how long the tokens of the sign-in are good.
        allow: says whether a name may be in a room.
        known: says whether there is a person of a name, to whom one may write. None: whoever is in
            the same room or connected to their inbox, or has had a message there before.
        limits: for each client.
        origins: of other sites whose pages may connect and post, as for `Guard`.
        beat: every how many seconds clients get a beat.
        retry: over how many milliseconds clients come back after a restart.
        drain: for how many seconds after SIGTERM it goes on, as for `add_ops`.

    Raises:
        ValueError: there is no such store, the secret is too short, or a time cannot be.
    """
    for what, value in {"token_seconds": token_seconds, "beat": beat}.items():
        if not 0 < value < math.inf:
            raise ValueError(f"expected {what} above 0, got {value!r}")
    if retry < 0:
        raise ValueError(f"expected retry from 0 on, got {retry!r}")
    limits = limits or Limits()
    hub = Hub(store, beat=beat)
    hub.render = frame_of
    tokens = Tokens(secrets.token_urlsafe() if secret is None else secret)
    rooms = Rooms(hub, known, limits, retry)
    entrance = Entrance(rooms, tokens, allow)

    app = FastAPI(title="Rooms", lifespan=hub.lifespan)
    app.state.hub, app.state.rooms, app.state.entrance = hub, rooms, entrance
    app.add_middleware(Guard, origins=origins, max_bytes=limits.frame_bytes)
    guard_http(app, origins, limits.frame_bytes)
    add_page(app, "rooms")
    if sign_in:
        add_sign_in(app, tokens, token_seconds)
    add_routes(app, entrance)
    add_spec(app)

    @app.websocket("/rooms/{room}")
    async def talk(websocket: WebSocket, room: str) -> None:
        await entrance.serve(websocket, room)

    stopping = add_stopping(app, drain)
    # A connection is in its room and in an inbox, and counts once here.
    add_probes(app, Probes(hub, lambda: (len(hub.rooms), entrance.open.total()), stopping))
    add_metrics(app, hub)
    return app


app = create_app(
    os.environ.get(STORE) or "memory:",
    secret=os.environ.get(SECRET) or None,
    origins=origins_from_environment(),
    drain=drain_from_environment(),
)
