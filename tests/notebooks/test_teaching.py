"""How a chapter teaches: guesses, ends, links, minutes and terms."""

import ast
import re
from pathlib import Path

import pytest
from minutes import minutes, read, told
from nbformat import NotebookNode
from prose import markdown, without_fences
from refresh import FOLDER, has_tag

CHAPTERS = sorted(FOLDER.glob("[0-9][0-9]_*.ipynb"))
README = (FOLDER.parent / "README.md").read_text("utf-8")
FOLD = "<details><summary>After you have run it</summary>\n\n"
DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
# The field's own word, to search by, and the chapter that explains it.
TERMS = {
    "event loop": "00",
    "deadlock": "00",
    "handshake": "01",
    "authentication": "02",
    "authorization": "02",
    "backpressure": "04",
    "ring buffer": "04",
    "consumer offset": "04",
    "event-loop iteration": "04",
    "CPU time": "05",
    "GIL": "05",
    "replay": "07",
    "epoch": "07",
    "at-least-once delivery": "07",
    "idempotency key": "07",
    "split brain": "07",
    "lease": "07",
    "pub/sub": "08",
    "snapshot": "08",
    "append-only file": "08",
    "graceful shutdown": "09",
    "reverse proxy": "09",
    "decompression bomb": "09",
    "slowloris": "09",
}
OLD = r"(?i)\b(mend(s|ed|ing)?|dearer|nonetheless|whilst|amongst|thereupon|hence(forth)?|nought)\b"


def asks(cell: NotebookNode) -> bool:
    """Return whether `cell` asks for a guess."""
    return re.search(r"\*\*[^*]*\bguess\b[^*]*\*\*", without_fences(cell.source)) is not None


def guesses(notebook: NotebookNode) -> list[tuple[NotebookNode, list[NotebookNode]]]:
    """Return each cell that asks for a guess, and the cells after it."""
    return [
        (cell, notebook.cells[number + 1 :])
        for number, cell in enumerate(notebook.cells)
        if has_tag(cell, "guess")
    ]


def title(path: Path) -> str:
    """Return number and title of the chapter at `path`, as links to it name them."""
    heading = read(path).cells[0].source.splitlines()[0]
    return f"{path.name[:2]} {heading.removeprefix('# ')}"


