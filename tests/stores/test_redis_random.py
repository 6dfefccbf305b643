"""The Redis store under faults at random: each seed is a run of its own."""

import asyncio
import random
from itertools import pairwise

import pytest

from chatlib.lab import FaultProxy
from chatlib.stores.contract.tools import opened
from chatlib.stores.redis import RedisStore
from chatlib.stores.store import START, NotKept, Receipt, Unsure, next_tag

GUARD_SECONDS = 60.0
ROUNDS = 40


@pytest.mark.parametrize("seed", range(4))
def test_whatever_is_cut_a_key_is_one_message_and_all_are_told_the_same_of_it(
    redis, operator, seed
):
    chance = random.Random(seed)
    told: dict[str, list[Receipt]] = {}
    refused: set[str] = set()  # by each call that there was

    def fault(cable):
        chance.choice(
            [
                lambda: cable.cut_reply(),
                lambda: cable.cut_reply(b"\r\n:"),
                lambda: cable.cut(),
                lambda: cable.cut_after(chance.randrange(300), "up"),
                lambda: cable.cut_after(chance.randrange(60), "down"),
                lambda: operator.client_kill_filter(_type="normal", skipme=True),
                lambda: operator.script_flush(),
                lambda: operator.config_set("maxmemory", "1"),
                lambda: operator.config_set("min-replicas-to-write", "1"),
            ]
        )()

    def heal(cable):
        cable.heal()
        operator.config_set("maxmemory", "0")
        operator.config_set("min-replicas-to-write", "0")

    async def append(store, key):
        try:
            told.setdefault(key, []).append(await store.append("lobby", key, key.encode()))
        except NotKept:
            if key not in told:
                refused.add(key)
        except Unsure:
            refused.discard(key)
            told.setdefault(key, [])

    async def scenario(cable):
        url = f"redis://127.0.0.1:{cable.port}/0"
        stores = [RedisStore(url, patience=0.3, timeout=0.2) for _ in range(2)]
        async with opened(stores[0]), opened(stores[1]):
            for number in range(ROUNDS):
                fault(cable)
                keys = [f"{number}-{each}" for each in range(4)]
                keys += [f"{number - 1}-0", f"{number}-0"]  # again, and twice at a time
                await asyncio.gather(*(append(chance.choice(stores), key) for key in keys))
                heal(cable)
            page = await stores[0].read("lobby", after=START, limit=ROUNDS * 4)
        entries = page.entries
        assert [entry.id for entry in entries] == [*range(1, page.head.id + 1)]
        assert len({entry.key for entry in entries}) == len(entries)
        places = {entry.key: (entry.id, entry.tag) for entry in entries}
        for key, receipts in told.items():
            assert {receipt[:2] for receipt in receipts} <= {places.get(key)}
            assert sum(not receipt.again for receipt in receipts) <= 1
        assert not (refused - set(told)) & set(places)
        for one, following in pairwise(entries):
            assert following.tag == next_tag(one.tag, following.body)
        assert len(entries) > ROUNDS

    async def play():
        with FaultProxy(redis.port) as cable:
            async with asyncio.timeout(GUARD_SECONDS):
                await scenario(cable)

    asyncio.run(play())
