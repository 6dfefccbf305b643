"""`check.unmask` tells right answers from wrong ones."""

import functools
import itertools
import threading

import pytest
from answers import expect_accepted, expect_rejected

from chatlib.lab import check

HELLO = "it gives back the Hello of RFC 6455"
LENGTH = "it works for any length, 0 too"
BYTES = "it works for any bytes and any key, zeros too"


def right(payload, key):
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def always_hello(payload, key):
    return b"Hello"


def key_of_the_rfc(payload, key):
    return right(payload, bytes.fromhex("37fa213d"))


def zips(payload, key):
    return bytes(a ^ b for a, b in zip(payload, key + key[:1], strict=False))


def sixteen(payload, key):
    return bytes(a ^ b for a, b in zip(payload, key * 4, strict=False))


def hundred_and_twenty_five(payload, key):
    return right(payload[:125], key)


def drops_zeros(payload, key):
    return bytes(filter(None, right(payload, key)))


def drops_zeros_of_the_payload(payload, key):
    return bytes(b ^ k for b, k in zip(payload, itertools.cycle(key), strict=False) if b)


def slips_after_five(payload, key):
    return right(payload[:5], key) + right(payload[5:], key)


def by_text(payload, key):
    return right(payload, key).decode(errors="ignore").encode()


def first_byte_is_special(payload, key):
    return right(payload, key) if payload[0] else b"\0"


def by_number(payload, key):
    mask = int.from_bytes((key * len(payload))[: len(payload)])
    number = int.from_bytes(payload) ^ mask
    return number.to_bytes((number.bit_length() + 7) // 8)


def a_list(payload, key):
    return [byte ^ key[i % 4] for i, byte in enumerate(payload)]


def a_text(payload, key):
    return right(payload, key).decode()


def a_generator(payload, key):
    for i, byte in enumerate(payload):
        yield byte ^ key[i % 4]


def forgets_return(payload, key):
    right(payload, key)


def xors_the_bytes(payload, key):
    return payload ^ key


def past_the_key(payload, key):
    return bytes(byte ^ key[i] for i, byte in enumerate(payload))


def key_first(key):
    return b"Hello"


seen = threading.Event()  # that it never ends: its thread would keep the other tests waiting


def never_ends(payload, key):
    i, text = 0, b""
    while len(text) < len(payload) and not seen.is_set():
        i += 1 if i < 100 else 0
    return text


def remembers(payload, key, known={}):  # noqa: B006 - that is the mistake
    return known.setdefault(len(payload), right(payload, key))


class Unmask:
    def __call__(self, payload, key):
        return right(payload, key)


WRONG = {
    "the stub": (lambda payload, key: payload, HELLO, "the payload as it went in"),
    "Hello whatever came": (always_hello, LENGTH, "13 bytes, as many as went in"),
    "a length of two bytes": (
        lambda payload, key: right(payload[:65_535], key),
        LENGTH,
        "68000 bytes, as many as went in",
    ),
    "the key of the example": (key_of_the_rfc, LENGTH, "which the key 37 fa 21 3d gives"),
    "a key of its own": (
        lambda payload, key: right(payload, b"\1\2\3\4"),
        HELLO,
        "take the key from the parameter `key`",
    ),
    "the key backwards": (
        lambda payload, key: right(payload, key[::-1]),
        HELLO,
        "which the key 3d 21 fa 37 gives\nbyte i of the payload",
    ),
    "one byte of the key": (
        lambda payload, key: right(payload, key[:1] * 4),
        HELLO,
        "which the key 37 37 37 37 gives",
    ),
    "and for xor": (
        lambda payload, key: bytes(byte & key[i % 4] for i, byte in enumerate(payload)),
        HELLO,
        "XORed",
    ),
    "zeros for numbers": (
        lambda payload, key: b"".join(bytes(byte) for byte in right(payload, key)),
        HELLO,
        "got: 500",
    ),
    "what came before, if it was as long": (remembers, BYTES, "got: b'four'"),
    "None for nothing": (lambda payload, key: right(payload, key) or None, LENGTH, "got: None"),
    "five bytes at most": (zips, LENGTH, "13 bytes"),
    "sixteen bytes at most": (sixteen, LENGTH, "17 bytes"),
    "125 bytes at most": (hundred_and_twenty_five, LENGTH, "2700 bytes"),
    "no zero bytes": (drops_zeros, BYTES, "0 is a byte as any other"),
    "no zero bytes of the payload": (drops_zeros_of_the_payload, BYTES, "0 is a byte as any"),
    "a slip after the fifth byte": (slips_after_five, LENGTH, "got: b'and s"),
    "text alone": (by_text, BYTES, "256 bytes"),
    "an empty payload": (first_byte_is_special, LENGTH, "payload[0]"),
    "a number whose zeros are lost": (by_number, BYTES, "6 bytes, as many as went in"),
    "a list": (a_list, HELLO, "bytes(…) makes bytes of numbers"),
    "a text": (a_text, HELLO, "bytes, got: 'Hello'"),
    "a generator": (a_generator, HELLO, "yield` nothing"),
    "no return": (forgets_return, HELLO, "without `return`"),
    "bytes as a number": (xors_the_bytes, HELLO, "test_unmask.py: return payload ^ key"),
    "past the end of the key": (past_the_key, HELLO, "IndexError: index out of range"),
    "one parameter": (key_first, HELLO, "takes (payload, key), got: key_first(key)"),
    "a class for a function": (Unmask, HELLO, "an instance: Unmask()"),
    "a result for a function": (b"Hello", HELLO, "without brackets"),
}


def in_a_loop(data, mask):
    text = bytearray(data)
    for i in range(len(text)):
        text[i] ^= mask[i % 4]
    return text


def with_cycle(payload, key):
    return bytes(a ^ b for a, b in zip(payload, itertools.cycle(key), strict=False))


def as_numbers(payload, key):
    size = len(payload)
    mask = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload) ^ int.from_bytes(mask)).to_bytes(size)


def every_fourth(payload, key):
    text = bytearray(len(payload))
    for i, byte in enumerate(key):
        text[i::4] = bytes(each ^ byte for each in payload[i::4])
    return memoryview(text)


async def asynchronous(payload, key):
    return right(payload, key)


RIGHT = {
    "a generator expression": right,
    "a loop over a bytearray": in_a_loop,
    "cycle": with_cycle,
    "two numbers": as_numbers,
    "every fourth byte, and a memoryview": every_fourth,
    "async def": asynchronous,
    "a partial with names": functools.partial(right),
    "an instance of a class": Unmask(),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.unmask(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.unmask(RIGHT[name]))


def test_a_loop_that_never_ends_is_shown(monkeypatch):
    monkeypatch.setattr("chatlib.lab.check.tools.calling.CALL_SECONDS", 0.2)
    expect_rejected(check.unmask(never_ends), HELLO, "while len(text) < len(payload)")
    seen.set()
