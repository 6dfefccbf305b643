"""A diagram can be read in a light theme and in a dark one."""

import json

import pytest
from colours import contrast, rgb

from chatlib.lab.mermaid import COLOURS, directive


@pytest.mark.parametrize("theme", COLOURS)
@pytest.mark.parametrize(
    ("part", "on", "least"),
    [
        ("ink", "ground", 4.5),
        ("ink", "box", 4.5),
        ("ink", "note", 4.5),
        ("line", "ground", 3),
    ],
)
def test_words_and_lines_stand_out_from_what_they_are_on(part, on, least, theme):
    colours = COLOURS[theme]
    assert contrast(rgb(colours[part]), rgb(colours[on])) >= least


def test_a_diagram_carries_the_colours_of_both_themes():
    line = directive()
    assert line.startswith("%%{init: ")
    assert line.endswith("}%%")
    style = json.loads(line[9:-3])["themeCSS"]
    for theme, colours in COLOURS.items():
        rules = style.partition(f"@media (prefers-color-scheme: {theme})")[2].partition("@media")[0]
        assert all(colour in rules for colour in colours.values())
