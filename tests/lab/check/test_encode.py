"""`check.encode` knows the encoder of a server's frames from those that nearly are."""

import functools
import struct
import unicodedata

import pytest
from answers import expect_accepted, expect_rejected

from chatlib.core import frames
from chatlib.lab import check

HELLO = "'Hello' becomes 81 05 and its five bytes"
SHORT = "0 to 125 bytes: the second byte is the length"
MEDIUM = "126 to 65,535 bytes: the second byte is 126, then the length in two bytes"
LONG = "65,536 bytes and more: the second byte is 127, then the length in eight bytes"
COUNTS_BYTES = "the length counts bytes, and not characters"
AS_IT_IS = "the text is sent as it is, each time"


def solution(text):
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 65536:
        return struct.pack("!BBH", 0x81, 126, size) + payload
    return struct.pack("!BBQ", 0x81, 127, size) + payload


def encoder(first=0x81, medium=126, long=65536, two="!BBH", eight="!BBQ", count=None, mask=0):
    """Return the solution with another number in one place."""

    def encode(text):
        payload = text.encode()
        size = len(payload if count is None else count(text))
        if size < medium:
            return struct.pack("!BB", first, size | mask) + payload
        if size < long:
            return struct.pack(two, first, 126 | mask, size) + payload
        return struct.pack(eight, first, 127 | mask, size) + payload

    return encode


def as_handed_out(text):
    header, payload = b"", text.encode()
    return header + payload


def header_alone(text):
    return solution(text)[: -len(text.encode())]


def payload_twice(text):
    return solution(text) + text.encode()


def a_list(text):
    return list(solution(text))


def no_return(text):
    solution(text)


def latin_1(text):
    payload = text.encode("latin-1", "replace")
    return solution("x" * len(payload))[: -len(payload) or None] + payload


def only_ascii(text):
    return solution(text.encode("ascii", "ignore").decode())


def stripped(text):
    return solution(text.strip())


def counts_the_nul(text):
    return solution(text.rstrip("\0"))


def cut_at_64_kib(text):
    return solution(text[:65535])


def with_accents_joined(text):
    return solution(unicodedata.normalize("NFC", text))


def without_a_mark(text):
    return solution(text.removeprefix("\ufeff"))


def line_ends_of_windows(text):
    return solution("\r\n".join(text.splitlines()))


def five_for_all(text):
    return b"\x81\x05" + text.encode()


def two_cases(text):
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    return struct.pack("!BBH", 0x81, 126, size) + payload


def nothing_where_it_fails(text):
    try:
        return two_cases(text)
    except struct.error:
        return b""


def in_two_frames(text):
    if len(text) < 65536:
        return solution(text)
    first = text[:65535].encode()
    return struct.pack("!BBH", 0x01, 126, len(first)) + first + solution(text[65535:])


def a_generator(text):
    yield solution(text)


def header_and_payload(text):
    return solution(text)[:2], text.encode()


def as_hex(text):
    return solution(text).hex()


def with_an_opcode(text, opcode):
    return solution(text)


def one_buffer():
    buffer = bytearray()

    def encode(text):
        buffer[:] = solution(text)
        return buffer

    return encode


def one_growing_buffer():
    buffer = bytearray()

    def encode(text):
        buffer.extend(solution(text))
        return bytes(buffer)

    return encode


