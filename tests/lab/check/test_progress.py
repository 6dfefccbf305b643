"""What is solved is remembered in a reader's own copy, and nowhere else."""

import json
import os
from pathlib import Path

import nbformat
import pytest
from fastapi import FastAPI

from chatlib.lab import check
from chatlib.lab.check import progress, summary
from chatlib.lab.check.progress import CHAPTERS, MARKER, STATE
from chatlib.lab.check.report import Rule

ALL = sum(map(len, CHAPTERS.values()))


def unmask(payload, key):
    return bytes(byte ^ key[i % 4] for i, byte in enumerate(payload))


def encode(text):
    return text


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder that is the kernel's, in a kernel that has solved nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(progress, "here", {})
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    return tmp_path


@pytest.fixture
def course(folder):
    """The same, and it is a reader's own copy of the course."""
    (folder / MARKER).write_text("{}\n", "utf-8")
    return folder


def another_kernel(monkeypatch):
    """Forget what this kernel knows."""
    monkeypatch.setattr(progress, "here", {})


def files(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_passes_is_kept_in_a_readers_copy(course):
    check.unmask(unmask)
    kept = json.loads((course / STATE).read_text("utf-8"))
    assert list(kept["solved"]) == ["unmask"]
    assert files(course) == [MARKER, STATE]


def test_nothing_is_written_into_another_folder(folder):
    assert check.unmask(unmask).passed
    assert f"1 of {ALL} exercises" in repr(check.summary())
    assert files(folder) == []


def test_nothing_is_written_where_a_check_fails(course):
    check.encode(encode)
    assert files(course) == [MARKER]


def test_a_contract_is_no_exercise(course):
    check.echo(FastAPI())
    assert files(course) == [MARKER]
    assert "echo" not in {name for names in CHAPTERS.values() for name in names}


def test_another_kernel_of_the_folder_knows_it(course, monkeypatch):
    check.unmask(unmask)
    another_kernel(monkeypatch)
    assert "unmask" in check.summary().progress.solved


def test_what_two_kernels_solve_is_kept_together(course, monkeypatch):
    check.unmask(unmask)
    another_kernel(monkeypatch)
    progress.noted(passed("say"))
    assert set(json.loads((course / STATE).read_text("utf-8"))["solved"]) == {"say", "unmask"}


def passed(name):
    """Return a report on the exercise `name` that passed."""
    return check.Report(name, [(Rule("it does", "", None), "✓", "")])


def test_the_first_time_counts(course, monkeypatch):
    progress.noted(passed("say"))
    before = (course / STATE).read_text("utf-8")
    monkeypatch.setattr(progress, "version", lambda: "another one")
    progress.noted(passed("say"))
    progress.noted(passed("ping"))
    kept = json.loads((course / STATE).read_text("utf-8"))["solved"]
    assert kept["say"] == json.loads(before)["solved"]["say"]
    assert kept["ping"]["chatlib"] == "another one"


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"solved": 3}', '{"solved": {"say": true}}', "\udcff", "[" * 9999]
)
def test_a_damaged_file_is_said_to_be_and_left_alone(course, content):
    (course / STATE).write_bytes(content.encode("utf-8", "surrogateescape"))
    report = check.unmask(unmask)
    assert report.passed
    assert f"{STATE} is damaged. Delete it" in repr(report)
    assert (course / STATE).read_bytes() == content.encode("utf-8", "surrogateescape")
    assert f"{STATE} is damaged" in repr(check.summary())
    assert f"1 of {ALL}" in repr(check.summary()), "this kernel knows it all the same"


