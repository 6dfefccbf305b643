"""What a user gets: the wheel is installed, and there is no checkout anywhere near."""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import textwrap
import tomllib
import urllib.request
from pathlib import Path

import pytest
import websockets
from installations import environment, run

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
CHAPTERS = sorted(path.name for path in (ROOT / "notebooks").glob("*.ipynb"))
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# What a client says in each app, and how it begins what it hears.
TALKS = {
    "echo": ("/ws", "Message text was: hello"),
    "items": ("/items/foo/ws?token=t", "Session cookie or query token value is: t"),
    "chat": ("/ws/7", "You wrote: hello"),
}


@contextlib.contextmanager
def running(installed, app):
    """Run `python -m chatlib app` there, and give the address at which it listens."""
    process = subprocess.Popen(
        [installed.python, "-m", "chatlib", app, "--port", "0"],
        cwd=installed.home,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    output = []
    try:
        for line in process.stderr:
            output.append(line)
            if address := re.search(r"running on http://(\S+)", line):
                yield address[1]
                break
        else:
            pytest.fail("it did not start:\n" + "".join(output))
    finally:
        process.terminate()
        with process:
            process.stderr.read()


def page_at(address):
    with DIRECT.open(f"http://{address}/", timeout=20) as answer:
        return answer.read().decode()


def test_what_is_imported_is_what_was_installed(installed):
    said = installed.python_says("-c", "import chatlib; print(chatlib.__file__)")
    assert Path(said.strip()).is_relative_to(installed.python.parent.parent)


def test_nothing_is_installed_that_was_not_asked_for(alone):
    names = ["IPython", "jupyterlab", "matplotlib", "prometheus_client", "pytest", "redis"]
    script = f"import importlib.util as u; print([n for n in {names} if u.find_spec(n)])"
    assert alone.python_says("-c", script) == "[]\n"


def test_the_version_is_told(installed):
    assert installed.python_says("-m", "chatlib", "--version") == f"chatlib {VERSION}\n"
    assert installed.python_says("-c", "import chatlib; print(chatlib.__version__)").strip() == (
        VERSION
    )


@pytest.mark.parametrize("app", TALKS)
def test_the_app_runs(installed, app):
    path, answer = TALKS[app]

    async def talk(address):
        url = f"ws://{address}{path}"
        async with asyncio.timeout(20), websockets.connect(url, proxy=None) as client:
            await client.send("hello")
            return await client.recv()

    with running(installed, app) as address:
        assert page_at(address).startswith("<!DOCTYPE html>")
        assert asyncio.run(talk(address)) == answer


def test_the_rooms_run_and_so_does_their_client(installed):
    talk = """
        import asyncio, json, sys, urllib.request
        from chatlib.client import join

        async def talk(address):
            body = json.dumps({"name": "ana"}).encode()
            headers = {"Content-Type": "application/json"}
            sign_in = urllib.request.Request(f"http://{address}/sign-in", body, headers)
            token = json.load(urllib.request.urlopen(sign_in))["token"]
            url = f"ws://{address}/rooms/lobby"
            async with asyncio.timeout(20), join(url, token=token) as room:
                await room.say("hello")
                async for message in room:
                    print(message.sender, message.text)
                    return

        asyncio.run(talk(sys.argv[1]))
    """
    with running(installed, "rooms") as address:
        assert page_at(address).startswith("<!DOCTYPE html>")
        assert installed.python_says("-c", textwrap.dedent(talk), address) == "ana hello\n"


def test_the_course_is_handed_out_and_a_chapter_handed_out_anew(alone):
    said = alone.python_says("-m", "chatlib", "course", "mine")
    mine = alone.home / "mine"
    assert sorted(path.name for path in mine.glob("*.ipynb")) == CHAPTERS
    assert said.splitlines()[-1] == (
        "JupyterLab is not installed here: install chatlib with its extra [lab]."
    )
    assert json.loads((mine / ".chatlib-course.json").read_text())["chatlib"] == VERSION
    (mine / "03_chat.ipynb").write_text("mine")
    said = alone.python_says("-m", "chatlib", "course", "mine", "--reset", "03")
    assert said.startswith("03_chat.ipynb: handed out anew; yours is now 03_chat_mine_1.ipynb\n")
    assert (mine / "03_chat_mine_1.ipynb").read_text() == "mine"


def test_a_chapter_runs_from_what_was_handed_out(beside_others):
    """One cell more, at its end, tells from where it had chatlib."""
    run_all = """
        import sys, nbformat
        from nbclient import NotebookClient
        from jupyter_client.manager import KernelManager

        notebook = nbformat.read(sys.argv[1], 4)
        more = nbformat.v4.new_code_cell("import chatlib; print(chatlib.__file__)")
        notebook.cells.append(more)
        where = {"metadata": {"path": "lessons"}}
        NotebookClient(notebook, timeout=60, resources=where).execute()
        assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
        print(more.outputs[0].text, end="")
    """
    beside_others.python_says("-m", "chatlib", "course", "lessons")
    chapter = "lessons/03_chat.ipynb"
    said = beside_others.python_says("-c", textwrap.dedent(run_all), chapter)
    assert Path(said.splitlines()[-1]).is_relative_to(beside_others.python.parent.parent)


def mypy(installed, source):
    """Return what mypy says of `source` where the wheel is installed."""
    path = installed.home / "app.py"
    path.write_text(textwrap.dedent(source), "utf-8")
    options = ["--strict", "--no-error-summary", "--hide-error-context"]
    where = ["--python-executable", installed.python, "--cache-dir", installed.home / "cache"]
    said = run(
        [sys.executable, "-m", "mypy", *options, *where, path.name], installed.home, succeeds=False
    )
    return [line.removeprefix("app.py:") for line in said.splitlines()]


def test_a_type_checker_sees_the_types(bare):
    """Those of chatlib, which it would not read without py.typed; to read all others takes long."""
    source = """\
        import chatlib
        from chatlib import Hub, Nothing

        hub = Hub("memory:")
        reveal_type(hub)
        reveal_type(chatlib.__version__)
        Hub(3)
    """
    nothing, hub, version, wrong = mypy(bare, source)
    assert nothing.startswith('2: error: Module "chatlib" has no attribute "Nothing"')
    assert hub.endswith('Revealed type is "chatlib.core.hub.hub.Hub"')
    assert version.endswith('Revealed type is "str"')
    assert wrong.startswith('7: error: Argument 1 to "Hub" has incompatible type "int"')
