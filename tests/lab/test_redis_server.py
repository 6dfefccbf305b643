"""A Redis of one's own: it keeps its data while it is started again, and outlives nobody."""

import contextlib
import socket
import subprocess
import sys

import pytest
from redis import Redis

from chatlib.lab import redis_server
from chatlib.lab.loopback import ServerError
from chatlib.lab.redis_server import RedisServer


def test_it_answers_as_soon_as_it_is_there(needs_redis):
    with RedisServer() as server, Redis.from_url(server.url) as redis:
        assert redis.ping()


def test_one_that_was_killed_has_its_port_and_its_data_again(needs_redis):
    with RedisServer() as server, Redis.from_url(server.url) as redis:
        redis.set("key", "value")
        server.kill()
        assert not server.running
        server.start()
        assert redis.get("key") == b"value"


def test_one_that_keeps_nothing_on_the_disk_has_lost_it_all(needs_redis):
    with RedisServer(appendfsync=None) as server, Redis.from_url(server.url) as redis:
        redis.set("key", "value")
        server.kill()
        server.start()
        assert redis.get("key") is None


def test_a_paused_one_answers_once_it_is_woken(needs_redis):
    with RedisServer() as server, Redis.from_url(server.url, socket_timeout=None) as redis:
        redis.ping()
        server.pause()
        connection = redis.connection_pool.get_connection()
        connection.send_command("PING")
        server.wake()
        assert connection.read_response() == b"PONG"
        connection.disconnect()


def test_the_one_that_is_started_takes_the_place_of_the_one_before(needs_redis):
    first = redis_server.start()
    second = redis_server.start(appendfsync=None)
    assert second.running
    assert not first.running
    redis_server.stop()
    redis_server.stop()
    assert not second.running


def test_one_that_was_stopped_says_that_it_has_to_be_started_again(needs_redis):
    with RedisServer() as server:
        server.kill()
        assert server.url.startswith("redis://127.0.0.1:")
    for use in (lambda: server.url, server.start):
        with pytest.raises(ServerError, match="start Redis again"):
            use()
    server.kill()
    assert repr(server) == "<Redis: ended>"


def test_one_that_cannot_start_tells_why(needs_redis):
    with pytest.raises(ServerError, match=r"Redis did not start: [\s\S]*maxmemory"):
        RedisServer(maxmemory="a lot")


def test_a_machine_without_redis_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ServerError, match="apt install redis-server"):
        RedisServer()


def test_it_ends_with_the_process_that_started_it_even_with_one_that_is_killed(needs_redis):
    code = (
        "import sys; from chatlib.lab.redis_server import RedisServer; "
        "server = RedisServer(); print(server.port, flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as it:
        port = int(it.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
            it.kill()
            with contextlib.suppress(ConnectionResetError):
                assert connection.recv(1) == b""  # it has ended
