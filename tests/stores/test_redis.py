"""The Redis store: what it says of a Redis, what it keeps there, and whom it tells."""

import asyncio
import gc
import logging
import subprocess
import sys

import pytest
from fastapi import FastAPI, WebSocket
from fastapi.testclient import TestClient
from ports import reserved_port
from redis import Redis
from redis.exceptions import ResponseError

from chatlib.core.hub.hub import Hub
from chatlib.lab.loopback import listen
from chatlib.lab.redis_server import RedisServer
from chatlib.stores.contract.tools import Listener, fill, ids, opened
from chatlib.stores.redis import RedisStore
from chatlib.stores.redis_listener import entries_in
from chatlib.stores.redis_wire import expect_fit
from chatlib.stores.retention import Retention
from chatlib.stores.store import START, Cursor, NotKept

GUARD_SECONDS = 30.0


def run(scenario):
    async def play():
        async with asyncio.timeout(GUARD_SECONDS):
            return await scenario()

    return asyncio.run(play())


async def refusal(url, **options):
    """Return what a store says that cannot be opened."""
    with pytest.raises(OSError, match="cannot") as refused:
        await RedisStore(url, **options).open()
    return str(refused.value)


async def durability(url):
    async with opened(RedisStore(url)) as store:
        return store.durable


@pytest.mark.parametrize(
    ("appendfsync", "durable"),
    [("always", "disk"), ("everysec", "second"), ("no", "unknown"), (None, "memory")],
)
def test_it_states_how_durable_redis_makes_what_it_keeps(needs_redis, appendfsync, durable):
    with RedisServer(appendfsync) as redis:
        assert run(lambda: durability(redis.url)) == durable


def test_where_redis_tells_nothing_of_its_settings_that_is_unknown(redis, operator):
    who = ("ana", "on", ">pw", "~*", "&*", "+@all", "-config", "-info", "-client")
    operator.execute_command("ACL", "SETUSER", *who)
    url = redis.url.replace("redis://", "redis://ana:pw@")
    assert run(lambda: durability(url)) == "unknown"


def test_how_durable_it_is_was_unknown_before_and_is_known_after(redis):
    store = RedisStore(redis.url)
    assert store.durable == "unknown"

    async def scenario():
        async with opened(store):
            pass

    run(scenario)
    assert store.durable == "disk"


def test_an_operator_is_warned_of_a_redis_that_loses_messages(needs_redis, caplog):
    settings = {"maxmemory-policy": "allkeys-lru"}
    with RedisServer(None, **settings) as redis, caplog.at_level(logging.WARNING):
        run(lambda: durability(redis.url))
    told = " ".join(caplog.messages)
    assert "has no append-only file (appendonly no)" in told
    assert "may drop rooms when its memory is full (maxmemory-policy allkeys-lru)" in told


@pytest.mark.parametrize("policy", ["volatile-lru", "volatile-ttl"])
def test_nobody_is_warned_of_a_policy_that_drops_only_keys_with_a_time_to_live(
    needs_redis, caplog, policy
):
    settings = {"maxmemory-policy": policy}
    with RedisServer(**settings) as redis, caplog.at_level(logging.WARNING):
        run(lambda: durability(redis.url))
    assert caplog.messages == []


def test_nobody_is_warned_of_a_redis_that_loses_nothing(redis, caplog):
    with caplog.at_level(logging.WARNING):
        run(lambda: durability(redis.url))
    assert caplog.messages == []


def test_where_nobody_listens_that_is_said():
    with listen(0) as sock:
        port = sock.getsockname()[1]
        said = run(lambda: refusal(f"redis://127.0.0.1:{port}/0"))
    assert said == f"cannot keep messages in redis://127.0.0.1:{port}/0: Connection refused"


def test_where_nobody_answers_that_is_said_in_time():
    with listen(0) as sock:
        sock.listen()
        port = sock.getsockname()[1]
        said = run(lambda: refusal(f"redis://127.0.0.1:{port}/0", timeout=0.2))
    assert said.startswith(f"cannot keep messages in redis://127.0.0.1:{port}/0: Timeout")


