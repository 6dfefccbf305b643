"""The SQLite store where something goes wrong: processes that die or stop, files that go."""

import asyncio
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys

import pytest

from chatlib.stores.contract.tools import Listener, fill, ids, opened
from chatlib.stores.locks import Turnstile
from chatlib.stores.sqlite import SQLiteStore
from chatlib.stores.store import START, Cursor, NotKept, next_tag

GUARD_SECONDS = 30.0

# Appends bodies 1, 2, 3 … until it is killed, and prints the number of each that is acknowledged.
WRITER = """
import asyncio, sys
from chatlib.stores.sqlite import SQLiteStore

async def main(path, name):
    store = SQLiteStore(path)
    await store.open()
    await store.enter("lobby", name)
    number = 0
    while True:
        await asyncio.gather(
            *(store.append("lobby", f"{name} {number + n}", b"x") for n in range(1, 9))
        )
        number += 8
        print(number, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chat.db"


@contextlib.contextmanager
def writer(path, name):
    """Run a process that appends, until the end of the block."""
    command = [sys.executable, "-c", WRITER, str(path), name]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def run(scenario):
    async def play():
        async with asyncio.timeout(GUARD_SECONDS):
            await scenario()

    asyncio.run(play())


def test_what_a_killed_process_was_told_is_kept_is_there(path):
    with writer(path, "ana") as process:
        acknowledged = [int(process.stdout.readline()) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        acknowledged += [int(line) for line in process.stdout]

    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            head = (await store.heads(["lobby"]))["lobby"]
            assert head.id >= acknowledged[-1]
            page = await store.read("lobby", after=START, limit=head.id)
            assert ids(page) == [*range(1, head.id + 1)]
            kept = {entry.key for entry in page.entries}
            assert {f"ana {n}" for n in range(1, acknowledged[-1] + 1)} <= kept

    run(scenario)


def test_the_people_of_a_killed_process_are_gone_and_the_others_are_told(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            ear = Listener()
            await store.hear("lobby", ear)
            with writer(path, "ana") as process:
                await asyncio.to_thread(process.stdout.readline)
                assert await store.people("lobby") == {"ana": 1}
                process.send_signal(signal.SIGKILL)
                await asyncio.to_thread(process.wait)
                assert await store.people("lobby") == {}  # at once, whoever forgets its rows
            told = ear.people_changed
            await ear.until(lambda: ear.people_changed > told)
            await ear.until(lambda: forgotten(path))

    async def forgotten(path):
        with contextlib.closing(sqlite3.connect(path)) as file:
            return file.execute("SELECT count(*) FROM people").fetchone() == (0,)

    run(scenario)


def test_a_process_that_was_stopped_and_woken_goes_on(path):
    async def scenario():
        async with opened(SQLiteStore(path, patience=0.5)) as store:
            with writer(path, "ana") as process:
                await asyncio.to_thread(process.stdout.readline)
                process.send_signal(signal.SIGSTOP)
                # It may have stopped in its turn, which nobody can take from it.
                with contextlib.suppress(NotKept):
                    await store.append("other", "meanwhile", b"x")
                process.send_signal(signal.SIGCONT)
                await asyncio.to_thread(process.stdout.readline)
                assert (await anyhow(store, "after")).again is False

    async def anyhow(store, key):
        while True:  # the process that was woken has the turn, and may need it for some time
            with contextlib.suppress(NotKept):
                return await store.append("other", key, b"x")

    run(scenario)


def test_an_append_that_has_no_turn_in_time_is_not_kept(path):
    async def scenario():
        async with opened(SQLiteStore(path, patience=0.2)) as store:
            await fill(store, "lobby", 1)
            turnstile = Turnstile(str(path))  # as another process has it
            with turnstile.turn():
                with pytest.raises(NotKept, match=r"no turn within 0\.2 seconds"):
                    await store.append("lobby", "late", b"x")
                assert ids(await store.read("lobby")) == [1]  # reading goes on
            turnstile.close()
            await store.append("lobby", "later", b"x")
            keys = [entry.key for entry in (await store.read("lobby")).entries]
            assert keys == ["k1", "later"]

    run(scenario)


def test_an_append_to_a_file_that_another_program_has_locked_is_not_kept(path):
    async def scenario():
        async with opened(SQLiteStore(path, patience=0.2)) as store:
            await fill(store, "lobby", 1)
            with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(NotKept, match="locked"):
                    await store.append("lobby", "late", b"x")
                other.execute("ROLLBACK")
            assert (await store.append("lobby", "late", b"x"))[::2] == (2, False)

    run(scenario)


def test_a_full_disk_refuses_messages_and_keeps_what_is_there(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            await fill(store, "lobby", 1)

            def fill_disk(batch):
                pages = batch.connection.execute("PRAGMA page_count").fetchone()[0]
                batch.connection.execute(f"PRAGMA max_page_count = {pages}")

            def free_disk(batch):
                batch.connection.execute("PRAGMA max_page_count = 1000000")

            await store._writer.do(fill_disk)
            with pytest.raises(NotKept, match="full"):
                await store.append("lobby", "big", b"x" * 100_000)
            assert ids(await store.read("lobby")) == [1]
            await store._writer.do(free_disk)
            assert (await store.append("lobby", "big", b"x" * 100_000))[::2] == (2, False)

    run(scenario)


def test_the_folder_of_the_bells_may_be_removed(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store, opened(SQLiteStore(path)) as other:
            ear = Listener()
            await store.hear("lobby", ear)
            await other.enter("lobby", "ana")
            shutil.rmtree(f"{path}-workers", ignore_errors=True)
            await fill(other, "lobby", 2)
            await ear.until(lambda: 2 in ear.heads)  # by looking, if not by a ring
            await ear.until(lambda: there(store))

    async def there(store):
        return await store.people("lobby") == {"ana": 1}

    run(scenario)


def test_a_file_that_was_removed_begins_anew_and_cursors_find_out(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store, opened(SQLiteStore(path)) as other:
            receipts = await fill(store, "lobby", 3)
            cursor = Cursor(3, receipts[-1].tag)
            ear = Listener()
            await other.hear("lobby", ear)
            for end in ("", "-wal", "-shm"):
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(f"{path}{end}")  # noqa: PTH108 - as `rm` does, at once
            await ear.until(lambda: ear.heads[-1:] == [0])
            assert (await other.read("lobby", after=cursor)).history == "diverged"
            await fill(store, "lobby", 5, first=10)
            for each in (store, other):
                page = await each.read("lobby", after=cursor)
                assert (page.history, ids(page)) == ("diverged", [1, 2, 3, 4, 5])

    run(scenario)


def test_an_older_copy_of_the_file_is_found_out_by_cursors(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            await fill(store, "lobby", 3)
        shutil.copy(path, f"{path}.old")
        async with opened(SQLiteStore(path)) as store:
            receipts = await fill(store, "lobby", 2, first=4)
        shutil.copy(f"{path}.old", path)
        async with opened(SQLiteStore(path)) as store:
            cursor = Cursor(5, receipts[-1].tag)
            assert (await store.read("lobby", after=cursor)).history == "diverged"
            await fill(store, "lobby", 2, first=6)  # as many as there were
            assert (await store.read("lobby", after=cursor)).history == "diverged"

    run(scenario)


def test_a_long_path_is_no_hindrance(tmp_path):
    folder = tmp_path.joinpath(*["a long name of a folder"] * 8)
    folder.mkdir(parents=True)

    async def scenario():
        path = folder / "chat.db"
        async with opened(SQLiteStore(path)) as store, opened(SQLiteStore(path)) as other:
            far = Listener()
            await other.hear("lobby", far)
            store.shout("lobby", b"by the bell alone")
            await far.until(lambda: far.shouts == [b"by the bell alone"])

    run(scenario)


def test_nothing_stays_beside_the_file_but_its_locks(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            await fill(store, "lobby", 1)

    run(scenario)
    left = {str(each.relative_to(path.parent)) for each in path.parent.rglob("*")}
    assert left == {"chat.db", "chat.db-gate", "chat.db-write", "chat.db-workers"}


def test_reading_leaves_nothing_in_the_file(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            for number in range(100):
                await store.read(f"room {number}")
                await store.heads([f"room {number}"])
            with contextlib.closing(sqlite3.connect(path)) as file:
                for table in ("rooms", "messages", "people"):
                    assert file.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,)

    run(scenario)


def test_keys_that_are_kept_already_among_many_new_ones_are_told(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            kept = await fill(store, "lobby", 2)
            keys = [f"new {n}" for n in range(200)]
            keys[150] = keys[12]  # one more of this transaction, and two of an earlier one
            keys[63], keys[120] = "k1", "k2"
            turnstile = Turnstile(str(path))
            with turnstile.turn():  # so that all are written in one transaction
                rooms = ["other" if n % 3 else "lobby" for n in range(200)]
                appends = [
                    asyncio.ensure_future(store.append(room, key, b"x"))
                    for room, key in zip(rooms, keys, strict=True)
                ]
                await asyncio.sleep(0)
            turnstile.close()
            receipts = await asyncio.gather(*appends)
            assert [n for n in range(200) if receipts[n].again] == [63, 120, 150]
            first = [*kept, receipts[12]]
            for receipt, again in zip(first, (63, 120, 150), strict=True):
                assert receipts[again][:2] == receipt[:2]
            for room in ("lobby", "other"):
                page = await store.read(room)
                expected = ["k1", "k2"] if room == "lobby" else []
                for key in (key for r, key in zip(rooms, keys, strict=True) if r == room):
                    expected += [] if key in expected else [key]
                assert [entry.key for entry in page.entries] == expected
                assert ids(page) == [*range(1, len(expected) + 1)]
                for before, entry in zip(page.entries, page.entries[1:], strict=False):
                    assert entry.tag == next_tag(before.tag, entry.body)

    run(scenario)


def test_a_body_that_was_changed_by_hand_to_text_is_read_as_bytes(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            await fill(store, "lobby", 1)
            with contextlib.closing(sqlite3.connect(path)) as file, file:
                file.execute("UPDATE messages SET body = 'changed'")
            assert [entry.body for entry in (await store.read("lobby")).entries] == [b"changed"]

    run(scenario)


@pytest.mark.parametrize("wrong", ["", ":memory:"])
def test_sqlites_own_memory_is_refused(wrong):
    with pytest.raises(ValueError, match="take 'memory:'"):
        SQLiteStore(wrong)


def test_a_place_that_cannot_be_used_is_told(tmp_path):
    text = tmp_path / "text.db"
    text.write_text("no database, but long enough to be taken for one at first sight")
    with contextlib.closing(sqlite3.connect(tmp_path / "other.db")) as other:
        other.execute("CREATE TABLE things(thing)")

    async def open_it(path):
        async with opened(SQLiteStore(path)):
            pass

    for path, why in [
        (tmp_path / "nowhere" / "chat.db", "there is no folder"),
        (text, "not a database"),
        (tmp_path / "other.db", "another program's database"),
        (tmp_path, "it is a folder"),
    ]:
        with pytest.raises(OSError, match=why) as error:
            asyncio.run(open_it(path))
        assert str(path) in str(error.value)
