"""The script that stores the notebooks' outputs changes what has changed and no more."""

import copy
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output
from refresh import METADATA, RefreshError, code_cells, execute, refresh, sanitizer, settle

PORT = """from random import randrange
address = f'127.0.0.1:{randrange(10**9)}'
display({'text/plain': address, 'text/html': f'<b>{address}</b>'}, raw=True)"""
CLOCK = "import time; time.perf_counter()"
MEASURED = {"tags": ["nbval-ignore-output"], "chatlib": {"why": "a clock"}}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A refreshed notebook in a repository, as its last commit has it."""
    cells = [
        new_code_cell(PORT, id="a-port"),
        new_code_cell("6 * 7", id="a-product"),
        new_code_cell(CLOCK, id="a-clock", metadata=MEASURED),
    ]
    path = tmp_path / "one.ipynb"
    path.write_text(nbformat.writes(new_notebook(cells=cells, metadata=METADATA)), "utf-8")
    refresh(path)
    if shutil.which("git") is None:
        pytest.skip("git is not on this machine")
    settings = ("user.name=Ana", "user.email=ana@example.com", "commit.gpgsign=false")
    options = [part for setting in settings for part in ("-c", setting)]
    for command in (["init"], ["add", path.name], [*options, "commit", "-m", "One"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    return path


def rewrite(path: Path, old: str, new: str) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new), "utf-8")


def test_what_differs_by_a_port_or_a_measurement_alone_stays(path: Path) -> None:
    before = path.read_bytes()
    assert refresh(path) == []
    assert refresh(path, check=True) == []
    assert path.read_bytes() == before


def test_a_cell_with_new_code_gets_new_output_and_no_other(path: Path) -> None:
    rewrite(path, "6 * 7", "6 * 8")
    before = path.read_bytes()
    assert refresh(path, check=True) == ["a-product"]
    assert path.read_bytes() == before
    assert refresh(path) == ["a-product"]
    assert '"48"' in path.read_text("utf-8")


def test_new_code_is_measured_anew(path: Path) -> None:
    rewrite(path, "perf_counter()", "monotonic()")
    assert refresh(path) == ["a-clock"]


def test_all_is_stored_anew_by_force(path: Path) -> None:
    assert refresh(path, force=True) == ["a-port", "a-clock"]


def test_what_an_editor_left_in_the_metadata_goes(path: Path) -> None:
    before = path.read_bytes()
    rewrite(path, '"name": "python"', '"name": "python", "version": "3.11.7"')
    assert refresh(path) == ["(layout)"]
    assert path.read_bytes() == before


def picture(png: str, source: str = "plot()") -> NotebookNode:
    data = {"image/png": png, "text/plain": "<Figure>"}
    cell = new_code_cell(source, id="a-plot", execution_count=1)
    cell.outputs = [new_output("display_data", data)]
    return new_notebook(cells=[cell])


@pytest.mark.parametrize(
    ("old", "matching", "kept"),
    [
        (picture("old"), True, "old"),
        (picture("old"), False, "new"),
        (picture("old", "plot(other)"), True, "new"),
    ],
)
def test_a_picture_stays_with_the_code_that_made_it(
    old: NotebookNode, matching: bool, kept: str
) -> None:
    fresh = copy.deepcopy(picture("new"))
    settle(fresh, old, sanitizer(), matching=matching)
    assert code_cells(fresh)[0].outputs[0].data["image/png"] == kept


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "raised"),
        ("import sys; print(1, file=sys.stderr)", "stderr"),
        ("import traceback\ntry: 1 / 0\nexcept Exception: print(traceback.format_exc())", "trace"),
        ("import os; os._exit(1)", "died"),
    ],
)
def test_a_notebook_that_goes_wrong_is_not_stored(tmp_path: Path, source: str, reason: str) -> None:
    notebook = new_notebook(cells=[new_code_cell(source, id="wrong")], metadata=METADATA)
    with pytest.raises(RefreshError, match=reason):
        execute(notebook, tmp_path)


def test_of_an_expected_error_the_message_is_stored_and_no_traceback(tmp_path: Path) -> None:
    cell = new_code_cell("print(1)\n1 / 0", metadata={"tags": ["raises-exception"]})
    notebook = execute(new_notebook(cells=[cell, new_code_cell("2")], metadata=METADATA), tmp_path)
    said, error = code_cells(notebook)[0].outputs
    assert (said.text, error.evalue, error.traceback) == ("1\n", "division by zero", [])
    assert code_cells(notebook)[1].execution_count == 2
