"""What the tests share: the chapters, and the scripts that run them."""

import sys
from pathlib import Path

import pytest

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
sys.path.insert(0, str(NOTEBOOKS))  # for kernel.py and refresh.py


# Which chapters a test runs for, by the name of its argument: those in whose text this occurs.
CHAPTERS = {
    "chapter": "",
    "page_chapter": ".show(",
    "chat_chapter": '"what-the-page-said"',
}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that takes a `chapter` for each notebook; it gets the notebook's path."""
    for name, text in CHAPTERS.items():
        if name in metafunc.fixturenames:
            paths = sorted(NOTEBOOKS.glob("*.ipynb"))
            chosen = [path for path in paths if text in path.read_text("utf-8")]
            metafunc.parametrize(name, chosen, ids=lambda path: path.stem, scope="session")


@pytest.fixture(scope="session")
def notebooks() -> Path:
    """The folder of the notebooks."""
    return NOTEBOOKS
