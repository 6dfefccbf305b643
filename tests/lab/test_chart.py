"""A chart says the same in words at every run, and in pictures what was measured."""

import base64
import io
import itertools
import math
import re
import subprocess
import sys

import pytest
from colours import contrast, rgb
from matplotlib.figure import Figure

from chatlib.lab.chart import CAST, GAP, bars, looks, spread, timeline
from chatlib.lab.picture import COLOURS, FAINT, INK, PAPER, TURN

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


def test_a_bar_of_several_rounds_has_their_median_and_says_the_least_and_the_most():
    chart = bars({"a": [3.0, 1.0, 1.5], "b": {"x": [2.0], "y": 5.0}}, unit="s")
    assert chart.alt == "s: a 1.5 (1 to 3); b x 2; b y 5"


def test_a_number_is_told_with_three_digits_or_with_all_before_the_point():
    chart = bars({"a": 0.012345, "b": 999.4, "c": 999.6, "d": 12345.6}, unit="ms")
    assert chart.alt == "ms: a 0.0123; b 999; c 1,000; d 12,346"


def test_the_spread_of_several_rounds_is_drawn():
    axes = Figure().subplots()
    bars({"a": [3.0, 1.0, 1.5], "b": 2.0}, unit="s")._draw(axes)
    assert [bar.get_width() for bar in axes.patches] == [1.5, 2.0]
    assert [list(line.get_xdata()) for line in axes.lines] == [[1.0, 3.0]]


def test_bars_can_be_lower_so_that_many_fit_into_a_window():
    usual, low = (
        bars({"a": 1.0, "b": 2.0}, unit="s", row_inches=inches).png() for inches in (0.3, 0.18)
    )
    heights = [int.from_bytes(png[20:24], "big") for png in (usual, low)]
    assert heights[1] < heights[0]


def test_jupyter_is_given_the_words_beside_the_picture():
    chart = a_timeline()
    data, metadata = chart._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png"}
    assert data["text/plain"] == chart.text
    assert base64.b64decode(data["image/png"]).startswith(PNG)
    assert metadata["image/png"]["alt"] == chart.alt


def test_the_words_and_the_style_come_in_an_output_before_the_picture(monkeypatch):
    outputs = []
    monkeypatch.setattr("IPython.display.publish_display_data", lambda *data: outputs.append(data))
    chart = bars({"<b>": 1.0}, unit="s")
    chart._ipython_display_()
    [words], (picture, _) = outputs
    assert words["text/plain"] == picture["text/plain"] == chart.text
    assert ">[chart] s of &lt;b&gt;</p>" in words["text/html"]
    assert TURN in words["text/html"]
    assert "image/png" not in words


def turned(colour):
    """What the style of a dark theme makes of a colour, as CSS filters are specified."""
    amount, degrees = map(
        float, re.fullmatch(r"invert\((.+)\) hue-rotate\((.+)deg\)", TURN).groups()
    )
    colour = [amount + part * (1 - 2 * amount) for part in colour]
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    grey = (0.213, 0.715, 0.072)
    by_sin = ((-0.213, -0.715, 0.928), (0.143, 0.140, -0.283), (-0.787, 0.715, 0.072))
    return [
        min(1.0, max(0.0, sum(
            part * (grey[i] + cos * ((i == row) - grey[i]) + sin * by_sin[row][i])
            for i, part in enumerate(colour)
        )))
        for row in range(3)
    ]  # fmt: skip


def drawn(chart):
    """The colours that a chart is drawn in, and on how many pixels each."""
    from PIL import Image

    image = Image.open(io.BytesIO(chart.png())).convert("RGB")
    counted = image.getcolors(maxcolors=1 << 24)
    return {tuple(part / 255 for part in colour): count for count, colour in counted}


THEMES = pytest.mark.parametrize("seen", [list, turned], ids=["light", "dark"])


@THEMES
@pytest.mark.parametrize("colour", [*COLOURS, INK, FAINT])
def test_words_in_each_colour_can_be_read_on_a_light_page_and_on_a_dark_one(colour, seen):
    assert contrast(seen(rgb(colour)), seen(rgb(PAPER))) >= 4.5


def test_the_paper_is_the_page_in_jupyterlabs_themes():
    assert rgb(PAPER) == (1, 1, 1)
    assert [round(part * 255) for part in turned(rgb(PAPER))] == [0x11] * 3


@THEMES
@pytest.mark.parametrize(
    "chart",
    [
        bars({"a": {"x": 3.0, "y": 2.0}, "b": {"x": 2.0, "y": 3.0}}, unit="s", highlight="a"),
        timeline({"Ana": [0.0, 1.0, 2.0], "Ben": [0.5], "Cleo": [1.5]}, marks={"now": 1.0}),
    ],
    ids=["bars", "timeline"],
)
def test_all_that_is_drawn_broadly_stands_out_from_the_page(chart, seen):
    colours = drawn(chart)
    ground = max(colours, key=colours.get)
    assert ground == rgb(PAPER)
    # Of 1000 by 400 points or so: bars and lines. Fewer are of letters' edges and of the grid.
    broad = [colour for colour, count in colours.items() if count > 1500 and colour != ground]
    broad = [colour for colour in broad if max(colour) - min(colour) > 0.1]  # the grid is grey
    assert len(broad) >= 2
    for colour in broad:
        assert contrast(seen(colour), seen(ground)) >= 3


@pytest.mark.parametrize("at", [0.55, 0.2])
def test_the_names_of_the_marks_stand_where_they_are_wanted_one_below_the_other(at):
    marks = {"first": 0.5, "second": 1.0}
    chart = timeline({"Ana": [0.0, 1.0, 2.0, 3.0]}, marks=marks, marks_at=at)
    axes = Figure().add_subplot()
    chart._draw(axes)
    heights = {text.get_text(): text.xy[1] for text in axes.texts}
    assert heights["first"] == pytest.approx(4 * at)
    assert heights["second"] == pytest.approx(4 * (at - 0.1))


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
