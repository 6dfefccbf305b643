"""What a store has to do that several processes share."""

import asyncio

from chatlib.stores.contract.alone import StoreContract
from chatlib.stores.contract.tools import Listener, Make, fill, ids, opened, run
from chatlib.stores.store import START, Store, next_tag


class SharedStoreContract(StoreContract):
    """Tests of a store that several processes share: here two stores on one place."""

    def test_one_hears_what_another_appends(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            async with opened(make()) as other:
                ear = Listener()
                await store.hear("lobby", ear)
                await fill(other, "lobby", 3)
                await ear.until(lambda: 3 in ear.heads)
                assert ids(await store.read("lobby", after=START)) == [1, 2, 3]

        run(make, scenario)

    def test_both_append_to_one_history(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            async with opened(make()) as other:
                stores = [store, other] * 50
                receipts = await asyncio.gather(
                    *(each.append("lobby", f"k{n}", b"%d" % n) for n, each in enumerate(stores))
                )
                assert sorted(receipt.id for receipt in receipts) == [*range(1, 101)]
                page = await store.read("lobby")
                assert page == await other.read("lobby")
                for before, entry in zip(page.entries, page.entries[1:], strict=False):
                    assert entry.tag == next_tag(before.tag, entry.body)

        run(make, scenario)

    def test_a_key_holds_for_all(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            async with opened(make()) as other:
                receipt = await store.append("lobby", "key", b"x")
                assert await other.append("lobby", "key", b"x") == (receipt.id, receipt.tag, True)

        run(make, scenario)

    def test_what_is_kept_is_there_when_it_is_opened_again(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            async with opened(make()) as other:
                await fill(other, "lobby", 3)
                page = await other.read("lobby")
            assert await store.read("lobby") == page

        run(make, scenario)

    def test_a_shout_reaches_the_others_and_not_oneself(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            async with opened(make()) as other:
                near, far = Listener(), Listener()
                await store.hear("lobby", near)
                await other.hear("lobby", far)
                store.shout("lobby", b"\0typing")
                await far.until(lambda: far.shouts == [b"\0typing"])
                assert near.shouts == []

        run(make, scenario)

    def test_people_of_all_are_counted_and_those_of_a_closed_one_go(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            ear = Listener()
            await store.hear("lobby", ear)
            await store.enter("lobby", "ana")
            async with opened(make()) as other:
                await other.enter("lobby", "ana")
                await other.enter("lobby", "ben")
                await ear.until(lambda: counted(store, {"ana": 2, "ben": 1}))
                assert await other.people("lobby") == {"ana": 2, "ben": 1}
            await ear.until(lambda: counted(store, {"ana": 1}))

        async def counted(store: Store, people: dict[str, int]) -> bool:
            return await store.people("lobby") == people

        run(make, scenario)
