"""Which chatlib this is, wherever it lies."""

import importlib.metadata
import tomllib
from pathlib import Path

import pytest

import chatlib
from chatlib.__main__ import main
from chatlib.core import version as module

ROOT = Path(__file__).parents[2]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]


@pytest.fixture(autouse=True)
def ask_anew():
    """Forget what was found before, and what a test finds."""
    module.version.cache_clear()
    yield
    module.version.cache_clear()


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Return the file that lies where a checkout has its pyproject.toml."""
    monkeypatch.setattr(module, "PROJECT", tmp_path / "pyproject.toml")
    return tmp_path / "pyproject.toml"


@pytest.fixture
def metadata(monkeypatch):
    """Return the versions that are installed, by name, which a test may change."""
    versions = {}

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    return versions


def test_a_checkout_has_the_version_of_its_project_installed_or_not(metadata):
    assert chatlib.__version__ == VERSION


def test_a_checkout_does_not_take_the_version_of_another_installation(metadata):
    metadata["chatlib"] = "99.0"
    assert chatlib.__version__ == VERSION


def test_an_installed_chatlib_has_the_version_of_its_metadata(project, metadata):
    metadata["chatlib"] = "99.0"
    assert chatlib.__version__ == "99.0"


@pytest.mark.parametrize("text", ['[project]\nname = "other"\nversion = "1"\n', "[tool]\n", ""])
def test_the_project_of_somebody_else_does_not_count(text, project, metadata):
    project.write_text(text)
    metadata["chatlib"] = "99.0"
    assert chatlib.__version__ == "99.0"


def test_a_folder_that_was_copied_says_that_it_does_not_know(project, metadata):
    assert chatlib.__version__ == "0+unknown"


def test_the_command_tells_it(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"chatlib {VERSION}\n"


def test_another_name_is_not_there():
    with pytest.raises(AttributeError, match="module 'chatlib' has no attribute 'nothing'"):
        chatlib.nothing  # noqa: B018