def section(notebook: NotebookNode, heading: str) -> str:
    """Return what stands below `heading`, up to the next one of any level."""
    text = "\n\n".join(without_fences(cell.source) for cell in markdown(notebook))
    found = re.search(rf"^##+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    assert found, f"no heading {heading!r}"
    return found[1].strip()


def prose(notebook: NotebookNode) -> str:
    """Return the texts of `notebook` without code."""
    text = "\n\n".join(without_fences(cell.source) for cell in markdown(notebook))
    return re.sub(r"`[^`]*`", "", text)


def test_a_chapter_asks_for_guesses(chapter: Path, notebook: NotebookNode) -> None:
    if chapter in CHAPTERS:
        assert len(guesses(notebook)) >= 3


def test_a_cell_that_asks_for_a_guess_is_tagged(notebook: NotebookNode) -> None:
    for cell in markdown(notebook):
        assert asks(cell) == has_tag(cell, "guess"), cell.id


def test_the_cell_after_a_question_shows_what_happens(notebook: NotebookNode) -> None:
    for question, after in guesses(notebook):
        assert after[0].cell_type == "code", question.id
        assert after[0].outputs, f"{after[0].id} shows nothing, and {question.id} asks what comes"
        tree = compile(
            after[0].source, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST
        )
        assert not all(isinstance(node, DEFINITIONS) for node in tree.body), after[0].id


def test_the_code_after_a_question_does_not_answer_it(notebook: NotebookNode) -> None:
    for _, after in guesses(notebook):
        cell = after[0]
        tree = compile(
            cell.source, "cell", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST
        )
        assert not any(isinstance(node, ast.Assert) for node in ast.walk(tree)), cell.id
        for output in cell.outputs:
            shown = output.get("text") or output.get("data", {}).get("text/plain", "")
            shown = shown.strip().strip("'\"")
            if "\n" not in shown and 2 < len(shown) < 40:
                assert shown not in cell.source, f"{cell.id} has its output {shown!r} in its code"


def test_the_answer_is_folded(notebook: NotebookNode) -> None:
    for question, after in guesses(notebook):
        answer = next(cell for cell in after if cell.cell_type == "markdown")
        assert has_tag(answer, "answer"), f"{answer.id} follows {question.id}"
        assert answer.source.startswith(FOLD), answer.id


def test_an_answer_has_its_question(notebook: NotebookNode) -> None:
    answers = sum(has_tag(cell, "answer") for cell in notebook.cells)
    assert answers == len(guesses(notebook))


def test_nobody_is_asked_to_clear_outputs(notebook: NotebookNode) -> None:
    assert "Clear Outputs" not in prose(notebook)


def test_a_chapter_says_what_the_reader_can_do_now(chapter: Path, notebook: NotebookNode) -> None:
    """In three to five lines, each with a link to the place where it was done."""
    if chapter not in CHAPTERS:
        return
    lines = re.findall(r"^- (.*(?:\n  .*)*)", section(notebook, "What you can do now"), re.M)
    assert 3 <= len(lines) <= 5
    assert [line for line in lines if "](#" not in line] == []


def test_a_chapter_ends_with_three_questions_whose_answers_are_folded(
    chapter: Path, notebook: NotebookNode
) -> None:
    if chapter not in CHAPTERS:
        return
    text = section(notebook, "Test yourself")
    questions = re.findall(r"<details><summary>(.+?)</summary>\n\n(.+?)\n\n</details>", text, re.S)
    assert len(questions) == 3
    for question, answer in questions:
        assert question.endswith("?")
        assert len(answer) > 20


def test_the_ends_of_a_chapter_come_in_their_order(chapter: Path, notebook: NotebookNode) -> None:
    if chapter not in CHAPTERS:
        return
    text = "\n".join(without_fences(cell.source) for cell in markdown(notebook))
    wanted = ["Discussion", "In practice", "What you can do now", "Test yourself", "What next"]
    found = [h for h in re.findall(r"^##+ (.+)$", text, re.M) if h in wanted]
    assert found == wanted


def test_a_chapter_links_to_the_one_before_and_the_one_after(
    chapter: Path, notebook: NotebookNode
) -> None:
    if chapter not in CHAPTERS:
        return
    number = CHAPTERS.index(chapter)
    links = []
    if number:
        before = CHAPTERS[number - 1]
        links.append(f"[← {title(before)}]({before.name})")
    if number + 1 < len(CHAPTERS):
        after = CHAPTERS[number + 1]
        links.append(f"[{title(after)} →]({after.name})")
        assert f"({after.name})" in section(notebook, "What next")
    assert notebook.cells[0].source.splitlines()[1:3] == ["", " · ".join(links)]


def test_a_link_leads_somewhere(notebook: NotebookNode) -> None:
    text = "\n".join(without_fences(cell.source) for cell in markdown(notebook))
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    anchors = {re.sub(r"[`*]", "", heading).replace(" ", "-") for heading in headings}
    for target in re.findall(r"\]\(((?:[^()\s]|\([^()\s]*\))+)\)", text):
        if target.startswith("#"):
            assert target[1:] in anchors, target
        elif not target.startswith("http"):
            path, _, anchor = target.partition("#")
            assert (FOLDER / path).exists(), target
            assert not anchor, f"{target}: link to the chapter, a heading may change"


def test_no_chapter_promises_what_is_not_there(notebook: NotebookNode) -> None:
    there = {path.name[:2] for path in CHAPTERS}
    assert set(re.findall(r"\b[Cc]hapter (\d\d)\b", prose(notebook))) <= there
    assert not re.search(r"\b([Ll]ater|[Nn]ext) chapters?\b", prose(notebook))


def test_the_minutes_are_the_sum_of_what_is_in_it(notebook: NotebookNode) -> None:
    assert told(notebook) == [minutes(notebook)]


@pytest.mark.parametrize("term", TERMS)
def test_a_term_of_the_field_is_explained_once(term: str) -> None:
    """In bold, in the chapter that is the first to need it."""
    bold = re.compile(rf"\*\*{re.escape(term)}s?\*\*", re.IGNORECASE)
    found = [path.name[:2] for path in CHAPTERS for _ in bold.findall(prose(read(path)))]
    assert found == [TERMS[term]]


def test_the_words_are_those_of_today(notebook: NotebookNode) -> None:
    assert re.search(OLD, prose(notebook)) is None


def test_the_readme_has_each_chapter_with_its_title_and_its_minutes() -> None:
    rows = re.findall(r"^\| \[(\d\d .+?)\]\(notebooks/(\S+)\) \| (\d+) \|", README, re.M)
    wanted = [(title(path), path.name, str(minutes(read(path)))) for path in CHAPTERS]
    assert rows == wanted


def test_the_routes_in_the_readme_are_sums_of_chapters() -> None:
    table = README.partition("| you want | work through | minutes |")[2]
    rows = re.findall(r"^\| [^|]+ \| ((?:\d\d(?:, | to )?)+) \| (\d+) \|$", table, re.M)
    assert len(rows) == 3
    by_number = {path.name[:2]: minutes(read(path)) for path in CHAPTERS}
    for chapters, told_minutes in rows:
        first, _, last = chapters.partition(" to ")
        wanted = [n for n in by_number if first <= n <= last] if last else chapters.split(", ")
        assert int(told_minutes) == sum(by_number[number] for number in wanted), chapters
    assert rows[-1][0] == f"{min(by_number)} to {max(by_number)}"
