"""What becomes of a text on its way to the site."""

import contextlib
import importlib.util
from pathlib import Path

import nbformat
import pytest
from making import chapters, docstrings, generated, manual
from making.diagrams import pictured
from making.links import relinked, slug
from making.stage import Stage, StageError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

SCRIPT = Path(__file__).parents[2] / "site/build.py"


@pytest.mark.parametrize(
    ("anchor", "heading"),
    [
        ("Say-goodbye", "Say goodbye"),
        ("Why-WebSocketException", "Why `WebSocketException`"),
        ("How-many-people-fit?", "How many people fit?"),
        ("The-server's-keepalive", "The server's keepalive"),
    ],
)
def test_an_anchor_of_jupyterlab_has_the_slug_of_its_heading(anchor: str, heading: str) -> None:
    assert slug(anchor) == slug(heading)


def test_links_are_pointed_anew_but_not_in_code() -> None:
    text = "[a](x.md) `[b](x.md)`\n```md\n[c](x.md)\n```\n[d](x.md#y) ![e](x.png)"
    assert relinked(text, str.upper) == (
        "[a](X.MD) `[b](x.md)`\n```md\n[c](x.md)\n```\n[d](X.MD#Y) ![e](X.PNG)"
    )


def test_the_readme_is_cut_at_its_headings_and_not_in_its_code() -> None:
    readme = "# T\nintro\n## A\na\n```sh\n## no\n```\n### B\nb\n#### C\nc\n## D\nd\n"
    sections = manual.sections_of(readme)
    assert [(each.title, [part.title for part in each.parts]) for each in sections] == [
        ("A", ["B"]),
        ("D", []),
    ]
    assert sections[0].text == "# A\n\na\n```sh\n## no\n```\n"
    assert sections[0].parts[0].text == "# B\n\nb\n## C\nc\n"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("A `Room` of `all`s.", r"A :py:obj:`Room` of :py:obj:`all`\ s."),
        ("Use `await f(*x)`.", "Use :code:`await f(*x)`."),
        ("A *close code* and `x`.", "A *close code* and :py:obj:`x`."),
        ("Of *args, **more.", r"Of \*args, \*\*more."),
        ("2 * 3 and a_ b | c", r"2 \* 3 and a\_ b \| c"),
        ("So:\n\n    import x\n\nDone.", "So:\n\n.. code-block:: python\n\n    import x\n\nDone."),
        ("F.\n\nArgs:\n    x: is `y`.", "F.\n\nArgs:\n    x: is :py:obj:`y`."),
    ],
)
def test_a_docstring_becomes_what_sphinx_reads(written: str, read: str) -> None:
    assert docstrings.converted(written) == read


def test_a_diagram_becomes_a_picture_with_its_words() -> None:
    source = "flowchart LR\n    accTitle: T\n    accDescr: D\n    a --> b\n"
    text = pictured(f"x\n\n```mermaid\n{source}```\n\ny", "../_diagrams")
    assert text.startswith("x\n\n:::{figure} ../_diagrams/")
    assert ":alt: T\n" in text
    assert "\nD\n:::\n\ny" in text


def test_a_diagram_without_words_is_refused() -> None:
    with pytest.raises(ValueError, match="accTitle"):
        pictured("```mermaid\nflowchart LR\n    a --> b\n```", "x")


def prepared(*cells: nbformat.NotebookNode, tmp_path) -> list[nbformat.NotebookNode]:  # type: ignore[no-untyped-def]
    notebook = new_notebook(cells=list(cells))
    chapters.prepare(notebook, str, tmp_path, "../_diagrams")
    return notebook.cells


def test_what_came_is_folded_where_one_guesses_first(tmp_path) -> None:  # type: ignore[no-untyped-def]
    said = new_output("stream", text="1")
    guess = new_markdown_cell("Guess.", metadata={"tags": ["guess"]})
    cells = [guess, *(new_code_cell("x", outputs=[said]) for _ in range(2))]
    _, first, second = prepared(*cells, tmp_path=tmp_path)
    assert first.metadata["tags"] == ["hide-output"]
    assert "tags" not in second.metadata


def test_the_label_of_an_answer_is_for_those_who_run_nothing(tmp_path) -> None:  # type: ignore[no-untyped-def]
    answer = new_markdown_cell(
        "<details><summary>After you have run it</summary>\n\nSo.\n</details>"
    )
    (cell,) = prepared(answer, tmp_path=tmp_path)
    assert cell.source.startswith("<details><summary>What came, and why</summary>")


