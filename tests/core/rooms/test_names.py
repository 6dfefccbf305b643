"""The names of people and rooms."""

import pytest

from chatlib.core.rooms.names import expect_person, expect_room


@pytest.mark.parametrize("name", ["a", "Ana", "ana maria", "é", "名前", "x" * 40, "a@b", "😀", "~"])
def test_a_person_may_have_this_name(name):
    assert expect_person(name) == name


@pytest.mark.parametrize(
    "name",
    [
        *[
            "",
            " ",
            "x" * 41,
            "@ana",
            " ana",
            "ana ",
            "a\nb",
            "a\0",
            "a\x7f",
            "a\u00a0b",
            "a\u2028b",
        ],
        *["a\u200bb", "a\u202eb", "\u2066a", "\ufeffa", "a\xadb", "\ud800", "e\u0301", "\u212b"],
    ],
)
def test_a_person_may_not_have_this_name(name):
    with pytest.raises(ValueError, match="expected a name of 1 to 40 printable characters") as no:
        expect_person(name)
    assert str(no.value).isprintable()


@pytest.mark.parametrize("name", ["a", "0", "lobby", "a.b_c-d", "x" * 64, "9lives"])
def test_a_room_may_have_this_name(name):
    assert expect_room(name) == name


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "Lobby", "-a", ".a", "_a", "@me", "@ana", "a b", "a\n", "é", "a/b", "\0"]
)
def test_a_room_may_not_have_this_name(name):
    with pytest.raises(ValueError, match="expected a room such as lobby"):
        expect_room(name)
