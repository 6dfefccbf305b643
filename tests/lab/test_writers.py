"""Two writers on one file: what is measured, and that it comes to an end."""

import pytest

from chatlib.lab import writers
from chatlib.lab.child import Child, ChildError

SECONDS = 0.1


def test_each_way_is_tried_in_each_round_by_two_writers():
    came = writers.compare(rounds=2, seconds=SECONDS)
    assert {way: len(rounds) for way, rounds in came.items()} == {
        writers.OWN: 2,
        writers.TURNSTILE: 2,
    }
    for each in [each for rounds in came.values() for each in rounds]:
        assert set(each.kept) == set(each.longest) == set(writers.NAMES)
        assert all(moments == sorted(moments) for moments in each.kept.values())
        assert all(moments for moments in each.kept.values())
        assert all(longest > 0 for longest in each.longest.values())


def test_no_round_begins_before_both_writers_are_there(monkeypatch):
    """Otherwise one of them has the file to itself in the first round, while the other starts."""
    happened, answer = [], Child.answer
    monkeypatch.setattr(Child, "answer", lambda child: happened.append(answer(child)))
    monkeypatch.setattr(writers, "one_round", lambda *_: happened.append("round"))
    writers.compare(rounds=1)
    assert happened == ["ready", "ready", "round", "round"]


def test_how_many_rounds_there_are_can_be_set_for_a_whole_notebook(monkeypatch):
    monkeypatch.setenv("CHATLIB_ROUNDS", "1")
    came = writers.compare(seconds=SECONDS)
    assert [len(rounds) for rounds in came.values()] == [1, 1]


def test_a_writer_that_fails_is_told_of():
    child = Child("from chatlib.lab.writers import main; main()")
    assert child.answer() == "ready"
    child.order([writers.OWN, "/no/such/folder/chat.db", 0.0, SECONDS])
    with pytest.raises(ChildError, match=r"No such file|unable to open"):
        child.answer()
    child.kill()
