"""A JupyterLab to look at notebooks in, in a folder of its own."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
from ports import reserved_port, wait_until_it_listens
from refresh import code_cells

STOP_SECONDS = 60
SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},  # so that every cell is in the page
}
# What a JupyterHub, or whoever runs the tests, has set, and what a fresh JupyterLab has not.
FOREIGN = ("CHATLIB_PROXY_PREFIX", "JUPYTERHUB_", "JUPYTER_", "JPY_", "IPYTHON")
CHANGE_THEME = "theme => jupyterapp.commands.execute('apputils:change-theme', {theme})"
KERNEL_IS_IDLE = """() =>
    window.jupyterapp?.shell.currentWidget?.sessionContext?.session?.kernel?.status === "idle" """


@dataclass
class Lab:
    """A running JupyterLab: where it is and which folder it shows."""

    url: str
    folder: Path


@contextlib.contextmanager
def running_lab(folder: Path, notebooks: Path, **environment: str) -> Iterator[Lab]:
    """Start a JupyterLab below `folder`, on a copy of `notebooks` without outputs; stop it."""
    shown = folder / "notebooks"
    shutil.copytree(notebooks, shown, ignore=shutil.ignore_patterns(".*", "__pycache__"))
    for path in shown.glob("*.ipynb"):
        notebook = nbformat.read(path, as_version=4)
        for cell in code_cells(notebook):
            cell.outputs, cell.execution_count = [], None
        nbformat.write(notebook, path)
    for name, settings in SETTINGS.items():
        file = folder / f"config/lab/user-settings/@jupyterlab/{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    kept = {key: value for key, value in os.environ.items() if not key.startswith(FOREIGN)}
    own = {
        f"JUPYTER_{name.upper()}_DIR": str(folder / name) for name in ("config", "data", "runtime")
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ServerApp.ip=127.0.0.1", "--IdentityProvider.token="]
    command += ["--LabApp.expose_app_in_browser=True", "--LabApp.extension_manager=readonly"]
    command += [f"--ServerApp.root_dir={shown}"]
    log = folder / "log"
    with reserved_port() as port, log.open("wb") as stderr:
        process = subprocess.Popen(
            [*command, f"--ServerApp.port={port}", "--ServerApp.port_retries=0"],
            cwd=folder,
            env=kept | own | {"HOME": str(folder), "USERPROFILE": str(folder)} | environment,
            stderr=stderr,
        )
        try:
            wait_until_it_listens(port, process, log)
            yield Lab(f"http://127.0.0.1:{port}/", shown)
        finally:
            process.terminate()
            process.wait(STOP_SECONDS)
