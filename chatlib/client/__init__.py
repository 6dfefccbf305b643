"""A client of the rooms of `chatlib.rooms`, which reconnects and misses nothing.

    async with join("ws://127.0.0.1:8000/rooms/lobby", token=token) as room:
        await room.say("hello")
        async for message in room:
            print(message.sender, message.text)

Where there is no `await`, `BlockingRoom(join(…))` does the same.
"""

import ssl
from collections.abc import Callable

from websockets.client import backoff

from chatlib.client.blocking import BlockingRoom
from chatlib.client.connector import Connector, Delays, Proxy, Token
from chatlib.client.errors import (
    IncompleteHistoryError,
    LeftError,
    RefusedError,
    RoomError,
    SayError,
    TokenError,
    UnreachableError,
    UnsureError,
)
from chatlib.client.incoming import Event, Lost, ignore
from chatlib.client.outbox import Outbox, Receipt
from chatlib.client.room import Room
from chatlib.client.unread import Message
from chatlib.core.rooms.protocol import People, Typing, Welcome
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

    The block begins once the server has let you in. When the connection is lost, another one goes
    on where it ended: the iteration returns each message once, in the order of the room. If
    messages are missing, it raises `IncompleteHistoryError` in their place, once, and goes on when
    you iterate again. That is so if you were away for longer than the server keeps messages, or if
    the server has lost some that you had.

        while True:
            try:
                async for message in room:
                    lines.append(message)
                break  # the room was left
            except IncompleteHistoryError as missing:
                lines.clear()  # and tell the reader

    At the end of the block the connection is closed with 1000, and your name leaves the list of
    those present. Other tasks that still wait for `say` get `UnsureError` then. All waiting can be
    cancelled; `Room.say` tells what that means for a message.

    You may say something and never iterate: `say` returns all the same. Up to `buffer` messages are
    held in memory until you iterate. More are dropped, and the server is asked for them again when
    you have read the others.

    Args:
        url: of the room: `ws://` or `wss://`, and `…/rooms/@me` for your inbox.
        token: as the server's sign-in gives it; or a function, sync or async, that returns one. It
            is called at the beginning, and again when the server no longer takes that token. A sync
            one must not block: it is called in the event loop.
        after: the cursor to go on from: what `Room.cursor` or `Message.cursor` was. None: begin
            with the last messages of the room.
        last: how many those are, 200 at most; also after a history that is no more.
        on_event: called in the event loop with what else happens: `Welcome` for each connection,
            `Lost` when it has ended, `People` who come and leave, and `Typing`. It must not block.
            What it raises ends the room.
        keep_trying: whether to try again when the server cannot be reached at the beginning, as
            later on. What cannot be put right by waiting is raised all the same.
        buffer: how many messages are held in memory for you at most.
        grace: how many seconds the server's beat may be late before the connection counts as dead.
        reconnect_delays: makes the seconds to wait before each try, without end. The first try
            after a connection was lost comes at once, before them. By default it is the back-off of
            websockets, with its environment variables.
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
    place = None if after is None else Cursor.parse(str(after))
    return Room(connector, Outbox(reconnect_delays), place, buffer, grace, keep_trying, on_event)
