"""What every notebook looks like, as it is stored."""

import ast
import json
import re
from pathlib import Path

import pytest
from nbformat import NotebookNode
from prose import FENCE, markdown, without_fences
from refresh import METADATA, code_cells, has_tag, text_of

TAGS = {
    "answer",
    "exercise",
    "finished",
    "guess",
    "hard",
    "hint",
    "nbval-ignore-output",
    "open",
    "raises-exception",
    "solution",
}
MOST_LINES = 25
MOST_COLUMNS = 88  # what a window of 800 pixels shows; notebooks/ruff.toml says the same
BOTH_THEMES = (
    '"theme": "default", "themeCSS": "@media (prefers-color-scheme: dark) '
    "{.root, text, line, rect {filter: invert(.9333) hue-rotate(180deg)} .root * {filter: none}}"
)


def test_the_course_has_its_chapters(chapter: Path) -> None:
    assert re.fullmatch(r"(\d\d|open)_[a-z_]+\.ipynb", chapter.name)


def test_execution_counts_run_from_1(notebook: NotebookNode) -> None:
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    results = [
        (output.execution_count, cell.execution_count)
        for cell in cells
        for output in cell.outputs
        if output.output_type == "execute_result"
    ]
    assert all(output == cell for output, cell in results)


def test_ids_are_unique_and_readable(notebook: NotebookNode) -> None:
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)
    assert [i for i in ids if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", i)] == []
    generated = r"[0-9a-f]{8}(-[0-9a-f]{4}){0,3}(-[0-9a-f]{12})?"
    assert [i for i in ids if re.fullmatch(generated, i)] == []


def test_metadata_is_what_is_needed_and_no_more(notebook: NotebookNode) -> None:
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    seconds = notebook.metadata["chatlib"]["seconds"]
    assert isinstance(seconds, int)
    assert notebook.metadata == METADATA | {"chatlib": {"seconds": seconds}}
    for cell in notebook.cells:
        assert set(cell.metadata) <= {"tags", "chatlib"}, cell.id
        assert set(cell.metadata.get("tags", [])) <= TAGS, cell.id
        assert set(cell.metadata.get("chatlib", {})) <= {"finished", "why"}, cell.id


def test_the_file_is_written_as_the_refresh_script_writes_it(chapter: Path) -> None:
    text = chapter.read_text("utf-8")
    tidy = json.dumps(json.loads(text), ensure_ascii=False, indent=1, sort_keys=True)
    assert text == tidy + "\n"


def test_no_cell_raised_or_wrote_to_stderr(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        kinds = {output.output_type for output in cell.outputs}
        assert ("error" in kinds) == has_tag(cell, "raises-exception"), cell.id
        assert all(output.get("name") != "stderr" for output in cell.outputs), cell.id


def test_no_traceback_and_no_path_of_a_machine_is_stored(notebook: NotebookNode) -> None:
    telling = re.compile(
        r'File "[^"]+", line \d+|site-packages|ipykernel_\d+|/tmp/|/var/|/usr/|'
        r"/home/|/root\b|/Users/|[A-Z]:\\\\"
    )
    for cell in notebook.cells:
        outputs = cell.get("outputs", [])
        assert not any(output.get("traceback") for output in outputs), cell.id
        for text in [cell.source, *map(text_of, outputs)]:
            found = telling.search(text)
            assert found is None, (cell.id, found)


def test_code_cells_are_short(notebook: NotebookNode) -> None:
    lengths = {cell.id: len(cell.source.splitlines()) for cell in code_cells(notebook)}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}


def test_no_line_of_code_is_too_long_for_a_narrow_window(notebook: NotebookNode) -> None:
    """In a solution neither."""
    code = [(cell.id, cell.source) for cell in code_cells(notebook)]
    for cell in markdown(notebook):
        fences = FENCE.findall(cell.source)
        code += [(cell.id, text) for language, text in fences if language != "mermaid"]
    lines = [(name, line) for name, text in code for line in text.splitlines()]
    assert [(name, line) for name, line in lines if len(line) > MOST_COLUMNS] == []


def test_what_nbval_does_not_compare_has_a_reason(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        why = cell.metadata.get("chatlib", {}).get("why", "")
        assert bool(why) == has_tag(cell, "nbval-ignore-output"), cell.id
        assert "NBVAL_" not in cell.source, f"{cell.id}: use a tag, with a reason"


def test_the_last_code_cell_stops_what_was_started(notebook: NotebookNode) -> None:
    last = ast.parse(code_cells(notebook)[-1].source)
    calls = [node.func for node in ast.walk(last) if isinstance(node, ast.Call)]
    assert any(isinstance(call, ast.Attribute) and call.attr == "stop" for call in calls)


def test_the_title_is_the_only_first_level_heading(notebook: NotebookNode) -> None:
    first = re.compile(r"^# \S", re.MULTILINE)
    found = [first.findall(without_fences(cell.source)) for cell in markdown(notebook)]
    assert sum(map(len, found)) == 1
    assert notebook.cells[0].source.startswith("# ")


@pytest.mark.parametrize(
    "heading", ["What you'll build", "What you'll see", "What you need", "What next"]
)
def test_the_headings_every_chapter_has(notebook: NotebookNode, heading: str) -> None:
    text = "\n".join(without_fences(cell.source) for cell in markdown(notebook))
    assert re.search(
        rf"^##+ {heading}\b", text.replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"), re.M
    )


def test_every_diagram_has_a_title_and_a_description(notebook: NotebookNode) -> None:
    texts = [
        (cell.id, text)
        for cell in markdown(notebook)
        for language, text in FENCE.findall(cell.source)
        if language == "mermaid"
    ]
    texts += [
        (cell.id, output.data["text/vnd.mermaid"])
        for cell in code_cells(notebook)
        for output in cell.outputs
        if "text/vnd.mermaid" in output.get("data", {})
    ]
    for name, text in texts:
        assert re.search(r"^\s*accTitle: \S", text, re.MULTILINE), name
        assert re.search(r"^\s*accDescr(: | \{)", text, re.MULTILINE), name


def test_a_diagram_of_a_text_is_read_in_both_themes(notebook: NotebookNode) -> None:
    """JupyterLab does not draw it anew when the theme changes, so both are in the picture."""
    for cell in markdown(notebook):
        for language, text in FENCE.findall(cell.source):
            if language == "mermaid":
                first = text.splitlines()[0]
                assert first.startswith("%%{init: "), cell.id
                assert BOTH_THEMES in first, cell.id


def test_an_output_is_understood_without_a_browser(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        for output in cell.outputs:
            if "data" in output:
                assert output.data.get("text/plain"), cell.id


def test_whatever_is_folded_can_be_unfolded(notebook: NotebookNode) -> None:
    for cell in markdown(notebook):
        text = without_fences(cell.source)
        tags = re.findall(r"</?(?:details|summary)\b", text)
        once = ["<details", "<summary", "</summary", "</details"]
        assert tags == once * (len(tags) // 4), cell.id
        folded = has_tag(cell, "hint") or has_tag(cell, "solution")
        assert not folded or tags, f"{cell.id} gives itself away"
