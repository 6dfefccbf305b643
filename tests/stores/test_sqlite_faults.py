"""The SQLite store where its surroundings or its callers do what they should not."""

import asyncio
import os
import resource
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import pytest

from chatlib.stores.contract.tools import Listener, fill, ids, opened
from chatlib.stores.doorbell import RING_BYTES, Doorbell
from chatlib.stores.locks import Held, Turnstile, is_held
from chatlib.stores.sqlite import SQLiteStore
from chatlib.stores.sqlite_watch import Watch
from chatlib.stores.store import START, NotKept, Unsure

GUARD_SECONDS = 30.0


@pytest.fixture
def path(tmp_path):
    return tmp_path / "chat.db"


def run(scenario):
    async def play():
        async with asyncio.timeout(GUARD_SECONDS):
            await scenario()

    asyncio.run(play())


def replace_by_a_file(folder):
    while not folder.is_file():  # a store may remove its bell, or make it anew, at any moment
        shutil.rmtree(folder, ignore_errors=True)
        with suppress(OSError):
            folder.write_text("no folder")


def remove(*paths):
    for each in paths:
        each.unlink(missing_ok=True)


@contextmanager
def locked(path):
    """Hold the lock on the file, as another process may."""
    with closing(Turnstile(str(path))) as turnstile, turnstile.turn():
        yield


async def people_are(store, people):
    """Wait until these are the people; a ring or a look tells of each change."""
    ear = Listener()
    await store.hear("lobby", ear)

    async def are():
        return await store.people("lobby") == people

    await ear.until(are)


def test_a_job_that_raises_anything_fails_alone_and_the_store_goes_on(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            with pytest.raises(NotKept, match="cannot be divided"):
                await store._writer.do(divide)
            assert ids(await store.read("lobby")) == []
            await fill(store, "lobby", 1)

    def divide(batch):
        raise ZeroDivisionError("cannot be divided")

    run(scenario)


@pytest.mark.parametrize("call", ["enter", "leave"])
def test_a_name_that_utf8_cannot_express_is_refused(path, call):
    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            with pytest.raises(ValueError, match="UTF-8"):
                await getattr(store, call)("\ud800", "ana")
            with pytest.raises(ValueError, match="UTF-8"):
                await getattr(store, call)("lobby", "\ud800")

    run(scenario)


def test_something_else_in_the_place_of_the_bells_costs_nothing_but_the_bells(path):
    folder = Path(f"{path}-workers")

    async def scenario():
        async with opened(SQLiteStore(path)) as store, opened(SQLiteStore(path)) as other:
            ear, far = Listener(), Listener()
            await store.hear("lobby", ear)
            await store.enter("lobby", "ana")
            await other.enter("lobby", "ben")
            replace_by_a_file(folder)
            await fill(other, "lobby", 1)
            await ear.until(lambda: 1 in ear.heads)
            await people_are(other, {"ben": 1})  # it cannot find out any more that the other lives
            remove(folder)
            for each in (store, other):  # so both bells are there again
                await people_are(each, {"ana": 1, "ben": 1})
            await other.hear("lobby", far)
            store.shout("lobby", b"by the bell alone")
            await far.until(lambda: far.shouts == [b"by the bell alone"])

    run(scenario)


def test_who_is_taken_for_dead_comes_back_while_the_bells_have_no_place(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store, opened(SQLiteStore(path)) as other:
            await other.enter("lobby", "ben")
            replace_by_a_file(Path(f"{path}-workers"))
            await store._writer.do(lambda batch: batch.bury(other._bell.name))
            await people_are(other, {"ben": 1})

    run(scenario)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"1",
        b"[" * 20_000,
        b'{"heads": {"lobby": [1e999, "x"]}}',
        b'{"heads": {"lobby": 5}}',
        b'{"new": {"lobby": []}}',
        b'{"new": {"lobby": [[1, "x", "key"]]}}',
        b'{"new": {"lobby": [[1e999, "x", "key", "eA=="]]}}',
        b'{"new": {"lobby": [[1, "x", "key", "e"]]}}',
        b'{"new": {"lobby": {"1": 2}}}',
        b'{"people": [[]]}',
        b'{"shout": [[], "eA=="]}',
    ],
)
def test_a_ring_of_garbage_does_no_harm(path, data):
    async def scenario():
        async with opened(SQLiteStore(path)) as store, opened(SQLiteStore(path)) as other:
            ear = Listener()
            await store.hear("lobby", ear)
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stranger:
                stranger.sendto(data, store._bell._at(store._bell.name))
            other.shout("lobby", b"x")
            await ear.until(lambda: ear.shouts == [b"x"])
            assert not ear.entries

    run(scenario)


