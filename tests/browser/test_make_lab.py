"""What a reader sees who types `make lab` on a machine that has never seen JupyterLab."""

import contextlib
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, expect
from ports import reserved_port, wait_until_it_listens

ROOT = Path(__file__).parents[2]
OPTIONS = "--no-browser --allow-root --ServerApp.ip=127.0.0.1 --ServerApp.port_retries=0"
OPTIONS += " --LabApp.expose_app_in_browser=True"
FOREIGN = ("CHATLIB_PROXY_PREFIX", "JUPYTERHUB_", "JUPYTER_", "JPY_", "IPYTHON", "MAKE", "MFLAGS")
KERNEL_IS_IDLE = """() =>
    window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === "idle" """
RUN_AND_SAVE = """async () => {
    await jupyterapp.commands.execute("notebook:run-cell-and-select-next");
    await jupyterapp.commands.execute("docmanager:save");
}"""


def commands(folder: Path, port: int) -> list[str]:
    """Return what `make lab` runs once it has installed the packages, which are installed here."""
    variables = [
        f"VENV={folder}/venv",
        f"COURSE={folder}/course",
        f"ARGS={OPTIONS} --ServerApp.port={port}",
    ]
    dry = subprocess.run(
        ["make", "--dry-run", "lab", *variables],
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    wanted = ("labconfig", "chatlib course", "jupyter lab")
    lines = [line for line in dry.stdout.splitlines() if any(map(line.__contains__, wanted))]
    return [line.replace(f"{folder}/venv/bin/", f"{sys.prefix}/bin/") for line in lines]


def environment(**more: str) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    return kept | more


@contextlib.contextmanager
def made_lab(folder: Path) -> Iterator[str]:
    """Do as `make lab` does, below an empty home, and give the address of the first chapter."""
    home = {"HOME": str(folder), "JUPYTER_CONFIG_PATH": f"{folder}/venv/etc/jupyter"}
    log = folder / "log"
    with reserved_port() as port, log.open("wb") as stderr:
        *before, start = commands(folder, port)
        for command in before:
            subprocess.run(command, shell=True, cwd=ROOT, check=True, capture_output=True)
        process = subprocess.Popen(
            shlex.split(start), cwd=ROOT, env=environment(**home), stderr=stderr
        )
        try:
            wait_until_it_listens(port, process, log)
            token = re.search(r"/lab\S*\?(token=\w+)", log.read_text("utf-8"))
            assert token is not None
            yield f"http://127.0.0.1:{port}/lab/tree/00_start_here.ipynb?{token[1]}"
        finally:
            process.terminate()
            process.wait(60)


@pytest.fixture(scope="module")
def stored() -> dict[Path, bytes]:
    """The notebooks of the project, as they are before anybody opens the course."""
    return {path: path.read_bytes() for path in (ROOT / "notebooks").iterdir() if path.is_file()}


def test_make_lab_opens_the_first_chapter_of_an_own_copy_and_nothing_lies_over_it(
    browser: Browser, tmp_path: Path, stored: dict[Path, bytes]
) -> None:
    with made_lab(tmp_path) as address, browser.new_page() as tab:
        tab.goto(address)
        tab.wait_for_function(KERNEL_IS_IDLE, polling=100)
        expect(tab.get_by_role("heading", name="Start a chat inside your notebook")).to_be_visible()
        expect(tab.locator("#jupyterlab-splash")).to_have_count(0)
        expect(tab.locator(".jp-Dialog, .Toastify__toast")).to_have_count(0)
        tab.evaluate(RUN_AND_SAVE)
        notebook = nbformat.read(tmp_path / "course/00_start_here.ipynb", as_version=4)
        assert all(not cell.get("outputs") for cell in notebook.cells)
    now = {path: path.read_bytes() for path in (ROOT / "notebooks").iterdir() if path.is_file()}
    assert now == stored
