"""A client that sends what no library would send."""

import zlib

import pytest
from websockets.frames import CloseCode

from chatlib.lab import Server
from chatlib.lab.hostile.raw import (
    PING,
    PONG,
    TEXT,
    Place,
    Visitor,
    deflate,
    frame,
    send_until_answered,
)
from chatlib.lab.shipped import app

SECONDS = 20.0  # a guard


@pytest.fixture
def place():
    with Server(app) as server:
        yield Place("127.0.0.1", server.port, "/ws")


@pytest.fixture
def visitor(place):
    visitor = Visitor(place, compression=True)
    yield visitor
    visitor.close()


@pytest.mark.parametrize("host", ["192.0.2.1", "10.0.0.1", "0.0.0.0", "2001:db8::1"])
def test_another_machine_is_refused(host):
    with pytest.raises(ValueError, match="an address of this machine"):
        Place(host, 80, "/ws")


@pytest.mark.parametrize("size", [0, 1, 125, 126, 5000, 60_000])
def test_a_frame_of_each_size_is_understood_and_the_answer_counted(visitor, size):
    visitor.exchange(frame(b"x" * size) * 3, SECONDS, answers=3)
    assert (visitor.status, visitor.got[TEXT], visitor.code) == (101, 3, None)


def test_what_is_compressed_is_one_message(visitor):
    assert visitor.compresses
    visitor.exchange(frame(deflate(50_000), compressed=True) * 2, SECONDS, answers=2)
    assert visitor.got[TEXT] == 2


def test_a_bomb_is_as_big_as_it_says_and_small_on_the_way():
    packed = deflate(1_000_000)
    assert len(packed) < 2000
    assert zlib.decompressobj(-15).decompress(packed + b"\x00\x00\xff\xff") == b"x" * 1_000_000


def test_the_parts_of_a_message_are_one(visitor):
    visitor.exchange(frame(b"Hel", end=False) + frame(b"lo", 0), SECONDS, answers=1)
    assert visitor.got[TEXT] == 1


def test_a_pong_is_counted_apart(visitor):
    visitor.exchange(frame(b"", PING) + frame(b"x"), SECONDS, answers=1)
    assert (visitor.got[PONG], visitor.got[TEXT]) == (1, 1)


def test_a_close_code_is_noted_and_ends_the_sending(visitor):
    visitor.exchange(frame(b"x" * 10_000_000), SECONDS, answers=1)
    assert visitor.code == CloseCode.MESSAGE_TOO_BIG


def test_who_only_pushes_reads_nothing(visitor):
    data = frame(b"x" * 1000) * 5
    assert visitor.push(data, SECONDS) == len(data)
    assert visitor.got[TEXT] == 0
    visitor.exchange(b"", SECONDS, answers=5)
    assert visitor.got[TEXT] == 5


def test_a_refusal_is_no_error(place):
    visitor = Visitor(Place(place.host, place.port, "/nowhere"))
    assert visitor.status == 403
    visitor.close()


def test_an_answer_that_comes_before_the_end_of_a_request_is_seen(place):
    request = b"nonsense\r\n\r\n" + b"x" * 1000
    with place.connect() as connection:
        assert send_until_answered(connection, request, SECONDS).startswith(b"HTTP/1.1 400")