def test_a_folder_that_cannot_be_written_costs_a_sentence(course, monkeypatch):
    def refuse(*args, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    report = check.unmask(unmask)
    assert report.passed
    assert f"Your progress is not kept: {STATE} cannot be written: Permission denied." in repr(
        report
    )


def test_a_file_that_cannot_be_read_costs_a_sentence(course):
    (course / STATE).mkdir()
    report = check.unmask(unmask)
    assert report.passed
    assert f"{STATE} cannot be read" in repr(report)


def test_a_folder_that_is_gone_costs_nothing(folder, monkeypatch):
    def gone():
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", gone)
    monkeypatch.setattr(Path, "cwd", gone)
    assert check.unmask(unmask).passed
    assert f"1 of {ALL}" in repr(check.summary())


def test_the_table_has_each_exercise_and_says_which_are_solved(course):
    progress.noted(passed("unmask"))
    lines = repr(check.summary()).splitlines()
    assert lines[0].split() == ["chapter", "exercise", "solved"]
    assert [line for line in lines if "✓" in line and "unmask" in line]
    assert lines[1].split() == ["00", "start", "here", "ping", "not", "yet"]
    assert lines[-1] == (
        f"Solved: 1 of {ALL} exercises of the course, 1 of 3 of this chapter (01 echo)."
    )


def test_jupyterlab_says_which_chapter_it_is(course, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/ana/course/02_items.ipynb")
    assert "0 of 2 of this chapter (02 items)" in repr(check.summary())


def test_before_anything_is_solved_no_chapter_is_named(course):
    assert repr(check.summary()).endswith(f"Solved: 0 of {ALL} exercises of the course.")


def test_outside_of_a_readers_copy_it_says_that_nothing_is_kept(folder):
    assert "is known until this kernel ends" in repr(check.summary())


def test_the_html_has_the_same_and_no_colours(course):
    progress.here["say"] = progress.Solved("<b>", "0")
    text = check.summary()._repr_html_()
    assert text.count("<tr>") == ALL + 1
    assert "<b>" not in text
    assert "color" not in text
    assert f"Solved: 1 of {ALL}" in text


def test_without_a_name_no_file_is_written(course):
    check.summary()
    assert files(course) == [MARKER]


def test_the_file_to_hand_in_says_who_what_and_when(course):
    progress.noted(passed("unmask"))
    made = check.summary(name="  Ana  Ruíz ")
    assert "To hand in: chatlib-summary-ana-ruíz.json." in repr(made)
    content = json.loads((course / "chatlib-summary-ana-ruíz.json").read_text("utf-8"))
    assert content["name"] == "Ana Ruíz"
    assert (content["passed"], content["of"]) == (1, ALL)
    assert content["chatlib"] == progress.version()
    (row,) = [each for each in content["exercises"] if each["passed"]]
    assert (row["chapter"], row["exercise"]) == ("01_echo", "unmask")
    assert (
        row["when"] == json.loads((course / STATE).read_text("utf-8"))["solved"]["unmask"]["when"]
    )


def test_the_file_may_be_markdown(course):
    progress.noted(passed("unmask"))
    check.summary(name="Ana", file="ana.md")
    text = (course / "ana.md").read_text("utf-8")
    assert text.startswith(f"# Exercises solved: 1 of {ALL}\n")
    assert "Ana, 20" in text
    assert "| 01 echo | unmask | yes | 20" in text
    assert "| 00 start here | say | no |  |" in text


def test_a_summary_takes_the_place_of_an_older_one(course):
    check.summary(name="Ana")
    progress.noted(passed("unmask"))
    check.summary(name="Ana")
    assert json.loads((course / "chatlib-summary-ana.json").read_text("utf-8"))["passed"] == 1


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("mine.txt", "its name ends with .json or .md"),
        ("elsewhere/mine.json", "cannot be written: No such file"),
        ("notes.md", "is there, and no summary"),
        ("folder.json", "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_costs_a_sentence(course, file, sentence):
    (course / "notes.md").write_text("my notes", "utf-8")
    (course / "folder.json").mkdir()
    assert sentence in repr(check.summary(name="Ana", file=file))
    assert (course / "notes.md").read_text("utf-8") == "my notes"


def test_a_file_without_a_name_asks_for_one(course):
    assert "It has no name" in repr(check.summary(file="mine.json"))


def test_each_chapter_is_there_with_its_exercises(notebooks):
    found = {}
    for path in sorted(notebooks.glob("*.ipynb")):
        cells = nbformat.read(path, as_version=4).cells
        stubs = [
            cell for cell in cells if {"exercise", "open"} & set(cell.metadata.get("tags", []))
        ]
        names = [cell.source.rsplit("check.", 1)[1].partition("(")[0] for cell in stubs]
        if names:
            found[path.stem] = tuple(names)
    assert found == CHAPTERS


def test_the_docstring_says_that_it_is_no_proof():
    assert "no proof" in summary.__doc__
