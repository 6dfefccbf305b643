"""The frames of `chatlib.rooms.1`: what a client may send, and what is said of the rest."""

import json
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chatlib.core.rooms.protocol import BadFrameError, Say, Types, parse

SAY = {"type": "say", "key": "k1", "text": "hello"}


def refused(frame):
    """Return how a frame is refused: text as it is, anything else as JSON."""
    text = frame if isinstance(frame, str) else json.dumps(frame)
    with pytest.raises(BadFrameError) as refused:
        parse(text)
    return refused.value


def test_what_is_said_is_taken_as_it_is():
    for text in ("x", " ", "x" * 4000, "😀" * 4000, "a\0b", "\u202e<script>", "\\", '"'):
        assert parse(json.dumps(SAY | {"text": text})).text == text
        assert parse(json.dumps(SAY | {"text": text}, ensure_ascii=False)).text == text


def test_each_frame_of_a_client_is_understood():
    assert parse('{"type": "typing"}') == Types(type="typing")
    assert parse(json.dumps(SAY)) == Say(type="say", key="k1", text="hello")
    assert parse(json.dumps(SAY | {"to": "ben"})).to == "ben"
    assert parse(json.dumps(SAY | {"to": None})).to is None
    assert parse(f" {json.dumps(SAY)}\n").key == "k1"


@pytest.mark.parametrize("key", ["k", "A-z_0", "x" * 64])
def test_a_key_may_be_this(key):
    assert parse(json.dumps(SAY | {"key": key})).key == key


@pytest.mark.parametrize(
    "text",
    [
        *["", "{", "hello", '{"type":"typing"}x', '\ufeff{"type":"typing"}', "[" * 8000, "\0"],
        *["{'type': 'typing'}", '{"type":"typing",}', '{"a":' * 3000, "-" * 100],
        '{"type":"say","key":"k","text":"\\ud800"}',
        '{"type":"say","key":"k","text":' + "[" * 250 + "]" * 250 + "}",
        '{"type":"say","key":"k","text":' + "1" * 5000 + "}",
    ],
)
def test_what_is_no_json_is_bad_json(text):
    error = refused(text)
    assert (error.code, error.key) == ("bad_json", None)
    assert str(error).startswith("expected a JSON object: ")


@pytest.mark.parametrize(
    ("frame", "says"),
    [
        ([], "object"),
        ([SAY], "object"),
        (1, "object"),
        ("null", "object"),
        ('"say"', "object"),
        ({}, "the type say or typing"),
        ({"type": "SAY"}, "the type say or typing"),
        ({"type": "message"}, "the type say or typing"),
        ({"type": None}, "the type say or typing"),
        ({"type": ["say"]}, "the type say or typing"),
        ({"type": "say"}, "key: Field required"),
        (SAY | {"key": ""}, "key: String should match"),
        (SAY | {"key": "a b"}, "key: String should match"),
        (SAY | {"key": "a\n"}, "key: String should match"),
        (SAY | {"key": "ä"}, "key: String should match"),
        (SAY | {"key": "x" * 65}, "key: String should match"),
        (SAY | {"key": 1}, "key: Input should be a valid string"),
        (SAY | {"key": None}, "key: Input should be a valid string"),
        (SAY | {"text": ""}, "text: String should have at least 1 character"),
        (SAY | {"text": 1}, "text: Input should be a valid string"),
        (SAY | {"text": ["x"]}, "text: Input should be a valid string"),
        (SAY | {"text": float("nan")}, "text: Input should be a valid string"),
        (SAY | {"to": "@ben"}, "to: expected a name of 1 to 40"),
        (SAY | {"to": ""}, "to: "),
        (SAY | {"to": "x" * 41}, "to: "),
        (SAY | {"to": "e\u0301"}, "to: expected a name of 1 to 40"),
        (SAY | {"to": "a\u202eb"}, "to: expected a name of 1 to 40"),
        (SAY | {"to": 1}, "to: Input should be a valid string"),
        (SAY | {"from": "ben"}, "from: Extra inputs are not permitted"),
        (SAY | {"id": 1}, "id: Extra inputs are not permitted"),
        ({"type": "typing", "room": "lobby"}, "room: Extra inputs are not permitted"),
    ],
)
def test_what_is_not_of_the_protocol_is_a_bad_message(frame, says):
    error = refused(frame)
    assert error.code == "bad_message"
    assert says in str(error)


def test_a_text_that_is_too_long_has_a_code_of_its_own():
    error = refused(SAY | {"text": "x" * 4001})
    assert (error.code, error.key) == ("too_long", "k1")
    assert "at most 4000 characters" in str(error)


def test_an_error_names_the_key_if_there_is_one():
    assert refused(SAY | {"text": ""}).key == "k1"
    for key in ("a b", 1, None, ["k1"], "x" * 65, "k1\n"):
        assert refused(SAY | {"key": key}).key is None
    for frame in (1, [], "null", ["key"]):
        assert refused(frame).key is None


def test_of_a_field_that_comes_twice_the_last_one_counts():
    assert parse('{"type":"say","key":"a","text":"x","key":"b"}').key == "b"
    assert refused('{"type":"say","key":"a","text":1,"key":"b"}').key == "b"
    assert refused('{"type":"say","key":"a","text":"x","text":""}').code == "bad_message"


def test_an_error_does_not_grow_with_what_was_sent():
    assert len(str(refused(SAY | {"x" * 10_000: 1}))) < 200
    assert len(str(refused(SAY | {"to": "x" * 10_000}))) < 300
    assert len(str(refused(SAY | {"key": "x" * 10_000}))) < 200


DIGITS = sys.get_int_max_str_digits()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=4,
)


@given(st.text() | JSON.map(json.dumps))
@example(json.dumps(SAY)[:-1] + f',"x":{"1" * DIGITS}}}')
@example(json.dumps(SAY)[:-1] + f',"x":{"1" * (DIGITS + 1)}}}')
@example(json.dumps(SAY)[:-1] + f',"x":-{"1" * (DIGITS + 1)}}}')
@example(json.dumps(SAY)[:-1] + ',"x":1e999}')
@example(json.dumps(SAY)[:-1] + ',"x":' + "[" * 199 + "]" * 199 + "}")
def test_any_text_is_a_frame_or_refused(text):
    assert kind_or_code(text) in {"say", "typing", "bad_json", "bad_message"}


@given(st.fixed_dictionaries({}, optional=dict.fromkeys(("type", "key", "text", "to"), JSON)))
def test_any_object_is_a_frame_or_refused(fields):
    for kind in ("say", "typing", fields.get("type")):
        answer = kind_or_code(json.dumps(fields | {"type": kind}))
        assert answer in [kind, "bad_json", "bad_message", "too_long"]


def kind_or_code(text):
    """Return the type of a frame, or the code with which it is refused."""
    try:
        return parse(text).type
    except BadFrameError as error:
        return error.code
