"""What every store has to do."""

import asyncio

import pytest

from chatlib.stores.contract.model import expect_a_list
from chatlib.stores.contract.tools import Listener, Make, fill, ids, run
from chatlib.stores.retention import Retention
from chatlib.stores.store import BODY_BYTES, START, Cursor, Store, next_tag


class StoreContract:
    """Tests of a store alone."""

    def test_ids_count_from_1_and_what_was_appended_comes_back(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            receipts = await fill(store, "lobby", 3)
            assert [receipt.id for receipt in receipts] == [1, 2, 3]
            page = await store.read("lobby")
            assert [(e.id, e.key, e.body) for e in page.entries] == [
                (n, f"k{n}", b"%d" % n) for n in (1, 2, 3)
            ]
            assert [e.tag for e in page.entries] == [receipt.tag for receipt in receipts]
            assert (page.history, page.first, page.head) == ("new", 1, Cursor(3, receipts[2].tag))

        run(make, scenario)

    def test_a_tag_follows_from_the_one_before_and_the_body(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            one, two = await fill(store, "lobby", 2)
            assert two.tag == next_tag(one.tag, b"2")

        run(make, scenario)

    def test_no_two_rooms_have_one_history(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            tags = {(await store.append(f"room {n}", "k", b"same")).tag for n in range(20)}
            assert len(tags) == 20

        run(make, scenario)

    def test_the_same_key_again_gives_the_same_receipt_and_one_message(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            first = await store.append("lobby", "key", b"once")
            again = await store.append("lobby", "key", b"another body")
            assert again == (first.id, first.tag, True)
            both = await asyncio.gather(*(store.append("lobby", "new", b"x") for _ in range(2)))
            assert {receipt.id for receipt in both} == {2}
            assert sorted(receipt.again for receipt in both) == [False, True]
            assert (await store.append("other", "key", b"once")).again is False
            assert [e.body for e in (await store.read("lobby")).entries] == [b"once", b"x"]

        run(make, scenario)

    def test_two_appends_of_one_task_keep_their_order(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            tasks = [
                asyncio.ensure_future(store.append("lobby", f"k{n}", b"x")) for n in range(100)
            ]
            assert [receipt.id for receipt in await asyncio.gather(*tasks)] == [*range(1, 101)]

        run(make, scenario)

    def test_names_are_kept_as_they_are(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            names = ["Room", "room", "ro om", "r:log", "*", "'", "é", "e\u0301", "日本", "\n"]
            for name in names:
                assert (await store.append(name, name, name.encode())).id == 1
            for name in names:
                (entry,) = (await store.read(name)).entries
                assert (entry.key, entry.body) == (name, name.encode())

        run(make, scenario)

    def test_any_bytes_are_a_body(self, make: Make) -> None:
        bodies = [b"", bytes(range(256)), b"\0", b"x" * BODY_BYTES]

        async def scenario(store: Store) -> None:
            for number, body in enumerate(bodies):
                await store.append("lobby", f"k{number}", body)
            assert [entry.body for entry in (await store.read("lobby")).entries] == bodies

        run(make, scenario)

    @pytest.mark.parametrize(
        ("room", "key", "body"),
        [
            ("", "k", b""),
            ("r" * 201, "k", b""),
            ("r", "", b""),
            ("r", "k" * 201, b""),
            ("r", "k", b"x" * (BODY_BYTES + 1)),
            ("r\0", "k", b""),
            ("r\ud800", "k", b""),
            ("r", "\ud800", b""),
        ],
    )
    def test_what_cannot_be_kept_is_refused(
        self, make: Make, room: str, key: str, body: bytes
    ) -> None:
        async def scenario(store: Store) -> None:
            with pytest.raises(ValueError, match="expected"):
                await store.append(room, key, body)
            assert await store.heads(["r"]) == {"r": START}

        run(make, scenario)

    def test_a_room_that_was_only_read_is_new(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            assert await store.read("empty") == ([], "new", 1, START, START)
            assert await store.read("empty", after=START) == ([], "complete", 1, START, START)
            assert await store.heads(["empty", "other"]) == {"empty": START, "other": START}

        run(make, scenario)

    def test_a_page_follows_a_cursor_or_comes_before_an_id(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            receipts = await fill(store, "lobby", 10)
            cursors = [START, *(Cursor(r.id, r.tag) for r in receipts)]
            for after in (0, 4, 9, 10):
                page = await store.read("lobby", after=cursors[after], limit=3)
                assert page.history == "complete"
                assert ids(page) == [*range(after + 1, min(after + 4, 11))]
                assert page.before == cursors[after]
            assert ids(page := await store.read("lobby", limit=3)) == [8, 9, 10]
            assert page.before == cursors[7]
            assert ids(await store.read("lobby", before=4, limit=2)) == [2, 3]
            assert ids(await store.read("lobby", before=2)) == [1]
            assert ids(await store.read("lobby", before=1)) == []
            assert ids(await store.read("lobby", before=100, limit=2)) == [9, 10]

        run(make, scenario)

    def test_what_follows_a_cursor_and_comes_before_an_id_is_not_asked_at_once(
        self, make: Make
    ) -> None:
        async def scenario(store: Store) -> None:
            for after in (START, Cursor(1, "0123abcd")):
                with pytest.raises(ValueError, match="expected `after` or `before`, got both"):
                    await store.read("lobby", after=after, before=1)

        run(make, scenario)

    def test_a_cursor_of_another_history_has_diverged(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            receipts = await fill(store, "lobby", 3)
            other = Cursor(2, "0123abcd")
            ahead = Cursor(4, receipts[2].tag)
            for cursor in (other, ahead, Cursor(0, "0123abcd")):
                page = await store.read("lobby", after=cursor, limit=2)
                assert (page.history, ids(page)) == ("diverged", [2, 3])

        run(make, scenario)

    def test_old_messages_go_by_number_and_say_so(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            receipts = await fill(store, "lobby", 8)
            cursors = [START, *(Cursor(r.id, r.tag) for r in receipts)]
            page = await store.read("lobby", after=cursors[2])
            assert (page.history, page.first, ids(page)) == ("trimmed", 4, [4, 5, 6, 7, 8])
            assert page.before == cursors[3]
            assert (await store.read("lobby", after=START)).history == "trimmed"
            # The place before the oldest one is known still.
            page = await store.read("lobby", after=cursors[3])
            assert (page.history, ids(page)) == ("complete", [4, 5, 6, 7, 8])
            page = await store.read("lobby", after=Cursor(3, "0123abcd"))
            assert page.history == "diverged"

        run(make, scenario, Retention(messages=5))

    def test_old_messages_go_by_size_and_the_newest_stays(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            for number in range(5):
                await store.append("lobby", f"k{number}", b"x" * 40)
            assert ids(await store.read("lobby")) == [4, 5]
            await store.append("lobby", "big", b"x" * 1000)
            assert ids(await store.read("lobby")) == [6]

        run(make, scenario, Retention(bytes=100))

    def test_a_key_goes_with_its_message(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            await fill(store, "lobby", 4)
            assert (await store.append("lobby", "k1", b"1"))[::2] == (5, False)
            assert (await store.append("lobby", "k4", b"4"))[::2] == (4, True)

        run(make, scenario, Retention(messages=2))

    def test_an_ear_hears_what_is_appended_once_and_in_order(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            ear, deaf = Listener(), Listener()
            await store.hear("lobby", ear)
            await store.hear("lobby", deaf)
            await store.unhear("lobby", deaf)
            await asyncio.gather(*(store.append("lobby", f"k{n % 50}", b"x") for n in range(100)))
            await store.append("other", "k", b"x")
            await ear.until(lambda: len(ear.entries) >= 50)
            assert ear.entries == (await store.read("lobby")).entries
            assert deaf.entries == []
            await store.unhear("lobby", deaf)  # harmless

        run(make, scenario)

    def test_people_are_counted_by_connection(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            ear = Listener()
            await store.hear("lobby", ear)
            for name in ("ana", "ben", "ana"):
                await store.enter("lobby", name)
            await store.leave("lobby", "ben")
            assert await store.people("lobby") == {"ana": 2}
            await store.leave("lobby", "ana")
            assert await store.people("lobby") == {"ana": 1}
            await store.leave("lobby", "ana")
            await store.leave("lobby", "nobody")
            assert await store.people("lobby") == {}
            await ear.until(lambda: ear.people_changed > 0)

        run(make, scenario)

    def test_it_answers_when_it_is_asked(self, make: Make) -> None:
        async def scenario(store: Store) -> None:
            await store.check()
            assert await store.heads([]) == {}

        run(make, scenario)

    def test_a_log_is_a_list(self, make: Make) -> None:
        expect_a_list(make)