def test_another_process_hears_messages_without_a_read(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store, opened(SQLiteStore(path)) as other:
            ear = Listener()
            await store.hear("lobby", ear)
            for number in range(3):
                await other.append("lobby", f"key {number}", b"\xff%d" % number)
            await ear.until(lambda: len(ear.entries) == 3)
            page = await store.read("lobby", after=START)
            assert ear.entries == page.entries

    run(scenario)


def test_another_process_hears_up_to_where_the_log_reaches_if_messages_are_long(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store, opened(SQLiteStore(path)) as other:
            ear = Listener()
            await store.hear("lobby", ear)
            await other.append("lobby", "key", b"x" * RING_BYTES)
            await ear.until(lambda: 1 in ear.heads)
            assert not ear.entries

    run(scenario)


def test_processes_that_read_no_rings_take_none_from_the_others(path, monkeypatch):
    monkeypatch.setattr(Watch, "_look", lambda self: None)  # they hear by the bell alone

    async def scenario():
        async with opened(SQLiteStore(path)) as store, opened(SQLiteStore(path)) as other:
            with ExitStack() as stopped:
                for _ in range(5):
                    stopped.enter_context(closing(Doorbell(Path(f"{path}-workers"))))
                ear = Listener()
                await store.hear("lobby", ear)
                for number in range(50):
                    await other.append("lobby", f"key {number}", b"x" * 10_000)
                    await ear.until(lambda number=number: len(ear.entries) == number + 1)

    run(scenario)


def test_a_ring_that_the_system_finds_too_long_says_nothing_and_is_heard(tmp_path):
    with closing(Doorbell(tmp_path / "bells")) as one, closing(Doorbell(tmp_path / "bells")) as two:
        one.ring(lambda: b"x" * 10_000_000)
        assert two.wait(GUARD_SECONDS) == [b"{}"]


def test_a_bell_rings_in_a_process_with_many_open_files(path):
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(2000, before[0]), before[1]))

    async def scenario():
        async with opened(SQLiteStore(path)) as store, opened(SQLiteStore(path)) as other:
            ear = Listener()
            await store.hear("lobby", ear)
            other.shout("lobby", b"x")
            await ear.until(lambda: ear.shouts == [b"x"])

    try:
        with ExitStack() as stack:
            for _ in range(1100):  # select() takes no descriptor above 1023
                stack.enter_context(Path(os.devnull).open())
            run(scenario)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_a_store_that_is_not_open_says_so(path):
    async def expect_closed(store):
        with pytest.raises(NotKept, match="not open in this process"):
            await store.append("lobby", "key", b"x")
        for call in (
            store.read("lobby"),
            store.heads(["lobby"]),
            store.people("lobby"),
            store.enter("lobby", "ana"),
            store.check(),
        ):
            with pytest.raises(OSError, match="not open in this process"):
                await call
        await store.leave("lobby", "ana")  # harmless, as is another close
        await store.close()

    async def scenario():
        store = SQLiteStore(path)
        await expect_closed(store)
        async with opened(store):
            await fill(store, "lobby", 1)
            with pytest.raises(RuntimeError, match="is open already"):
                await store.open()
        await expect_closed(store)
        async with opened(store):
            assert ids(await store.read("lobby")) == [1]

    run(scenario)


