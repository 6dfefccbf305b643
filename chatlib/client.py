"""A client of the rooms of `chatlib.rooms`, which reconnects and misses nothing.

async with join("ws://127.0.0.1:8000/rooms/lobby", token=token) as room:
    await room.say("hello")
    async for message in room:
        print(message.sender, message.text)
"""

import ssl
from collections.abc import Callable
from typing import Any

from websockets.client import backoff

from chatlib.core.client_blocking import BlockingRoom
from chatlib.core.client_connector import Connector, Delays, Proxy, Token
from chatlib.core.client_errors import (
    IncompleteHistoryError,
    LeftError,
    RefusedError,
    RoomError,
    SayError,
    TokenError,
    UnreachableError,
    UnsureError,
)
from chatlib.core.client_incoming import Event, Lost, ignore
from chatlib.core.client_outbox import Outbox, Receipt
from chatlib.core.client_room import Room
from chatlib.core.client_unread import Message
from chatlib.core.protocol import People, Typing, Welcome
from chatlib.stores.store import Cursor

__all__ = [
    "BlockingRoom",
    "Event",
    "IncompleteHistoryError",
    "LeftError",
    "Lost",
    "Message",
    "People",
    "Receipt",
    "RefusedError",
    "Room",
    "RoomError",
    "SayError",
    "TokenError",
    "Typing",
    "UnreachableError",
    "UnsureError",
    "Welcome",
    "join",
    "join_blocking",
]


def join(
    url: str,
    *,
    token: Token,
    after: str | Cursor | None = None,
    last: int = 50,
    on_event: Callable[[Event], None] = ignore,
    keep_trying: bool = False,
    buffer: int = 1000,
    grace: float = 10.0,
    reconnect_delays: Delays = backoff,
    ssl: ssl.SSLContext | None = None,
    proxy: Proxy = True,
) -> Room:
    """Join a room for the time of an `async with` block.

        async with join("ws://127.0.0.1:8000/rooms/lobby", token=token) as room:
            receipt = await room.say("hello")
            async for message in room:
                print(message.sender, message.text)

    The block begins once the server has let you in. When the connection is lost, there is another
    one, which goes on where the last one ended: the iteration returns each message once, in the
    order of the room. If messages are missing, it says so: it raises `IncompleteHistoryError` in
    their place, once, and goes on when you iterate again. That happens only to who was away for
    longer than the server keeps messages, or if the server has lost some that you had.

        while True:
            try:
                async for message in room:
                    lines.append(message)
                break  # the room was left
            except IncompleteHistoryError as gap:
                lines.clear()  # and tell the reader

    At the end of the block the connection is closed with 1000, and your name goes from the list of
    those present. Other tasks that wait for an answer to `say` get `UnsureError` then. All waiting
    can be cancelled; `Room.say` says what that means for a message.

    You may say something and never iterate. Messages are held in memory up to `buffer`. Those
    beyond it are dropped, and asked for again when you have iterated over the others.

    Args:
        url: of the room: `ws://` or `wss://`, and `…/rooms/@me` for your inbox.
        token: as the server's sign-in gives it; or a function, sync or async, that returns one. It
            is called at the beginning, and again when the server no longer takes that token. A sync
            one must not block: it is called in the event loop.
        after: the cursor to go on from: what `Room.cursor` or `Message.cursor` was. None: begin
            with the last messages of the room.
        last: how many those are, 200 at most; also after a history that is no more.
        on_event: called in the event loop with what else happens: `Welcome` for each connection,
            `Lost` when there is none, `People` who come and leave, and `Typing`. It must not block.
            What it raises ends the room.
        keep_trying: whether to try again when the server cannot be reached at the beginning, as
            later on. What cannot be put right by waiting is raised all the same.
        buffer: how many messages are held in memory for you at most.
        grace: how many seconds the server's beat may be late before the connection counts as dead.
        reconnect_delays: returns the seconds to wait before each try. A lost connection is tried
            at once first. By default it is that of websockets, which environment variables set.
        ssl: for `wss://`, where the default will not do.
        proxy: the address of one; True: the system's, but none to this machine; None: none.

    Returns:
        The room, to be used with `async with`, once.

    Raises:
        ValueError: `url` or `after` cannot be.

    Entering the block raises:
        UnreachableError: there is no server, or none that speaks this protocol, at that address.
        TokenError: the server does not take the token.
        RefusedError: there can be no such room (`code` 1008), or you may not be in it (4403).
        Exception: what `token` or `on_event` raises.

    Later the same, from `say` and the iteration, when the server will not have you back.
    """
    connector = Connector(url, token, last, reconnect_delays, ssl, proxy)
    return Room(
        connector,
        Outbox(reconnect_delays),
        None if after is None else Cursor.parse(str(after)),
        buffer=buffer,
        grace=grace,
        keep_trying=keep_trying,
        on_event=on_event,
    )


def join_blocking(url: str, *, token: Token, **options: Any) -> BlockingRoom:
    """Join a room for the time of a `with` block, where there is no `await`.

        with join_blocking("ws://127.0.0.1:8000/rooms/lobby", token=token) as room:
            room.say("hello")
            print(room.receive(timeout=10).text)

    All else is as `join` says. What is called, `token` and `on_event`, is called in the thread of
    the room.
    """
    return BlockingRoom(join(url, token=token, **options))