def test_a_page_of_a_server_becomes_a_text(tmp_path) -> None:  # type: ignore[no-untyped-def]
    frame = '<iframe src="http://127.0.0.1:1/" title="The page at /"></iframe><script>x</script>'
    shown = new_output("display_data", {"text/html": frame})
    (cell,) = prepared(new_code_cell("x", outputs=[shown]), tmp_path=tmp_path)
    text = cell.outputs[0].data["text/html"]
    assert "the page at /" in text
    assert "127.0.0.1" not in text


def test_the_words_of_a_chart_are_those_of_its_picture(tmp_path) -> None:  # type: ignore[no-untyped-def]
    words = new_output("display_data", {"text/html": "<p class=chatlib-chart>[chart] x</p>"})
    picture = new_output(
        "display_data", {"image/png": "eA=="}, metadata={"image/png": {"alt": "x"}}
    )
    (cell,) = prepared(new_code_cell("x", outputs=[words, picture]), tmp_path=tmp_path)
    assert cell.outputs == [picture]
    assert cell.metadata["mystnb"]["image"] == {"alt": "x", "classes": "chart"}


def test_each_picture_of_a_cell_has_words_of_its_own(tmp_path) -> None:  # type: ignore[no-untyped-def]
    pictures = [
        new_output("display_data", {"image/png": "eA=="}, metadata={"image/png": {"alt": alt}})
        for alt in ("x", "y")
    ]
    guess = new_markdown_cell("Guess.", metadata={"tags": ["guess"]})
    said = new_output("stream", text="1")
    cell = new_code_cell("code", outputs=[*pictures, said])
    _, first, second = prepared(guess, cell, tmp_path=tmp_path)
    assert (first.outputs, second.outputs) == ([pictures[0]], [pictures[1], said])
    alts = [part.metadata["mystnb"]["image"]["alt"] for part in (first, second)]
    assert alts == ["x", "y"]
    assert first.metadata["tags"] == ["hide-output"]
    assert second.metadata["tags"] == ["remove-input", "hide-output"]


def test_a_bar_in_the_code_of_a_table_does_not_end_its_cell() -> None:
    html = "<table><tr><th>a</th></tr><tr><td><code>x|y</code></td></tr></table>"
    assert r"`x\|y`" in generated.markdown_of(html)


@pytest.fixture
def project(tmp_path):  # type: ignore[no-untyped-def]
    """A repository with nothing but what the site cannot do without."""
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "handouts/for_instructors.md"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text("# T\n\n## The chapters\n\n## Use it\n\n### A part\n", "utf-8")
    (tmp_path / "deploy/web").mkdir(parents=True)
    (tmp_path / "deploy/web/x.conf").write_text("listen 80;\n", "utf-8")
    return Stage(tmp_path, tmp_path / "out", tmp_path / "drawings")


@pytest.mark.parametrize(
    ("target", "found"),
    [
        ("../README.md#a-part", "../manual/a-part.md#a-part"),
        ("../CHANGELOG.md", "../CHANGELOG.md"),
        ("to_print.html", "../reference/cheat_sheet.md"),
        ("../deploy/web/x.conf", "../files/deploy/web/x.conf.md"),
        ("../deploy/web/", "../files/index.md"),
        ("https://example.com/#X", "https://example.com/#X"),
    ],
)
def test_a_link_leads_to_where_its_target_is_on_the_site(project, target: str, found: str) -> None:  # type: ignore[no-untyped-def]
    page = "handouts/for_instructors.md"
    assert project.resolver(page, page)(target) == found


@pytest.mark.parametrize("target", ["../nothing.py", "../README.md#nothing", "../../outside.md"])
def test_a_link_to_nothing_stops_the_build(project, target: str) -> None:  # type: ignore[no-untyped-def]
    page = "handouts/for_instructors.md"
    with pytest.raises(StageError, match=r"nothing|outside"):
        project.resolver(page, page)(target)


@pytest.mark.parametrize("ended", [True, False])
def test_what_was_cut_short_is_made_anew_and_what_ended_is_used(
    ended: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = importlib.util.spec_from_file_location("site_build", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    build = importlib.util.module_from_spec(spec)  # `build` is a package on the index too
    spec.loader.exec_module(build)

    class Nothing:
        def __init__(self, *places: Path) -> None:
            pass

        def make(self) -> None:
            pass

    def cut_short(arguments: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(build, "Stage", Nothing)
    monkeypatch.setattr(build, "build_main", (lambda arguments: 0) if ended else cut_short)
    (tmp_path / "doctrees").mkdir()
    with contextlib.suppress(KeyboardInterrupt):
        build.build(tmp_path)
    assert (tmp_path / "doctrees").exists()
    monkeypatch.setattr(build, "build_main", lambda arguments: 0)
    assert build.build(tmp_path) == 0
    assert (tmp_path / "doctrees").exists() == ended