FORK = """
import asyncio, os, sys
from chatlib.stores.sqlite import SQLiteStore

async def refused(store):
    try:
        await store.append("lobby", "key", b"x")
    except Exception as error:
        print(error, flush=True)

async def main(path):
    store = SQLiteStore(path)
    await store.open()
    await store.enter("lobby", "ana")
    if os.fork() == 0:
        asyncio._set_running_loop(None)
        asyncio.run(refused(store))
        sys.stdin.read()
        os._exit(0)
    await asyncio.Event().wait()

asyncio.run(main(sys.argv[1]))
"""


def test_a_fork_holds_nothing_of_a_process_that_was_killed_and_cannot_use_its_store(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            assert await store.people("lobby") == {"ana": 1}
            process.send_signal(signal.SIGKILL)
            await asyncio.to_thread(process.wait)
            assert await store.people("lobby") == {}

    command, pipe = [sys.executable, "-W", "ignore", "-c", FORK, str(path)], subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert "not open in this process" in process.stdout.readline()
        run(scenario)


def test_a_lock_that_others_look_at_is_not_held(tmp_path):
    path = tmp_path / "dead.lock"
    path.touch()
    fcntl = pytest.importorskip("fcntl")
    with path.open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH | fcntl.LOCK_NB)
        assert not is_held(path)
    with closing(Held(path)):
        assert is_held(path)


def test_what_processes_have_left_that_were_killed_is_swept_away(path):
    folder = Path(f"{path}-workers")
    folder.mkdir()
    for end in ("lock", "bell"):
        (folder / f"123-0123abcd.{end}").touch()
    with closing(Doorbell(folder)) as bell:
        assert bell.dead() == {"123-0123abcd"}

    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            while store._bell.dead():
                await fill(store, "lobby", 1)  # it takes a moment

    run(scenario)


def test_a_store_opens_and_closes_while_others_hold_the_lock(path):
    async def scenario():
        store = SQLiteStore(path, patience=0.2)
        await store.open()
        with locked(path):
            appending = asyncio.ensure_future(store.append("lobby", "key", b"x"))
            await asyncio.sleep(0)
            await store.close()
            with pytest.raises(NotKept, match="no turn"):
                await appending
            async with opened(SQLiteStore(path, patience=0.2)) as other:
                assert ids(await other.read("lobby")) == []

    run(scenario)


def test_a_file_that_others_are_making_is_not_waited_for_without_end(path):
    with locked(path), pytest.raises(OSError, match=r"cannot keep messages in .* locked by others"):
        asyncio.run(SQLiteStore(path, patience=0.2).open())


def test_a_check_fails_where_nothing_could_be_kept(path):
    async def scenario():
        async with opened(SQLiteStore(path, patience=0.2)) as store:
            await store.check()
            with locked(path), pytest.raises(OSError, match=r"cannot write to .* no turn"):
                await store.check()
            await store.check()

    run(scenario)


def test_a_file_and_a_link_to_it_are_one_store(path):
    link = path.with_name("link.db")
    path.touch()
    link.symlink_to(path)

    async def scenario():
        async with opened(SQLiteStore(path)) as store, opened(SQLiteStore(link)) as other:
            ear = Listener()
            await store.hear("lobby", ear)
            other.shout("lobby", b"by the bell alone")
            await ear.until(lambda: ear.shouts == [b"by the bell alone"])
            await other.enter("lobby", "ana")
            assert await store.people("lobby") == {"ana": 1}

    run(scenario)


@pytest.mark.parametrize("end", ["-gate", "-write"])
def test_a_place_whose_locks_cannot_be_made_is_told(path, end):
    Path(f"{path}{end}").mkdir()
    with pytest.raises(OSError, match=f"cannot keep messages in {path}: .*directory"):
        asyncio.run(SQLiteStore(path).open())


