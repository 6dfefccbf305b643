"""The candidates' apps: what a client says is published in a room, for members of all workers.

Each publishes in the handler of the client that speaks, and waits until that is done. A client
that connects with `?answers=1` is told so: `ok` and what it said, or `no` if publishing failed.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

STORE = "CHATLIB_BENCHMARK_STORE"  # in the environment: the address of Redis, as a rule
ROOM = "lobby"
PATH = "/ws/1"
KEPT = 10_000  # messages that those keep that keep any: chatlib's default

Publish = Callable[[str], Awaitable[object]]
Texts = AsyncIterator[str]
Lifespan = Callable[[Any], AbstractAsyncContextManager[None]]


async def talk(websocket: Any, publish: Publish) -> None:
    """Publish what a client says until it leaves. It is a WebSocket of Starlette or of Litestar."""
    answers = "answers" in websocket.query_params
    while (message := await websocket.receive())["type"] != "websocket.disconnect":
        text = message["text"]
        if not answers:
            await publish(text)
            continue
        try:
            await publish(text)
        except Exception:  # each library has its own
            await websocket.send_text(f"no {text}")
        else:
            await websocket.send_text(f"ok {text}")


async def relay(websocket: WebSocket, texts: Texts, publish: Publish) -> None:
    """Write `texts`, and publish what the client says. What fails in either ends the connection."""

    async def write() -> None:
        async for text in texts:
            await websocket.send_text(text)

    tasks = [asyncio.create_task(write()), asyncio.create_task(talk(websocket, publish))]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def app_of(
    endpoint: Callable[[WebSocket], Awaitable[None]], lifespan: Lifespan | None = None
) -> ASGIApp:
    """Return an app with one route."""

    async def quiet(websocket: WebSocket) -> None:
        await websocket.accept()
        with contextlib.suppress(WebSocketDisconnect):
            await endpoint(websocket)

    return Starlette(routes=[WebSocketRoute(PATH, quiet)], lifespan=lifespan)


def chatlib_app() -> ASGIApp:
    """Return an app on chatlib's `Hub`."""
    from chatlib import Hub

    # No beat: it would be counted among the messages. What is lost has to be found out without it.
    hub = Hub(os.environ[STORE], beat=3600)

    async def publish(text: str) -> None:
        await hub.publish(ROOM, text)

    async def endpoint(websocket: WebSocket) -> None:
        async with hub.join(websocket, ROOM, after=websocket.query_params.get("after")):
            await talk(websocket, publish)

    return app_of(endpoint, hub.lifespan)


def socketio_app() -> ASGIApp:
    """Return an app on python-socketio with its manager for asyncio. Its answers are its own."""
    import socketio

    manager = socketio.AsyncRedisManager(os.environ[STORE])
    server = socketio.AsyncServer(
        async_mode="asgi", client_manager=manager, transports=["websocket"], ping_interval=3600
    )

    @server.event
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await server.enter_room(sid, ROOM)

    @server.event
    async def message(sid: str, data: str) -> str:
        await server.emit("message", data, room=ROOM)
        return "ok"

    app: ASGIApp = socketio.ASGIApp(server)
    return app


def litestar_app(backend: Any) -> ASGIApp:
    """Return an app on Litestar and its channels. A client may ask for all that is kept."""
    import litestar
    from litestar.channels import ChannelsPlugin

    plugin = ChannelsPlugin(backend, channels=[ROOM])

    async def publish(text: str) -> None:
        await plugin.wait_published(text, ROOM)

    @litestar.websocket(PATH)
    async def endpoint(socket: litestar.WebSocket[Any, Any, Any]) -> None:
        await socket.accept()
        history = KEPT if "history" in socket.query_params else None
        async with (
            plugin.start_subscription(ROOM, history=history) as subscriber,
            subscriber.run_in_background(socket.send_text, join=False),
        ):
            await talk(socket, publish)

    app: ASGIApp = litestar.Litestar([endpoint], plugins=[plugin], openapi_config=None)
    return app


def litestar_streams_app() -> ASGIApp:
    """Return Litestar's channels on Redis streams."""
    from litestar.channels.backends.redis import RedisChannelsStreamBackend
    from redis.asyncio import Redis

    redis = Redis.from_url(os.environ[STORE])
    return litestar_app(RedisChannelsStreamBackend(KEPT, redis=redis))


def litestar_pubsub_app() -> ASGIApp:
    """Return Litestar's channels on Redis pub/sub."""
    from litestar.channels.backends.redis import RedisChannelsPubSubBackend
    from redis.asyncio import Redis

    return litestar_app(RedisChannelsPubSubBackend(redis=Redis.from_url(os.environ[STORE])))


def broadcaster_app(scheme: str = "redis") -> ASGIApp:
    """Return an app on encode/broadcaster: `redis` is pub/sub, `redis-stream` streams."""
    from broadcaster import Broadcast

    broadcast = Broadcast(os.environ[STORE].replace("redis", scheme, 1))

    async def publish(text: str) -> None:
        await broadcast.publish(ROOM, text)

    async def endpoint(websocket: WebSocket) -> None:
        async with broadcast.subscribe(ROOM) as subscriber:
            await relay(websocket, (event.message async for event in subscriber), publish)

    @contextlib.asynccontextmanager
    async def lifespan(app: object) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(broadcast)
            if scheme == "redis":
                # With redis-py 8.1 the listener of broadcaster 0.3.1 goes to sleep before its first
                # subscription is there, and then hears nothing. The next one wakes it up.
                await stack.enter_async_context(broadcast.subscribe("nothing is said here"))
            yield

    return app_of(endpoint, lifespan)


def broadcaster_streams_app() -> ASGIApp:
    """Return encode/broadcaster on Redis streams."""
    return broadcaster_app("redis-stream")


def layer_app(layer: Any) -> ASGIApp:
    """Return an app on a channel layer, used as the consumers of Django Channels use it."""

    async def publish(text: str) -> None:
        await layer.group_send(ROOM, {"type": "chat.message", "text": text})

    async def texts(channel: str) -> Texts:
        while True:
            yield (await layer.receive(channel))["text"]

    async def endpoint(websocket: WebSocket) -> None:
        channel = await layer.new_channel()
        await layer.group_add(ROOM, channel)
        try:
            await relay(websocket, texts(channel), publish)
        finally:
            await layer.group_discard(ROOM, channel)

    return app_of(endpoint)


def channels_app() -> ASGIApp:
    """Return an app on the channel layer that keeps queues in Redis."""
    from channels_redis.core import RedisChannelLayer

    return layer_app(RedisChannelLayer(hosts=[os.environ[STORE]]))


def channels_pubsub_app() -> ASGIApp:
    """Return an app on the channel layer that uses Redis pub/sub."""
    from channels_redis.pubsub import RedisPubSubChannelLayer

    return layer_app(RedisPubSubChannelLayer(hosts=[os.environ[STORE]]))
