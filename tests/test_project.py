"""The house itself: what it depends on, which way its arrows run, what it never contains."""

import ast
import importlib.metadata
import itertools
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
EXTRAS = PROJECT["optional-dependencies"]
MODULES = sorted((ROOT / "chatlib").rglob("*.py"))


def name_of(path):
    """Return the dotted name of the module at `path`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports_of(path):
    """Return the names of the modules of ours that the module at `path` imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports by a relative name"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("chatlib.")}


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_imports_run_down_only(path):
    """Apps to core, core to stores; nothing but the instruments uses the instruments."""
    module = name_of(path)
    for imported in imports_of(path):
        if module.startswith("chatlib.core"):
            assert imported.startswith(("chatlib.core", "chatlib.stores"))
        if module.startswith("chatlib.stores"):
            assert imported.startswith("chatlib.stores")
        if not module.startswith("chatlib.lab"):
            assert not imported.startswith("chatlib.lab")


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_is_a_page_or_two(path):
    lines = len(path.read_text("utf-8").splitlines())
    assert lines <= 250, f"{lines} lines"


def test_environment_yml_names_the_packages_of_pyproject():
    environment = yaml.safe_load((ROOT / "environment.yml").read_text("utf-8"))
    (pip,) = [part["pip"] for part in environment["dependencies"] if isinstance(part, dict)]
    extras = [EXTRAS[name] for name in ("rooms", "redis", "metrics", "lab", "site", "test")]
    wanted = [*PROJECT["dependencies"], *itertools.chain(*extras)]
    wanted = [name for name in dict.fromkeys(wanted) if not name.startswith("chatlib")]
    assert pip == [*wanted, "--editable ."]
    assert f"python{PROJECT['requires-python']}" in environment["dependencies"]


def test_the_chapters_import_nothing_but_what_the_extra_lab_brings():
    extras = EXTRAS["rooms"] + EXTRAS["redis"] + EXTRAS["lab"]
    wanted = {re.match(r"[a-z0-9-]+", name)[0] for name in PROJECT["dependencies"] + extras}
    # What these need comes with them.
    wanted |= {"chatlib", "anyio", "httpx", "pydantic", "starlette"}
    owners = importlib.metadata.packages_distributions()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for module in modules_of(path) - set(sys.stdlib_module_names):
            names = {name.lower().replace("_", "-") for name in owners.get(module, [module])}
            assert names & wanted, f"{path.name} imports {module}"


def modules_of(notebook):
    """Return the top-level modules that the code cells of `notebook` import."""
    found = set()
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            source = "".join(cell["source"])
            flags = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT | ast.PyCF_ONLY_AST
            for node in ast.walk(compile(source, notebook.name, "exec", flags)):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom):
                    found.add(node.module.partition(".")[0])
    return found


def test_constraints_txt_has_a_version_for_each_package_and_nothing_else():
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    assert [line for line in lines if not re.match(r"^[a-z0-9-]+==[^\s]+( ; .+)?$", line)] == []
    held = {line.partition("==")[0] for line in lines}
    for package in PROJECT["dependencies"] + [name for extra in EXTRAS.values() for name in extra]:
        name = re.match(r"[a-z0-9-]+", package)[0]
        assert name in held | {"chatlib"}, f"{name} has no version: run `make constraints`"


def test_importing_chatlib_loads_no_instrument():
    script = (
        "import sys, chatlib; chatlib.ConnectionManager; "
        "print(sorted({'IPython', 'matplotlib', 'jupyter_client', 'redis', 'websockets', "
        "'uvicorn', 'prometheus_client', 'chatlib.lab'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