WRONG = {
    "as handed out": (as_handed_out, HELLO, "expected 81 05 and 5 bytes of text, got: 48 65"),
    "the header alone": (header_alone, HELLO, "(2 bytes in all)"),
    "the payload twice": (payload_twice, HELLO, "(12 bytes in all)"),
    "a frame of bytes, and not of text": (encoder(first=0x82), HELLO, "got: 82 05"),
    "not the last frame": (encoder(first=0x01), HELLO, "got: 01 05"),
    "masked, as a client's": (encoder(mask=0x80), HELLO, "got: 81 85"),
    "text, and no bytes": (lambda text: "\x81\x05" + text, HELLO, "expected bytes, got"),
    "a list of numbers": (a_list, HELLO, "expected bytes, got: [129, 5"),
    "no return": (no_return, HELLO, "expected bytes, got: None"),
    "a generator": (a_generator, HELLO, "expected bytes, got: a generator"),
    "a pair": (header_and_payload, HELLO, "expected bytes, got: (b'"),
    "hexadecimal": (as_hex, HELLO, "expected bytes, got: '8105"),
    "one parameter more": (with_an_opcode, HELLO, "its parameters are (text)"),
    "what it returns": (solution("Hello"), HELLO, "hand in the name of the function alone"),
    "five, whatever it is": (five_for_all, SHORT, "for 0 bytes too"),
    "125 is long already": (encoder(medium=125), SHORT, "81 7d and 125 bytes"),
    "the empty text is nothing": (
        lambda text: text and solution(text),
        SHORT,
        "expected bytes, got: ''",
    ),
    "126 is still short": (encoder(medium=127), MEDIUM, "expected 81 7e 00 7e and 126 bytes"),
    "127 is still short": (encoder(medium=128), MEDIUM, "got: 81 7e"),
    "the lowest byte first": (encoder(two="<BBH"), MEDIUM, "got: 81 7e 7e 00"),
    "one byte for the length": (encoder(medium=255, two="!BBB"), MEDIUM, "two bytes"),
    "the order of the machine, with a gap": (encoder(two="!BBxH"), MEDIUM, "81 7e 00 00"),
    "65,535 is too long for two bytes": (encoder(long=65535), MEDIUM, "got: 81 7f 00 00"),
    "no third case": (two_cases, LONG, "for struct.pack B is one byte, H two, Q eight"),
    "nothing where two bytes are too few": (nothing_where_it_fails, LONG, "(0 bytes in all)"),
    "a second frame for the rest": (in_two_frames, LONG, "got: 01 7e ff ff"),
    "four bytes for eight": (encoder(eight="!BBI"), LONG, "got: 81 7f 00 01 00 00"),
    "the lowest of eight first": (encoder(eight="<BBQ"), LONG, "got: 81 7f 00 00 01 00"),
    "65,536 in two bytes": (encoder(long=65537), LONG, "format"),
    "what is longer is cut": (cut_at_64_kib, LONG, "(65539 bytes in all)"),
    "counts characters": (encoder(count=str), COUNTS_BYTES, "got: 81 06"),
    "counts UTF-16": (
        encoder(count=lambda text: text.encode("utf-16-le")[::2] + b""),
        COUNTS_BYTES,
        "ask those bytes for their length",
    ),
    "Latin-1": (latin_1, COUNTS_BYTES, "got: 81 06"),
    "ASCII alone": (only_ascii, COUNTS_BYTES, "81 07 and 7 bytes of text"),
    "strips the text": (stripped, SHORT, "81 0a and 10 bytes of text"),
    "strips what is zero": (counts_the_nul, AS_IT_IS, "81 01 and 1 bytes of text"),
    "joins accents": (with_accents_joined, AS_IT_IS, "81 06 and 6 bytes of text"),
    "leaves out a byte order mark": (without_a_mark, AS_IT_IS, "81 06 and 6 bytes of text"),
    "other ends of lines": (line_ends_of_windows, AS_IT_IS, "expected 81 06"),
    "one buffer for all": (one_buffer(), AS_IT_IS, "keeps nothing for the next one"),
    "a buffer that grows": (one_growing_buffer(), SHORT, "bytes in all"),
}


def of_bytes(text):
    payload = bytes(text, "utf-8")
    length = len(payload)
    if length <= 125:
        return b"\x81" + length.to_bytes(1, "big") + payload
    if length <= 0xFFFF:
        return b"\x81\x7e" + length.to_bytes(2, "big") + payload
    return b"\x81\x7f" + length.to_bytes(8, "big") + payload


def into_a_bytearray(text):
    frame = bytearray([0x80 | 0x1])
    payload = text.encode("utf-8")
    match len(payload):
        case size if size < 126:
            frame.append(size)
        case size if size < 1 << 16:
            frame += bytes([126, size >> 8, size & 255])
        case size:
            frame.append(127)
            frame.extend(size >> shift & 255 for shift in range(56, -8, -8))
    frame += payload
    return frame


@functools.lru_cache
def a_view(text):
    return memoryview(solution(text))


def packed_in_one(text):
    payload = text.encode()
    size = len(payload)
    form, sizes = "B", (size,)
    if size >= 126:
        form, sizes = ("BH", (126, size)) if size < 65536 else ("BQ", (127, size))
    return struct.pack(f">B{form}{size}s", 129, *sizes, payload)


async def a_coroutine(text):
    return solution(text)


class Encoder:
    def __call__(self, text):
        return solution(text)


def with_options(text, *, opcode=0x1, fin=True):
    return packed_in_one(text)


RIGHT = {
    "the solution": solution,
    "to_bytes": of_bytes,
    "a bytearray, and shifts": into_a_bytearray,
    "a memoryview, kept for the next time": a_view,
    "one struct for all": packed_in_one,
    "a coroutine function": a_coroutine,
    "an object that is called": Encoder(),
    "more options": with_options,
    "chatlib's": frames.encode,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.encode(answer), rule, words)


def test_a_missing_case_is_one_fault_and_not_three():
    """What comes after it is not tried: it would fail for the same reason, and say another one."""
    report = check.encode(two_cases)
    assert [mark for _, mark, _ in report.lines] == ["✓", "✓", "✓", "✗", "·", "·"]


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.encode(RIGHT[name]))
