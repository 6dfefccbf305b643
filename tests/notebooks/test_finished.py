"""The finished code in a notebook and the module that it ends up in are the same code."""

import ast
import importlib.util
from pathlib import Path

import pytest
from nbformat import NotebookNode
from refresh import code_cells, has_tag

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
DEFINITION = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def bare(node: Definition) -> str:
    """Return `node` as text, without docstrings."""
    for inner in ast.walk(node):
        if isinstance(inner, DEFINITION) and ast.get_docstring(inner, clean=False) is not None:
            inner.body = inner.body[1:] or [ast.Pass()]
    return ast.unparse(node)


def top_level(source: str) -> dict[str, str]:
    """Return the functions and classes that `source` defines, by name."""
    return {
        node.name: bare(node) for node in ast.parse(source).body if isinstance(node, DEFINITION)
    }


def anywhere(source: str) -> dict[str, str]:
    """Return the same with those that are decorated inside others, as the routes of an app."""
    nested = {
        node.name: bare(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, DEFINITION) and node.decorator_list
    }
    return nested | top_level(source)


def source_of(module: str) -> str:
    spec = importlib.util.find_spec(module)
    assert spec is not None, f"there is no module {module}"
    assert spec.origin is not None, f"{module} is no file"
    return Path(spec.origin).read_text("utf-8")


def drifts(cell: str, modules: list[str]) -> list[str]:
    """Return what is wrong with a finished cell, a line each; both arguments are source code."""
    here = top_level(cell)
    there = [anywhere(module) for module in modules]
    shared = [name for name in here if any(name in names for names in there)]
    if not shared:
        return [f"the module defines none of {sorted(here)}"]
    return [
        f"{name} differs:\n{here[name]}"
        for name in shared
        if not any(names.get(name) == here[name] for names in there)
    ]


def named_modules(cell: NotebookNode) -> list[str]:
    named = cell.metadata.get("chatlib", {}).get("finished", [])
    return [named] if isinstance(named, str) else list(named)


def test_a_finished_cell_is_the_code_of_its_module(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        modules = named_modules(cell)
        assert bool(modules) == has_tag(cell, "finished"), cell.id
        if modules:
            assert drifts(cell.source, [source_of(name) for name in modules]) == [], cell.id


MODULE = '''
class Manager:
    """Longer here."""

    async def connect(self, websocket: WebSocket) -> None:
        """Accept it."""
        await websocket.accept()


def add_page(app: FastAPI) -> None:
    @app.get("/")
    async def show_page() -> str:
        return "page"
'''
CELL = """
class Manager:
    async def connect(self, websocket: WebSocket) -> None:
        await websocket.accept()  # as before


@app.get("/")
async def show_page() -> str:
    return "page"


print("not compared")
"""


def test_docstrings_and_comments_are_no_drift() -> None:
    assert drifts(CELL, [MODULE]) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("websocket.accept()", "websocket.accept(None)"),
        (" -> None", ""),
        ("websocket: WebSocket", "websocket"),
        ('@app.get("/")', '@app.get("/page")'),
        ('return "page"', 'return "another"'),
    ],
)
def test_a_drift_is_noticed(old: str, new: str) -> None:
    assert len(drifts(CELL.replace(old, new), [MODULE])) == 1


def test_a_module_that_has_nothing_of_the_cell_is_noticed() -> None:
    assert drifts(CELL, ["def other(): ..."]) != []
