"""On a machine without a program a cell that needs one says so, and all others run."""

import sys
from types import SimpleNamespace

import pytest
from IPython.core.inputtransformer2 import TransformerManager

from chatlib.lab.needs import PROGRAMS, missing, skip_where_missing, without_them

PLAIN = ["1 / 0  # as one\n", "# needs Redis\n", "# needs nginx\n"]


@pytest.fixture(params=PROGRAMS, ids=lambda program: program.name)
def program(request):
    """Each program of the table."""
    return request.param


@pytest.fixture
def marked(program):
    """A cell that needs it."""
    return [f"# needs {program.name}\n", "1 / 0\n"]


@pytest.fixture
def no_program(monkeypatch):
    """A machine that has none of them."""
    monkeypatch.setenv("PATH", "")
    assert [program.find() for program in PROGRAMS] == [None] * len(PROGRAMS)


@pytest.mark.usefixtures("no_program")
def test_a_marked_cell_says_that_it_was_not_run_and_any_other_is_run(program, marked, capsys):
    assert without_them(PLAIN) == PLAIN
    exec("".join(without_them(marked)))
    said = capsys.readouterr().out
    assert said == f"{program.sentence}\n"
    assert said.startswith(f"This cell needs {program.name}, and there is no ")


def put_on_the_path(folder, monkeypatch, *names):
    """Have a machine that has these programs, and no other."""
    for name in names:
        (folder / name).touch(0o755)
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr("chatlib.lab.nginx.OFF_THE_PATH", str(folder))


def test_a_marked_cell_is_run_where_there_is_the_program(program, marked, monkeypatch, tmp_path):
    put_on_the_path(tmp_path, monkeypatch, "redis-server", "nginx")
    assert without_them(marked) == marked


def test_a_cell_that_needs_two_says_which_of_them_is_missing(monkeypatch, tmp_path):
    both = "# needs Redis\n# needs nginx\n1 / 0\n"
    put_on_the_path(tmp_path, monkeypatch, "redis-server")
    assert [program.name for program in missing(both)] == ["nginx"]
    monkeypatch.setenv("PATH", "")
    assert [program.name for program in missing(both)] == ["Redis", "nginx"]
    assert len(without_them([both])) == 2


@pytest.fixture
def shell(monkeypatch):
    """What IPython has of a kernel's shell, as far as it matters here."""
    manager = TransformerManager()
    shell = SimpleNamespace(
        input_transformers_cleanup=manager.cleanup_transforms, transform_cell=manager.transform_cell
    )
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    return shell


@pytest.mark.usefixtures("no_program")
def test_a_kernel_skips_marked_cells_after_the_call_and_a_second_call_changes_nothing(
    shell, program, marked
):
    source, plain = "".join(marked), "".join(PLAIN)
    assert shell.transform_cell(source) == source
    skip_where_missing()
    skip_where_missing()
    assert shell.transform_cell(source) == f"print({program.sentence!r})\n"
    assert shell.transform_cell(plain) == plain
    assert shell.input_transformers_cleanup.count(without_them) == 1


def test_outside_of_ipython_nothing_happens(monkeypatch):
    monkeypatch.setattr("IPython.get_ipython", lambda: None)
    skip_where_missing()
    monkeypatch.setitem(sys.modules, "IPython", None)
    skip_where_missing()


def test_there_are_several_ways_to_get_one(program):
    assert program.how_to_get_one.count("install") == 3
