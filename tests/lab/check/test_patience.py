"""`check.patience` knows the numbers that keep who is slow and cut off who stalls."""

import math

import pytest
from answers import expect_accepted, expect_rejected

from chatlib import ConnectionManager, Room
from chatlib.lab import check

ENDS = "a member that takes nothing is gone within a second"
LASTS = "a member that takes 250 bytes every half second stays"
NOT_FOOLED = "a member that takes one byte every half second is gone within a second"


def changed_afterwards():
    room = Room()
    room.patience, room.min_rate = 0.8, 100.0
    return room


WRONG = {
    "as handed out": (Room(patience=10.0, min_rate=1024.0), ENDS, "got: after 10.03 s"),
    "the defaults": (Room(), ENDS, "to be cut off within 1 s"),
    "a second of patience, and a tenth more": (
        Room(patience=1.0, min_rate=100.0),
        ENDS,
        "patience and a tenth more are a second at most",
    ),
    "patience for ever": (Room(patience=math.inf, min_rate=100.0), ENDS, "not in 20 s"),
    "another number": (Room(limit=64 * 1024, hold=0.8), ENDS, "got: after 10"),
    "milliseconds": (Room(patience=800, min_rate=100.0), ENDS, "not in 20 s"),
    "a function that makes a room": (lambda: Room(patience=0.8), ENDS, "`room` is what a call of"),
    "a number for a room": (0.8, ENDS, "a room: Room(patience=…, min_rate=…), got: 0.8"),
    "the class for a room": (Room, ENDS, "a room: Room(patience=…, min_rate=…)"),
    "changed after the room was made": (changed_afterwards(), ENDS, "changed afterwards"),
    "less patience than the pause": (Room(patience=0.4, min_rate=100.0), LASTS, "cut off after"),
    "patience as long as the pause": (
        Room(patience=0.5, min_rate=100.0),
        LASTS,
        "longer than half a second",
    ),
    "hardly any patience": (Room(patience=0.001, min_rate=1.0), LASTS, "to be kept"),
    "a little more than a portion": (
        Room(patience=0.8, min_rate=313.0),
        LASTS,
        "one portion of 250",
    ),
    "the rate of the line, 500 bytes a second": (
        Room(patience=0.8, min_rate=500.0),
        LASTS,
        "patience × min_rate is that at most",
    ),
    "two bytes are enough": (
        Room(patience=0.8, min_rate=2.5),
        NOT_FOOLED,
        "more than the two bytes",
    ),
    "no rate at all": (Room(patience=0.8, min_rate=0.0), NOT_FOOLED, "not in 20 s"),
    "one byte a second": (
        Room(patience=0.85, min_rate=1.0),
        NOT_FOOLED,
        "to be cut off within 1 s",
    ),
}


class TrainRoom(Room):
    """A room that comes with its numbers."""

    def __init__(self):
        super().__init__(patience=0.7, min_rate=50.0)


RIGHT = {
    "the solution": Room(patience=0.8, min_rate=100.0),
    "less patience": Room(patience=0.6, min_rate=100.0),
    "just longer than the pause": Room(patience=0.51, min_rate=100.0),
    "the most patience": Room(patience=0.9, min_rate=100.0),
    "a little less than a portion": Room(patience=0.8, min_rate=312.0),
    "a little more than two bytes": Room(patience=0.8, min_rate=2.6),
    "with other numbers besides": Room(1, 0.8, 100.0, hold=0.001, on_full="evict"),
    "a hold for ever": Room(patience=0.8, min_rate=100.0, hold=math.inf),
    "no hold": Room(patience=0.8, min_rate=100.0, hold=0.0),
    "a class of its own": TrainRoom(),
    "whole numbers and fractions": Room(patience=4 / 5, min_rate=100),
    "a manager with such a room": ConnectionManager(Room(patience=0.75, min_rate=200.0)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.patience(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.patience(RIGHT[name]))


def test_the_room_itself_is_left_as_it_is():
    room = Room(patience=0.8, min_rate=100.0)
    assert check.patience(room).passed
    assert room.stats == Room().stats
