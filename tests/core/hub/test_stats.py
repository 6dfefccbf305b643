"""What a hub says it has done: no sum falls when a room goes, and none is counted twice."""

import asyncio
from types import SimpleNamespace

from joining import Clock, in_loop, joined, turn

from chatlib.core.frames import encode
from chatlib.core.hub.beat import keep_beat
from chatlib.core.hub.envelope import text_of
from chatlib.core.hub.feed import Feed
from chatlib.core.hub.hub import Hub
from chatlib.core.hub.ledger import Ledger
from chatlib.core.hub.liveroom import LiveRoom
from chatlib.stores.memory import MemoryStore

FRAME = encode("x" * 1000)


def room_with(*members, repairs=0, history=None, limit=100_000):
    room = LiveRoom(limit)
    room.repairs = repairs
    if history:
        room.joins[history] += 1
    return room, [joined(room, **options) for options in members]


@in_loop
async def test_sums_are_those_of_all_rooms_and_the_rest_those_of_now():
    ledger = Ledger()
    (one, _), (two, _) = room_with({}, {}, repairs=1), room_with({}, history="new")
    one.post(FRAME)
    two.post(FRAME)
    await turn()
    stats = ledger.stats([one, two])
    assert (stats.rooms, stats.members, stats.largest, stats.behind) == (2, 3, 2, 0)
    assert (stats.delivered, stats.sent_bytes) == (3, 3 * len(FRAME))
    assert (stats.repairs, stats.joins) == (1, {"new": 1})


@in_loop
async def test_a_room_that_goes_stays_in_the_sums_once():
    ledger = Ledger()
    room, (member,) = room_with({}, repairs=2, history="complete")
    room.post(FRAME)
    await turn()
    before = ledger.stats([room])
    room.leave(member)
    ledger.retire(room)
    for _ in range(3):
        after = ledger.stats([])
        assert (after.delivered, after.sent_bytes) == (before.delivered, before.sent_bytes)
        assert (after.repairs, after.joins) == (2, {"complete": 1})
        assert (after.rooms, after.members, after.largest) == (0, 0, 0)
        await turn()
        ledger.retire(LiveRoom(1000))


@in_loop
async def test_what_is_written_to_one_who_has_just_left_is_counted():
    ledger = Ledger()
    room, (member,) = room_with({})
    room.post(FRAME)
    room.leave(member)
    ledger.retire(room)
    assert ledger.stats([]).delivered == 0
    await turn()
    assert ledger.stats([]).delivered == 1
    ledger.retire(LiveRoom(1000))
    assert ledger.stats([]).delivered == 1
    assert list(ledger._ending) == []


@in_loop
async def test_who_was_cut_off_stays_counted():
    ledger, clock = Ledger(), Clock()
    room, _ = room_with({"full_after": 1}, limit=2000)
    for _ in range(4):
        room.post(FRAME)
        await turn()
    await clock.pass_by(1)
    ledger.retire(room)
    assert sum(ledger.stats([]).evicted.values()) == 1
    await turn()
    ledger.retire(LiveRoom(1000))
    assert sum(ledger.stats([]).evicted.values()) == 1


@in_loop
async def test_rooms_that_go_all_at_once_are_not_kept():
    ledger, rooms = Ledger(), []
    for _ in range(100):
        room, (member,) = room_with({})
        rooms.append(room)
        room.leave(member)
        ledger.retire(room)
    await turn()
    for _ in range(100):
        ledger.retire(LiveRoom(1000))
    assert list(ledger._ending) == []


class Deaf(MemoryStore):
    """A store that tells nobody what is new."""

    async def hear(self, room, ear):
        pass


@in_loop
async def test_the_lag_is_what_the_store_has_and_the_feed_has_not():
    store, ledger = Deaf(), Ledger()
    feeds = {name: Feed(name, store, text_of, 100_000) for name in ("one", "two", "three")}
    for feed in feeds.values():
        await feed.start()
    for name, number in {"one": 2, "two": 3}.items():
        for key in range(number):
            await store.append(name, f"k{key}", b'"data":1}')
    beating = asyncio.create_task(keep_beat(0.01, store, feeds, ledger))
    while not ledger.lag:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)
    assert ledger.lag == 5
    while ledger.lag:  # noqa: ASYNC110 - there is no event to wait for
        await asyncio.sleep(0)
    assert [feed.room.repairs for feed in feeds.values()] == [1, 1, 0]
    beating.cancel()
    for feed in feeds.values():
        await feed.stop()


@in_loop
async def test_a_feed_that_is_further_than_the_store_was_has_no_lag():
    class Slow(MemoryStore):
        """A store that is asked for its heads, and then gets a message before it answers."""

        async def heads(self, rooms):
            heads = await super().heads(rooms)
            if "one" in heads and feed.ready:
                await self.append("one", "k2", b'"data":2}')
            return heads

    store, ledger = Slow(), Ledger()
    feed = Feed("one", store, text_of, 100_000)
    await feed.start()
    ledger.lag = 7
    beating = asyncio.create_task(keep_beat(0, store, {"one": feed}, ledger))
    await turn()
    assert feed.cursor.id == 1
    assert ledger.lag == 0
    beating.cancel()
    await feed.stop()


class Telling(LiveRoom):
    """A room that says when it is asked for its figures."""

    asked = staticmethod(lambda: None)

    @property
    def stats(self):
        self.asked()
        return super().stats


@in_loop
async def test_rooms_may_come_and_go_while_another_thread_asks():
    hub, ending, here = Hub("memory:"), Telling(1000), Telling(1000)
    hub._ledger._ending.append(ending)
    ending.asked = lambda: hub._ledger._ending.append(LiveRoom(1000))
    hub._feeds["here"] = SimpleNamespace(room=here)
    here.asked = lambda: hub._feeds.update(new=SimpleNamespace(room=LiveRoom(1000)))
    assert hub.stats.rooms == 1
    assert hub.stats.rooms == 2


def test_a_ledger_of_nothing_is_all_zeros():
    stats = Ledger().stats([])
    assert (stats.rooms, stats.delivered, stats.lag, stats.evicted, stats.joins) == (
        0,
        0,
        0,
        {},
        {},
    )