def test_a_wrong_password_is_said_and_not_shown(needs_redis):
    with RedisServer(requirepass="right") as redis:
        url = redis.url.replace("redis://", "redis://:wrong@")
        said = run(lambda: refusal(url))
    assert "WRONGPASS" in said or "invalid username-password" in said
    assert "wrong@" not in said
    assert "redis://:***@127.0.0.1" in said


def test_a_database_that_there_is_not_is_said(redis):
    assert "out of range" in run(lambda: refusal(redis.url.replace("/0", "/99")))


def test_a_replica_is_refused(redis):
    with RedisServer() as replica, Redis.from_url(replica.url) as operator:
        operator.replicaof("127.0.0.1", str(redis.port))
        assert "it is a replica, to which nobody can write" in run(lambda: refusal(replica.url))


def test_a_cluster_is_refused(needs_redis):
    with RedisServer(cluster_enabled="yes") as redis:
        assert "it runs as a cluster" in run(lambda: refusal(redis.url))


def test_a_redis_that_is_too_old_is_refused():
    with pytest.raises(ResponseError, match=r"it is Redis 5\.0\.14, and 6\.2 is the oldest"):
        expect_fit({"redis_version": "5.0.14"})


def test_a_user_who_may_not_publish_is_refused(redis, operator):
    operator.execute_command("ACL", "SETUSER", "ana", "on", ">pw", "~*", "+@all", "resetchannels")
    url = redis.url.replace("redis://", "redis://ana:pw@")
    said = run(lambda: refusal(url, patience=0.5))
    assert said.startswith("cannot hear what is published at redis://ana:***@")


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1/lobby",
        "redis://127.0.0.1:99999/0",
        "redis://127.0.0.1/0?colour=red",
        "redis://[::1/0",
        "http://127.0.0.1/0",
    ],
)
def test_what_is_no_address_is_told_what_is(url):
    with pytest.raises(
        ValueError, match=r"expected an address such as redis://127\.0\.0\.1:6379/0"
    ):
        RedisStore(url)


