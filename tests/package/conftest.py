"""The wheel and the sdist, built from a copy of the project, and environments with the wheel."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
from installations import Installation, install, run

ROOT = Path(__file__).parents[2]
# What may lie about in a folder in which people work.
LITTER = (
    "chat.db",
    "course/00_start_here.ipynb",
    "dist/chatlib-0.0.1.tar.gz",
    ".venv/pyvenv.cfg",
    "chatlib/__pycache__/echo.cpython-311.pyc",
    "notebooks/.ipynb_checkpoints/00_start_here-checkpoint.ipynb",
    "tests/.pytest_cache/README.md",
)


class Built(NamedTuple):
    """What was built, and from which files: their names as they are below the project."""

    wheel: Path
    sdist: Path
    wheel_without_sdist: Path
    sources: list[str]


def copy_project(target: Path) -> list[str]:
    """Copy the files of the project to `target`, and return their names.

    These are the files that git knows. Where there is no git, as in an unpacked sdist, they are all
    that .gitignore does not name.
    """
    if (ROOT / ".git").exists() and shutil.which("git"):
        command = ["git", "-C", ROOT, "ls-files", "-z"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():  # one that was deleted is known until that is committed
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, target / name)
    else:
        ignored = (ROOT / ".gitignore").read_text("utf-8").split()
        patterns = [".git", "PKG-INFO", *(pattern.rstrip("/") for pattern in ignored)]
        shutil.copytree(ROOT, target, ignore=shutil.ignore_patterns(*patterns))
    names = (path.relative_to(target) for path in target.rglob("*") if path.is_file())
    return sorted(name.as_posix() for name in names)


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    """The wheel and the sdist."""
    folder = tmp_path_factory.mktemp("package")
    project = folder / "project"
    sources = copy_project(project)
    for name in LITTER:
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        (project / name).write_text("litter")
    build = [sys.executable, "-m", "build", "--no-isolation", project]
    for more in (["--outdir", folder / "dist"], ["--wheel", "--outdir", folder / "direct"]):
        run([*build, *more], cwd=folder)
    (wheel,) = (folder / "dist").glob("*.whl")
    (sdist,) = (folder / "dist").glob("*.tar.gz")
    (direct,) = (folder / "direct").glob("*.whl")
    return Built(wheel, sdist, direct, sources)


@pytest.fixture(scope="session")
def bare(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel without anything that it needs."""
    folder = tmp_path_factory.mktemp("bare")
    return install(folder, built.wheel, "--no-index", "--no-deps")


@pytest.fixture(scope="session")
def beside_others(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel, and the packages that these tests have, but not their chatlib."""
    folder = tmp_path_factory.mktemp("beside")
    installed = install(folder, built.wheel, "--no-index", "--no-deps")
    # What is in these folders is found, and not what .pth files in them name: an editable chatlib.
    others = [path for path in sys.path if Path(path).name in ("site-packages", "dist-packages")]
    (site,) = (folder / "venv").rglob("site-packages")
    (site / "others.pth").write_text("\n".join(others), "utf-8")
    return installed


@pytest.fixture(scope="session")
def alone(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Installation:
    """The wheel and what its extra `rooms` says that it needs, and nothing else."""
    constraints = ("--constraint", str(ROOT / "constraints.txt"))
    try:
        return install(tmp_path_factory.mktemp("alone"), f"{built.wheel}[rooms]", *constraints)
    except AssertionError as error:
        if "Failed to establish a new connection" in str(error):
            pytest.skip("the packages cannot be had without a network")
        raise


@pytest.fixture(scope="session")
def installed(request: pytest.FixtureRequest) -> Installation:
    """The wheel alone. Without a network, when that cannot be had, it is the one beside others."""
    try:
        return request.getfixturevalue("alone")
    except pytest.skip.Exception:
        return request.getfixturevalue("beside_others")
