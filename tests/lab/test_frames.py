"""The anatomy of a frame, on RFC 6455's own examples and on what `websockets` writes."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from chatlib.lab.frames import anatomy
from chatlib.lab.words import close_name, quoted

MASKED_HELLO = bytes.fromhex("81 85 37 fa 21 3d 7f 9f 4d 51 58")
CLOSE_BYE = bytes.fromhex("88 05 03 e8 62 79 65")


def only_frame(data: bytes):
    (frame,) = anatomy(data).frames
    return frame


def test_the_masked_hello_of_the_rfc_is_taken_apart():
    frame = only_frame(MASKED_HELLO)
    assert (frame.fin, frame.rsv, frame.opcode, frame.name) == (True, 0, 1, "text")
    assert (frame.masked, frame.mask, frame.length) == (True, bytes.fromhex("37fa213d"), 5)
    assert (frame.payload, frame.text, frame.size) == (b"Hello", "Hello", 11)


def test_a_masked_frame_is_shown_part_by_part():
    assert repr(anatomy(MASKED_HELLO)) == (
        "text frame, 11 bytes, masked, as a client sends it\n"
        "\n"
        "byte   on the wire      part               meaning\n"
        "0      81  1... ....    FIN                1: the last frame of its message\n"
        "           .000 ....    RSV1, RSV2, RSV3   0 0 0: no extension is at work\n"
        "           .... 0001    opcode             1: text\n"
        "1      85  1... ....    MASK               1: the payload is masked\n"
        "           .000 0101    payload length     5 bytes\n"
        "2-5    37 fa 21 3d      masking key        new for each frame\n"
        "6-10   7f 9f 4d 51 58   masked payload     what travels\n"
        "       37 fa 21 3d 37   XOR the key        its four bytes, again and again\n"
        "       48 65 6c 6c 6f   = payload          'Hello'"
    )


def test_the_unmasked_hello_of_the_rfc_has_no_key():
    frame = only_frame(bytes.fromhex("81 05 48 65 6c 6c 6f"))
    assert (frame.masked, frame.mask, frame.text) == (False, None, "Hello")


def test_the_fragmented_hello_of_the_rfc_is_two_frames():
    first, second = anatomy(bytes.fromhex("01 03 48 65 6c 80 02 6c 6f")).frames
    assert (first.fin, first.name, first.payload) == (False, "text", b"Hel")
    assert (second.fin, second.name, second.payload) == (True, "continuation", b"lo")
    assert second.start == 5


def test_several_frames_are_numbered_and_share_their_columns():
    text = repr(anatomy(MASKED_HELLO + CLOSE_BYE))
    assert "Frame 1 of 2: text frame" in text
    assert "Frame 2 of 2: close frame" in text
    assert "13-17   03 e8 62 79 65   payload" in text
    assert len({line.index("part") for line in text.splitlines() if "meaning" in line}) == 1


@pytest.mark.parametrize(("opcode", "name"), [("89", "ping"), ("8a", "pong")])
def test_the_ping_and_pong_of_the_rfc_are_named(opcode, name):
    assert only_frame(bytes.fromhex(f"{opcode} 05 48 65 6c 6c 6f")).name == name


def test_a_length_of_16_bits_has_a_row_of_its_own():
    dissected = anatomy(bytes.fromhex("82 7e 01 00") + bytes(256))
    assert dissected.frames[0].length == 256
    assert re.search(r"\.111 1110 +payload length +126: the next 2 bytes say", repr(dissected))
    assert re.search(r"2-3 +01 00 +extended length +256 bytes", repr(dissected))


def test_a_length_of_64_bits_has_a_row_of_its_own():
    dissected = anatomy(bytes.fromhex("82 7f 00 00 00 00 00 01 00 00") + bytes(65536))
    assert dissected.frames[0].length == 65536
    assert re.search(r"2-9 +00 00 00 00 00 01 00 00 +extended length +65,536", repr(dissected))


def test_a_long_payload_is_shown_by_its_beginning():
    text = repr(anatomy(Frame(Opcode.TEXT, b"x" * 100_000).serialize(mask=True)))
    assert max(map(len, text.splitlines())) < 160
    assert "(100,000 characters)" in text


def test_a_close_frame_shows_its_code_and_reason():
    frame = only_frame(CLOSE_BYE)
    assert (frame.name, frame.code, frame.reason, frame.text) == ("close", 1000, "bye", None)
    assert re.search(r"03 e8 +close code +1000: normal closure", repr(anatomy(CLOSE_BYE)))
    assert re.search(r"62 79 65 +reason +'bye'", repr(anatomy(CLOSE_BYE)))


def test_a_close_frame_may_carry_nothing():
    frame = only_frame(b"\x88\x00")
    assert (frame.code, frame.reason) == (None, None)
    assert "close code" not in repr(anatomy(b"\x88\x00"))


def test_a_compressed_text_is_not_shown_as_text():
    dissected = anatomy(bytes.fromhex("c1 07 f2 48 cd c9 c9 07 00"))  # RFC 7692, section 7.2.3.1
    assert (dissected.frames[0].rsv, dissected.frames[0].text) == (0b100, None)
    assert "1 0 0: an extension is at work" in repr(dissected)


def test_a_reserved_opcode_is_called_so():
    assert only_frame(b"\x83\x00").name == "reserved"


@pytest.mark.parametrize(
    ("size", "came", "expected"),
    [
        (1, "1 byte came", "at least 2 were expected"),
        (4, "4 bytes came", "at least 6 were expected"),
        (10, "10 bytes came", ", 11 were expected"),
    ],
)
def test_an_incomplete_frame_says_what_came_and_what_was_expected(size, came, expected):
    with pytest.raises(ValueError, match=f"frame 1 is incomplete: {came}.*{expected}"):
        anatomy(MASKED_HELLO[:size])


def test_the_error_says_which_frame_is_incomplete():
    with pytest.raises(ValueError, match="frame 2 is incomplete: 3 bytes came, 7 were"):
        anatomy(MASKED_HELLO + CLOSE_BYE[:3])


def test_no_bytes_at_all_are_an_error():
    with pytest.raises(ValueError, match="no bytes"):
        anatomy(b"")


def test_an_answer_in_http_is_told_from_a_frame():
    with pytest.raises(ValueError, match="this is HTTP"):
        anatomy(b"HTTP/1.1 101 Switching Protocols\r\n\r\n" + MASKED_HELLO)


def test_text_is_not_taken_for_bytes():
    with pytest.raises(TypeError, match="takes the bytes of a frame; got 'Hello'"):
        anatomy("Hello")  # type: ignore[arg-type]


@settings(deadline=None, max_examples=50)
@given(
    opcode=st.sampled_from([Opcode.CONT, Opcode.TEXT, Opcode.BINARY, Opcode.PING, Opcode.CLOSE]),
    data=st.binary(max_size=125),
    times=st.sampled_from([1, 2, 530]),
    mask=st.booleans(),
    fin=st.booleans(),
)
def test_what_websockets_writes_is_read_back(opcode, data, times, mask, fin):
    control = opcode in {Opcode.PING, Opcode.CLOSE}
    data, fin = (data, True) if control else (data * times, fin)
    written = Frame(opcode, data, fin).serialize(mask=mask)
    dissected = anatomy(written)
    (frame,) = dissected.frames
    assert (frame.opcode, frame.payload, frame.fin, frame.masked) == (opcode, data, fin, mask)
    assert frame.size == len(written)
    assert dissected._repr_html_().count("<tr>") == len(repr(dissected).splitlines()) - 2


def test_the_table_tells_screen_readers_what_heads_what():
    html = anatomy(MASKED_HELLO)._repr_html_()
    assert html.count('<th scope="col"') == 4
    assert re.search(r'<th scope="row"[^>]*>masking key</th>', html)
    assert "<caption" in html


def test_the_table_has_no_colours_of_its_own():
    html = anatomy(MASKED_HELLO)._repr_html_()
    assert "color" not in html
    assert "background" not in html


def test_markup_in_a_payload_stays_text():
    html = anatomy(Frame(Opcode.TEXT, b"<script>").serialize(mask=False))._repr_html_()
    assert "<script>" not in html
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("text", ["\n\t\0\x1b", "\u202e\u2066", "\U0010ffff" * 40, "x" * 41])
def test_a_quoted_text_is_one_short_printable_line(text):
    assert quoted(text).isprintable()
    assert len(quoted(text)) < 70


def test_a_text_that_fits_is_quoted_whole():
    assert quoted("x" * 40) == repr("x" * 40)


@pytest.mark.parametrize(
    ("code", "name"),
    [(1000, "normal closure"), (3000, "registered by a library"), (4401, "the application's own")],
)
def test_close_codes_have_names(code, name):
    assert close_name(code) == name
