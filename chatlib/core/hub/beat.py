"""The beat of a hub: a look, now and then, whether its rooms have missed anything."""

import asyncio
from collections.abc import Mapping

from chatlib.core.frames import encode
from chatlib.core.hub.feed import Feed
from chatlib.core.hub.ledger import Ledger
from chatlib.core.log import logger
from chatlib.stores.store import Store


async def keep_beat(
    seconds: float, store: Store, feeds: Mapping[str, Feed], ledger: Ledger
) -> None:
    """Every so many seconds look whether a feed has missed a hint, and tell the members.

    It goes on until it is cancelled. How far the feeds were behind is noted in `ledger`.
    """
    while True:
        await asyncio.sleep(seconds)
        ready = {room: feed for room, feed in feeds.items() if feed.ready}
        before = {room: feed.cursor for room, feed in ready.items()}
        try:
            heads = await store.heads(ready)
        except OSError as error:
            extra = {"room": None, "rooms": len(ready)}
            logger.warning("the heads of the rooms cannot be read: %s", error, extra=extra)
            continue
        # A feed may be further by now than the store was when it was asked: that is no lag.
        ledger.lag = sum(max(0, heads[room].id - feed.cursor.id) for room, feed in ready.items())
        for room, feed in ready.items():
            feed.head(heads[room])
            if heads[room].id < before[room].id:  # the log went back
                feed.repair()
            feed.room.post(encode({"type": "beat", "room": room, "head": feed.cursor.id}))
