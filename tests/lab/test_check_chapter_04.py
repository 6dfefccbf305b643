"""The checks of chapter 04 tell the right answers from those that people give first."""

import pytest

from chatlib import Room
from chatlib.lab import check


class ShortLog:
    """A right answer, and with `wrong` one that is wrong in that way."""

    wrong = None

    def __init__(self, limit):
        self.limit, self.messages, self.first = limit, [], 0

    def append(self, message):
        self.messages.append(message)
        if len(self.messages) > self.limit:
            del self.messages[0]
            self.first += 1

    def read(self, cursor):
        start = cursor if self.wrong == "counts anew" else max(cursor - self.first, 0)
        end = self.first + len(self.messages)
        lost = cursor < self.first and self.wrong != "hides a loss"
        return self.messages[start:], cursor if self.wrong == "stays" else end, lost


def marks(report):
    return "".join(mark for _, mark, _ in report.lines)


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [(None, "✓✓✓"), ("stays", "✗··"), ("counts anew", "✓✗✗"), ("hides a loss", "✓✓✗")],
)
def test_a_log_that_loses_in_silence_is_noticed(wrong, expected):
    assert marks(check.cursor_log(type("Log", (ShortLog,), {"wrong": wrong}))) == expected


@pytest.mark.parametrize(
    ("patience", "min_rate", "expected"),
    [
        (0.6, 100.0, "✓✓✓"),
        (0.85, 200.0, "✓✓✓"),
        (10.0, 1024.0, "✗··"),
        (1.0, 100.0, "✗··"),  # it is noticed up to a tenth of a second later
        (0.9, 100.0, "✓✓✓"),
        (0.4, 100.0, "✓✗✓"),
        (0.5, 100.0, "✓✗✓"),  # not longer than the pause
        (0.51, 100.0, "✓✓✓"),
        (0.8, 312.0, "✓✓✓"),  # a little less than a gulp
        (0.8, 313.0, "✓✗✓"),
        (0.8, 2.5, "✓✓✗"),  # two bytes
        (0.8, 2.6, "✓✓✓"),
        (0.8, 1024.0, "✓✗✓"),
        (0.8, 0.0, "✓✓✗"),
    ],
)
def test_each_wrong_patience_is_noticed(patience, min_rate, expected):
    report = check.patience(Room(patience=patience, min_rate=min_rate))
    assert marks(report) == expected, report


def test_the_room_itself_is_left_as_it_is():
    room = Room(patience=0.8, min_rate=100.0)
    assert check.patience(room).passed
    assert room.stats == Room().stats


def test_an_answer_that_is_no_room_is_a_failing_line():
    assert marks(check.patience(0.8)) == "✗··"