def test_without_the_package_it_is_said_what_to_install():
    code = (
        "import sys; sys.modules['redis'] = None; sys.modules['redis.asyncio'] = None\n"
        "from chatlib.stores import store_at\n"
        "try: store_at('redis://127.0.0.1:6379/0')\n"
        "except ImportError as error: print(error)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'chatlib[redis]'" in ran.stdout


def test_over_tls_the_certificate_of_redis_is_checked(needs_redis, certificate):
    options = {"tls_cert_file": certificate.path, "tls_key_file": certificate.key}
    options |= {"tls_ca_cert_file": certificate.path, "tls_auth_clients": "no"}
    with reserved_port() as port, RedisServer(tls_port=str(port), **options):
        good = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={certificate.path}"
        assert run(lambda: durability(good)) == "disk"
        assert "certificate" in run(lambda: refusal(f"rediss://127.0.0.1:{port}/0"))


@pytest.mark.parametrize(
    "query",
    ["protocol=3", "decode_responses=True", "encoding=latin-1", "health_check_interval=1"],
)
def test_what_the_address_says_of_how_answers_are_read_changes_nothing(redis, query):
    async def scenario():
        async with opened(RedisStore(f"{redis.url}?{query}")) as store:
            ear = Listener()
            await store.hear("€", ear)
            await store.append("€", "€", b"\xff")
            await ear.until(lambda: 1 in ear.heads)
            await store.enter("€", "€")
            assert await store.people("€") == {"€": 1}
            assert (await store.read("€")).entries[0][2:] == ("€", b"\xff")

    run(scenario)


def test_two_databases_of_one_redis_hear_nothing_of_each_other(redis):
    async def scenario():
        other = RedisStore(redis.url.replace("/0", "/1"))
        async with opened(RedisStore(redis.url)) as store, opened(other):
            here, there = Listener(), Listener()
            await store.hear("lobby", here)
            await other.hear("lobby", there)
            await fill(other, "lobby", 1)
            await fill(store, "lobby", 2)
            await here.until(lambda: 2 in here.heads)
            await there.until(lambda: 1 in there.heads)
            assert (here.heads, there.heads) == ([1, 2], [1])

    run(scenario)


def test_two_apps_with_prefixes_of_their_own_share_nothing(redis, operator):
    async def scenario():
        one, two = RedisStore(redis.url, prefix="one"), RedisStore(redis.url, prefix="two")
        async with opened(one), opened(two):
            await fill(one, "lobby", 3)
            assert (await two.read("lobby")).entries == []
            await one.enter("lobby", "ana")
            assert await two.people("lobby") == {}

    run(scenario)
    assert {key.partition(":")[0] for key in operator.keys("*")} == {"one", "two"}


def test_a_room_that_was_never_written_leaves_nothing_behind(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            await store.read("lobby")
            await store.heads(["lobby"])
            await store.hear("lobby", Listener())
            await store.enter("lobby", "ana")
            await store.leave("lobby", "ana")

    run(scenario)
    assert operator.keys("*") == ["chatlib:workers"]


def test_messages_that_are_long_are_told_of_and_read(redis):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            ear = Listener()
            await store.hear("lobby", ear)
            await store.append("lobby", "k", b"x" * 100_000)
            await ear.until(lambda: ear.heads == [1])
            assert ear.entries == []

    run(scenario)


def test_a_message_may_be_as_old_as_the_clock_of_redis_says(redis, operator):
    async def scenario():
        retention = Retention(seconds=3600)
        async with opened(RedisStore(redis.url, retention)) as store:
            await fill(store, "lobby", 2)
            ((number, fields),) = operator.xrange("chatlib:{lobby}:log", count=1)
            aged = int(fields["at"]) - 3_700_000
            operator.xdel("chatlib:{lobby}:log", number)
            rest = operator.xrange("chatlib:{lobby}:log")
            operator.delete("chatlib:{lobby}:log")
            for place, words in [(number, {**fields, "at": aged}), *rest]:
                operator.xadd("chatlib:{lobby}:log", words, id=place)
            await fill(store, "lobby", 1, first=3)
            assert ids(await store.read("lobby")) == [2, 3]

    run(scenario)


def test_old_messages_go_some_at_a_time_however_many_there_are(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            await asyncio.gather(*(store.append("lobby", f"k{n}", b"x") for n in range(400)))
        async with opened(RedisStore(redis.url, Retention(messages=5))) as store:
            lengths = []
            for number in range(400, 405):
                await store.append("lobby", f"k{number}", b"x")
                lengths.append((await store.read("lobby")).first)
            assert ids(await store.read("lobby")) == [401, 402, 403, 404, 405]
            return lengths

    firsts = run(scenario)
    assert firsts == [102, 203, 304, 400, 401]
    assert operator.hlen("chatlib:{lobby}:keys") == 5


def test_a_room_of_500_messages_at_once_is_one_call(redis, operator):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            calls = operator.info("commandstats")["cmdstat_evalsha"]["calls"]
            await asyncio.gather(*(store.append("lobby", f"k{n}", b"x") for n in range(500)))
            return calls

    before = run(scenario)
    after = operator.info("commandstats")["cmdstat_evalsha"]["calls"]
    assert after - before < 10  # one for the messages, some for leases


def test_a_page_without_entries_says_what_became_of_a_cursor_as_others_do(redis):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            receipts = await fill(store, "lobby", 3)
            for receipt in receipts:
                page = await store.read("lobby", after=Cursor(*receipt[:2]), limit=0)
                assert (page.history, page.entries) == ("complete", [])

    run(scenario)


def test_it_belongs_to_the_event_loop_that_opened_it(redis):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            with pytest.raises(RuntimeError, match=r"belongs to the event loop.*TestClient\(app\)"):
                await asyncio.to_thread(asyncio.run, store.append("lobby", "k", b"x"))

    run(scenario)


def test_a_bare_test_client_is_told_how_to_write_it(redis):
    hub = Hub(redis.url)
    app = FastAPI(lifespan=hub.lifespan)

    @app.websocket("/ws")
    async def ws(websocket: WebSocket):
        await websocket.accept()
        await hub.follow(websocket, "lobby")

    bare = TestClient(app).websocket_connect("/ws")
    with pytest.raises(RuntimeError, match=r"with TestClient\(app\) as client:"), bare as client:
        client.receive_text()
    with TestClient(app) as client, client.websocket_connect("/ws") as socket:
        assert socket.receive_json()["type"] == "welcome"


def test_a_shout_may_come_from_any_thread(redis):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store, opened(RedisStore(redis.url)) as other:
            ear = Listener()
            await other.hear("lobby", ear)
            await asyncio.to_thread(store.shout, "lobby", b"typing")
            await ear.until(lambda: ear.shouts == [b"typing"])

    run(scenario)


def test_it_cannot_be_opened_twice_and_can_be_opened_again(redis):
    async def scenario():
        store = RedisStore(redis.url)
        async with opened(store):
            await fill(store, "lobby", 1)
            with pytest.raises(RuntimeError, match="is open already"):
                await store.open()
        with pytest.raises(NotKept, match="is not open"):
            await store.append("lobby", "k", b"x")
        with pytest.raises(OSError, match="is not open"):
            await store.read("lobby")
        async with opened(store):
            assert ids(await store.read("lobby", after=START)) == [1]

    run(scenario)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of what that event loop left open
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_it_can_be_opened_again_where_its_event_loop_ended_without_closing_it(redis):
    store = RedisStore(redis.url)
    run(store.open)

    async def scenario():
        async with opened(store):
            await fill(store, "lobby", 1)

    run(scenario)
    gc.collect()  # so that this test is warned, and no other


def test_what_waits_when_it_is_closed_is_kept(redis):
    async def scenario():
        store = RedisStore(redis.url)
        await store.open()
        appends = [asyncio.ensure_future(store.append("lobby", f"k{n}", b"x")) for n in range(50)]
        await asyncio.sleep(0)  # so that they have begun
        await store.close()
        assert [receipt.id for receipt in await asyncio.gather(*appends)] == [*range(1, 51)]

    run(scenario)


def test_what_is_published_says_where_each_message_ends():
    data = b"7 0123abcd 2 3,8 4567cdef 1 0\nk1\0\nxk"
    assert [(e.id, e.tag, e.key, e.body) for e in entries_in(data)] == [
        (7, "0123abcd", "k1", b"\0\nx"),
        (8, "4567cdef", "k", b""),
    ]
    with pytest.raises(ValueError, match="expected 6 bytes, got 7"):
        entries_in(data + b"x")


def test_whatever_others_publish_on_its_channels_does_no_harm(redis):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            ear = Listener()
            await store.hear("lobby", ear)
            with Redis.from_url(redis.url) as stranger:
                for words in (
                    b"",
                    b"m",
                    b"m\n",
                    b"m1 2 3 4\nx",
                    b"h",
                    b"hx y",
                    b"s",
                    b"\xff",
                    b"p",
                ):
                    stranger.publish("chatlib:0:room:lobby", words)
            await fill(store, "lobby", 1)
            await ear.until(lambda: 1 in ear.heads)
            assert [entry.body for entry in ear.entries] == [b"1"]
            await store.check()

    run(scenario)


def test_a_cursor_beyond_all_numbers_is_of_another_history(redis):
    async def scenario():
        async with opened(RedisStore(redis.url)) as store:
            await fill(store, "lobby", 2)
            for number in (10**15, 2**64, 2**80):
                page = await store.read("lobby", after=Cursor(number, "0123abcd"))
                assert (page.history, ids(page)) == ("diverged", [1, 2])
            assert ids(await store.read("lobby", before=2**80)) == [1, 2]
            assert ids(await store.read("lobby", before=-5)) == []

    run(scenario)
