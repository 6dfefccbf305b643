"""The pages for a class say what the notebooks say."""

import pytest

from handouts import HandoutError, filled, pages


def test_the_pages_are_those_that_the_notebooks_give() -> None:
    for path, text in pages().items():
        assert path.read_text("utf-8") == text, f"run `make handouts`: {path.name}"


@pytest.mark.parametrize(
    "asked",
    [
        "minutes 77",
        "guess 00 no-such-cell",
        "guess 00 serve-the-chat",
        "output 00 imports",
        "table 00 serve-the-chat",
        "lesson 00:no-such-cell:stop",
        "lesson 00 01 02 03",
    ],
)
def test_a_template_that_asks_for_what_is_not_there_is_an_error(asked: str) -> None:
    with pytest.raises(HandoutError):
        filled(f"{{{{ {asked} }}}}")
