"""The gates that hold the notebooks can fail."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from refresh import METADATA, RefreshError, refresh

ROOT = Path(__file__).parents[2]
ADDRESS = (
    "from random import randrange\n"
    "print(f'http://127.0.0.1:{randrange(10**4, 10**5)}/ in {randrange(99)} ms')"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The project as far as pytest sees it, with one small notebook."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "tests" / "notebooks").mkdir(parents=True)
    for name in ("pyproject.toml", "conftest.py", "tests/notebooks/nbval_sanitize.cfg"):
        shutil.copy(ROOT / name, tmp_path / name)
    cells = [
        nbformat.v4.new_code_cell(ADDRESS, id="an-address"),
        nbformat.v4.new_code_cell("6 * 7", id="a-product"),
    ]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata=METADATA)
    path = tmp_path / "notebooks" / "one.ipynb"
    path.write_text(nbformat.writes(notebook), "utf-8")
    refresh(path)
    return tmp_path


def pytest_in(
    folder: Path, *arguments: str, **environment: str
) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=no", *arguments],
        cwd=folder,
        env={**os.environ, "CHATLIB_REQUIRE_ALL": "", **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.mark.parametrize("folder", [".", "notebooks"])
def test_nbval_compares_all_but_ports_and_durations(project: Path, folder: str) -> None:
    result = pytest_in(project / folder, "--nbval")
    assert result.returncode == 0, result.stdout
    assert "2 passed" in result.stdout


def test_nbval_fails_on_an_output_that_is_not_what_the_cell_gives(project: Path) -> None:
    path = project / "notebooks" / "one.ipynb"
    text = path.read_text("utf-8")
    assert '"42"' in text
    path.write_text(text.replace('"42"', '"43"'), "utf-8")
    result = pytest_in(project, "--nbval")
    assert result.returncode == 1
    assert "1 failed, 1 passed" in result.stdout


def test_pytest_alone_leaves_the_notebooks_out(project: Path) -> None:
    (project / "tests" / "test_one.py").write_text("def test_one(): ...\n")
    result = pytest_in(project)
    assert "1 passed" in result.stdout


SKIPPED = {
    "test_one": "import pytest\ndef test(): pytest.skip('no browser here')\n",
    "test_two": "import pytest\n@pytest.mark.skipif(True, reason='no fox')\ndef test(): ...\n",
    "test_three": "import pytest\npytest.skip('no network', allow_module_level=True)\n",
}


def test_a_skipped_test_fails_where_all_are_required(project: Path) -> None:
    for name, source in SKIPPED.items():
        (project / "tests" / f"{name}.py").write_text(source)
    assert "3 skipped" in pytest_in(project, "tests").stdout
    result = pytest_in(project, "tests", "--continue-on-collection-errors", CHATLIB_REQUIRE_ALL="1")
    assert "skipped in" not in result.stdout
    assert result.returncode == 1
    for reason in ("no browser here", "no fox", "no network"):
        assert reason in result.stdout


MARKED = "# needs Redis\nfrom chatlib.lab.redis_server import find_redis\nbool(find_redis())"


def test_a_cell_that_needs_redis_is_left_out_where_there_is_none(
    needs_redis: None, project: Path
) -> None:
    path = project / "notebooks" / "one.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.insert(1, nbformat.v4.new_code_cell(MARKED, id="needs-redis"))
    path.write_text(nbformat.writes(notebook), "utf-8")
    refresh(path)
    assert "3 passed" in pytest_in(project, "--nbval").stdout
    without = pytest_in(project, "--nbval", "-rs", PATH="")
    assert without.returncode == 0, without.stdout
    assert "2 passed, 1 skipped" in without.stdout
    assert "apt install redis-server" in without.stdout
    assert pytest_in(project, "--nbval", PATH="", CHATLIB_REQUIRE_ALL="1").returncode == 1


def test_what_needs_redis_is_not_stored_where_there_is_none(
    monkeypatch: pytest.MonkeyPatch, project: Path
) -> None:
    path = project / "notebooks" / "one.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_code_cell(MARKED, id="needs-redis"))
    path.write_text(nbformat.writes(notebook), "utf-8")
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RefreshError, match="apt install redis-server"):
        refresh(path)


def test_what_was_left_out_is_said_at_the_end_with_the_reason(project: Path) -> None:
    for name in ("test_one", "test_another"):
        (project / "tests" / f"{name}.py").write_text(SKIPPED["test_one"])
    (project / "tests" / "test_three.py").write_text(SKIPPED["test_three"])
    said = pytest_in(project, "tests").stdout
    assert "left out: 2, since no browser here\n" in said
    assert "left out: 1, since no network\n" in said
