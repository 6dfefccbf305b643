"""The search's words: Sphinx leaves out numbers, and people look for 1006 and 403."""

from sphinx.application import Sphinx
from sphinx.search import languages
from sphinx.search.en import SearchEnglish

SHORTEST = 3  # digits; `search.js` has the same


class EnglishWithNumbers(SearchEnglish):
    """English words, and numbers that are long enough to be a code."""

    def word_filter(self, word: str) -> bool:
        """Return whether `word` can be looked for."""
        return super().word_filter(word) or (word.isdigit() and len(word) >= SHORTEST)


def setup(app: Sphinx) -> dict[str, bool]:
    """Use these words for pages in English."""
    languages["en"] = EnglishWithNumbers
    return {"parallel_read_safe": True, "parallel_write_safe": True}
