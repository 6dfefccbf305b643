"""A reader's own copies of the notebooks, and what becomes of them when chatlib changes."""

import json
import re
import shutil
from pathlib import Path

import pytest

from chatlib import course
from chatlib.__main__ import main

CHAPTER = "03_chat.ipynb"


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Return a folder with notebooks as they come with chatlib, which a test may change."""
    package = tmp_path / "package"
    shutil.copytree(course.originals()[0].parent, package / "notebooks")
    monkeypatch.setattr(course, "HERE", package)
    return package / "notebooks"


@pytest.fixture
def mine(tmp_path):
    """Return the folder that a reader names."""
    return tmp_path / "mine"


def hand_out(folder, *reset):
    return list(course.hand_out(folder, reset))


def edit(path, text):
    """Put `text` into the first cell of the notebook at `path`."""
    notebook = json.loads(path.read_text("utf-8"))
    notebook["cells"][0]["source"] = [text]
    path.write_text(json.dumps(notebook), "utf-8")


def first_cell(path):
    return "".join(json.loads(path.read_text("utf-8"))["cells"][0]["source"])


def save_as_jupyterlab_does(path):
    """Change what JupyterLab changes when a notebook is run and saved: all but the cells."""
    notebook = json.loads(path.read_text("utf-8"))
    notebook["metadata"]["language_info"] = {"name": "python", "version": "3.13.1"}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"name": "stdout", "output_type": "stream", "text": ["seen"]}]
    path.write_text(json.dumps(notebook), "utf-8")


def test_each_notebook_is_copied_without_its_outputs(source, mine):
    hand_out(mine)
    assert {path.name for path in mine.glob("*.ipynb")} == {p.name for p in source.glob("*.ipynb")}
    for path in mine.glob("*.ipynb"):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            assert not cell.get("outputs")
            assert cell.get("execution_count") is None


def test_a_copy_has_every_cell_of_its_notebook(source, mine):
    hand_out(mine)
    for path in source.glob("*.ipynb"):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        copies = json.loads((mine / path.name).read_text("utf-8"))["cells"]
        told = [(cell["id"], cell["source"], cell["metadata"]) for cell in cells]
        assert [(cell["id"], cell["source"], cell["metadata"]) for cell in copies] == told


def test_the_notebooks_of_the_project_stay_as_they_are(source, mine):
    before = {path: path.read_bytes() for path in source.iterdir()}
    hand_out(mine)
    hand_out(mine, "all")
    assert {path: path.read_bytes() for path in source.iterdir()} == before


def test_to_hand_out_again_changes_no_file_and_says_nothing(source, mine):
    hand_out(mine)
    edit(mine / CHAPTER, "mine")
    before = {path: path.read_bytes() for path in mine.iterdir()}
    assert hand_out(mine) == []
    assert {path: path.read_bytes() for path in mine.iterdir()} == before


def test_a_newer_version_takes_the_place_of_a_copy_in_which_no_cell_was_changed(source, mine):
    hand_out(mine)
    save_as_jupyterlab_does(mine / CHAPTER)
    edit(source / CHAPTER, "newer")
    (line,) = hand_out(mine)
    assert line.startswith(f"{CHAPTER}: a newer version")
    assert first_cell(mine / CHAPTER) == "newer"


def test_a_newer_version_does_not_replace_the_readers_work(source, mine):
    hand_out(mine)
    edit(mine / CHAPTER, "mine")
    edit(source / CHAPTER, "newer")
    for _ in range(2):  # it is said each time, until the reader has decided
        (line,) = hand_out(mine)
        assert "yours stays; to have it: --reset 03_chat" in line
        assert first_cell(mine / CHAPTER) == "mine"


def test_a_reset_hands_out_the_newest_version_and_keeps_the_readers_beside_it(source, mine):
    hand_out(mine)
    for number, text in enumerate(("mine", "mine again"), 1):
        edit(mine / CHAPTER, text)
        edit(source / CHAPTER, f"newer {number}")
        (line,) = hand_out(mine, "03")
        assert line == f"{CHAPTER}: handed out anew; yours is now 03_chat_mine_{number}.ipynb"
        assert first_cell(mine / CHAPTER) == f"newer {number}"
        assert first_cell(mine / f"03_chat_mine_{number}.ipynb") == text
    assert hand_out(mine) == []


def test_all_chapters_can_be_reset_at_once(source, mine):
    hand_out(mine)
    assert len(hand_out(mine, "all")) == len(list(source.glob("*.ipynb")))


def test_a_copy_that_was_deleted_is_handed_out_again(source, mine):
    hand_out(mine)
    (mine / CHAPTER).unlink()
    assert hand_out(mine) == [f"{CHAPTER}: new"]


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b'{"notebooks": 3}', b"\xff"])
def test_without_what_it_noted_it_keeps_what_it_finds(source, mine, broken):
    hand_out(mine)
    edit(mine / CHAPTER, "mine")
    (mine / course.MARKER).write_bytes(broken)
    (line,) = hand_out(mine)
    assert "yours stays" in line
    assert first_cell(mine / CHAPTER) == "mine"


@pytest.mark.parametrize("broken", [b"", b"{}", b'{"cells": [1]}', b"\xff\xfe"])
def test_a_copy_that_is_no_notebook_any_more_is_kept_and_can_be_reset(source, mine, broken):
    hand_out(mine)
    (mine / CHAPTER).write_bytes(broken)
    assert hand_out(mine) == []
    assert (mine / CHAPTER).read_bytes() == broken
    hand_out(mine, CHAPTER)
    assert (mine / "03_chat_mine_1.ipynb").read_bytes() == broken
    assert first_cell(mine / CHAPTER).startswith("# ")


@pytest.mark.parametrize("start", ["3", "chat", "", "0", "03_chat.ipynb.tmp"])
def test_a_chapter_that_is_not_there_is_refused_with_those_that_are(source, mine, start):
    with pytest.raises(course.CourseError, match=r"no chapter .*; there are: 00_start_here\.ipynb"):
        hand_out(mine, start)
    assert not mine.exists()


def test_the_notebooks_own_folder_is_refused(source):
    with pytest.raises(course.CourseError, match="name another folder"):
        hand_out(source)


def test_a_file_is_refused(source, mine):
    mine.write_text("")
    with pytest.raises(course.CourseError, match="is a file; name a folder"):
        hand_out(mine)


def test_an_installation_without_notebooks_says_so(mine, tmp_path, monkeypatch):
    monkeypatch.setattr(course, "HERE", tmp_path / "nowhere" / "chatlib")
    with pytest.raises(course.CourseError, match="has no notebooks"):
        hand_out(mine)


def test_the_command_says_how_to_open_the_course(mine, capsys):
    main(["course", str(mine)])
    *lines, last = capsys.readouterr().out.splitlines()
    assert all(line.endswith("ipynb: new") for line in lines)
    assert last == f"The course is in {mine}. Open it: jupyter lab {mine}"


def test_the_command_resets_a_chapter(mine, capsys):
    main(["course", str(mine)])
    main(["course", str(mine), "--reset", "00", "--reset", "01"])
    assert capsys.readouterr().out.count("handed out anew") == 2


@pytest.mark.parametrize(
    "arguments", [["notebooks"], ["mine", "--reset", "77"], [], ["mine", "--port", "80"]]
)
def test_the_command_refuses_in_one_line(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(Path(__file__).parent.parent)
    given = [str(tmp_path / "mine") if word == "mine" else word for word in arguments]
    with pytest.raises(SystemExit) as ended:
        main(["course", *given])
    assert ended.value.code == 2
    assert re.fullmatch(r"python -m chatlib course: .+\n", capsys.readouterr().err)