def test_a_place_whose_bells_cannot_be_made_is_told(path):
    Path(f"{path}-workers").touch()
    with pytest.raises(OSError, match=f"cannot keep messages in {path}: .*exists"):
        asyncio.run(SQLiteStore(path).open())


def test_who_came_while_the_file_was_locked_is_there_afterwards(path):
    async def scenario():
        async with opened(SQLiteStore(path, patience=0.1)) as store:
            with locked(path):
                await store.enter("lobby", "ana")
                # What the watch asks for loses its patience as well.
                for key in "abcdefgh":  # for 0.8 seconds, and the watch asks every 0.5
                    with pytest.raises(NotKept):
                        await store.append("lobby", key, b"x")
            await people_are(store, {"ana": 1})

    run(scenario)


def test_who_was_cancelled_on_the_way_in_is_not_there(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            with locked(path):
                entering = asyncio.ensure_future(store.enter("lobby", "ana"))
                await asyncio.sleep(0)
                entering.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await entering
            await store.enter("lobby", "ben")
            assert await store.people("lobby") == {"ben": 1}

    run(scenario)


def test_the_people_come_back_to_a_file_that_was_removed(path):
    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            await store.enter("lobby", "ana")
            remove(*(Path(f"{path}{end}") for end in ("", "-wal", "-shm")))
            await people_are(store, {"ana": 1})

    run(scenario)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_FULL, NotKept),
        (sqlite3.SQLITE_BUSY, NotKept),
        (sqlite3.SQLITE_IOERR_FSYNC, Unsure),
    ],
)
def test_a_commit_that_fails_is_told_for_what_it_is(path, code, expected):
    """A full disk at the commit, where SQLite has rolled back by itself, among others."""

    class Failing:
        """A connection whose commit fails."""

        in_transaction = False

        def __init__(self, connection):
            self.connection = connection

        def execute(self, statement, *args):
            if statement != "COMMIT":
                return self.connection.execute(statement, *args)
            self.connection.execute("ROLLBACK")
            error = sqlite3.OperationalError("as if")
            error.sqlite_errorcode = code
            raise error

        def __getattr__(self, name):
            return getattr(self.connection, name)

    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            link = store._writer._link
            connection = link.get()
            link._connection = Failing(connection)
            with pytest.raises(expected, match="as if"):
                await store.append("lobby", "key", b"x")
            if link._connection is not None:
                link._connection = connection
            assert (await store.append("lobby", "key", b"x")).again is False

    run(scenario)


def test_a_transaction_of_big_messages_has_few_of_them(path):
    class Counting(Listener):
        """An ear that counts how many messages it is told of at once."""

        def new(self, entries):
            counts.append(len(entries))
            super().new(entries)

    counts = []

    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            ear = Counting()
            await store.hear("lobby", ear)
            with locked(path):
                appends = [
                    asyncio.ensure_future(store.append("lobby", f"k{n}", b"x" * 100_000))
                    for n in range(10)
                ]
                await asyncio.sleep(0)
            await asyncio.gather(*appends)
            await ear.until(lambda: len(ear.entries) == 10)
            assert max(counts) == 3  # 300,000 bytes

    run(scenario)


def test_others_have_their_turn_while_one_tells_what_it_has_kept(path):
    turns = []

    async def scenario():
        async with opened(SQLiteStore(path)) as store:
            tell = store._writer._on_kept

            def tell_in_a_turn_of_others(batch, calls):
                turnstile = Turnstile(str(path))  # as another process has it
                with closing(turnstile), turnstile.turn(patience=GUARD_SECONDS / 2):
                    turns.append(batch)
                    tell(batch, calls)

            store._writer._on_kept = tell_in_a_turn_of_others
            ear = Listener()
            await store.hear("lobby", ear)
            await fill(store, "lobby", 2)
            await ear.until(lambda: len(ear.entries) == 2)
            assert len(turns) == 2

    run(scenario)
