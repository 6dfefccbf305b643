"""A chart says the same in words at every run, and in pictures what was measured."""

import base64
import itertools
import subprocess
import sys

import pytest

from chatlib.lab.chart import CAST, GAP, bars, looks, spread, timeline

PNG = b"\x89PNG\r\n\x1a\n"


def a_timeline(late=0.0):
    got = {"Ana": [100.0, 100.5 + late], "Ben": [], "Cleo": [100.1, 100.2, 100.9 + late]}
    return timeline(got, marks={"Ben wakes up": 100.4}, total=3, title="A stall")


def test_a_timeline_says_whose_it_is_and_what_is_marked_and_no_number():
    assert repr(a_timeline()) == (
        "[chart] A stall: messages over time, of Ana, Ben, Cleo; marked: Ben wakes up"
    )
    assert repr(a_timeline()) == repr(a_timeline(late=3))


def test_bars_say_of_what_they_are_and_no_number():
    chart = bars(
        {"plain": {"N = 100": 7.9, "N = 1000": 11.1}, "chatlib": {"N = 100": 0.4, "N = 1000": 0.5}},
        unit="µs a delivery",
        title="Cost",
        highlight="chatlib",
        line=("the floor", 4.0),
    )
    assert repr(chart) == (
        "[chart] Cost: µs a delivery (N = 100, N = 1000) of plain, chatlib, against the floor"
    )
    assert chart.png().startswith(PNG)


def test_the_numbers_are_in_the_picture_and_in_its_description():
    early, late = a_timeline(), a_timeline(late=3)
    assert early.png() != late.png()
    assert "Ana got 2; Ben got 0; Cleo got 3; Ben wakes up after 0.40 s" in early.alt
    assert "over 0.90 seconds" in early.alt
    assert "over 3.90 seconds" in late.alt
    assert bars({"a": 1.5, "b": 12.345}, unit="s").alt == "s: a 1.5; b 12.3"


def test_jupyter_is_given_the_words_beside_the_picture():
    chart = a_timeline()
    data, metadata = chart._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png"}
    assert data["text/plain"] == chart.text
    assert base64.b64decode(data["image/png"]).startswith(PNG)
    assert metadata["image/png"]["alt"] == chart.alt


def test_the_same_numbers_give_the_same_picture():
    assert a_timeline().png() == a_timeline().png()


@pytest.mark.parametrize(
    "chart",
    [
        timeline({}),
        timeline({"Ana": []}),
        timeline({"Ana": [5.0]}, marks={"now": 5.0}),
        timeline({str(number): [float(number)] for number in range(9)}),
        bars({"one": 0.0}, unit="s"),
        bars({"one": {"a": 1.0}, "two": {"a": 2.0, "b": 3.0}}, unit="s", highlight="one"),
    ],
    ids=repr,
)
def test_odd_ones_are_drawn_too(chart):
    assert chart.png().startswith(PNG)


def test_a_person_of_the_course_looks_the_same_in_every_time_line():
    assert looks(["Ana", "Ben", "Cleo"]) == CAST
    assert looks(["Cleo", "Ben"]) == {"Cleo": CAST["Cleo"], "Ben": CAST["Ben"]}


def test_nobody_else_looks_like_one_of_them_or_like_another():
    found = looks(["one", "Ben", "two", "Ana", "three"])
    assert list(found) == ["one", "Ben", "two", "Ana", "three"]
    assert len(set(found.values())) == 5
    assert not {found["one"], found["two"], found["three"]} & set(CAST.values())


def test_names_at_the_end_of_their_lines_do_not_cover_each_other():
    placed = spread({"Ana": 1.0, "Ben": 0.0, "Cleo": 1.0, "Dora": 0.99})
    assert list(placed) == ["Ben", "Dora", "Cleo", "Ana"]  # where two are level, the first on top
    heights = list(placed.values())
    assert all(b - a >= GAP - 1e-9 for a, b in itertools.pairwise(heights))
    assert placed["Ben"] == 0.0


def test_matplotlib_is_not_imported_before_a_chart_is_drawn():
    code = (
        "import sys, chatlib.lab; from chatlib.lab.chart import timeline\n"
        "chart = timeline({'Ana': [1.0]}); repr(chart)\n"
        "assert 'matplotlib' not in sys.modules\n"
        "chart.png()\n"
        "assert 'matplotlib' in sys.modules\n"
        "assert 'matplotlib.pyplot' not in sys.modules"  # it would take over the reader's figures
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
