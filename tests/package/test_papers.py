"""What lies beside the code for those who use it: the changelog, how to cite, how to report."""

import datetime
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
CHANGELOG = (ROOT / "CHANGELOG.md").read_text("utf-8")
HEADINGS = re.findall(r"^## (.+)$", CHANGELOG, re.MULTILINE)
KINDS = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
RELEASES = {
    Version(found[1]): datetime.date.fromisoformat(found[2])
    for heading in HEADINGS
    if (found := re.fullmatch(r"\[(.+)\] - (\d{4}-\d\d-\d\d)", heading))
}


def test_what_is_not_released_stands_first_and_each_release_has_its_date():
    assert HEADINGS[0] == "[Unreleased]"
    assert len(RELEASES) == len(HEADINGS) - 1


def test_the_newest_release_stands_first():
    assert list(RELEASES) == sorted(RELEASES, reverse=True)
    assert list(RELEASES.values()) == sorted(RELEASES.values(), reverse=True)


def test_the_version_of_the_project_is_the_newest_release():
    assert str(next(iter(RELEASES))) == PROJECT["version"]


def test_the_changes_are_grouped_by_their_kind():
    kinds = re.findall(r"^### (\w+)", CHANGELOG, re.MULTILINE)
    assert kinds
    assert set(kinds) <= KINDS


def test_the_citation_is_valid():
    command = [sys.executable, "-m", "check_jsonschema", ROOT / "CITATION.cff"]
    schema = ["--builtin-schema", "vendor.citation-file-format"]
    ran = subprocess.run([*command, *schema], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_the_citation_is_of_this_version():
    assert CITATION["version"] == PROJECT["version"]
    assert CITATION["date-released"] == RELEASES[Version(PROJECT["version"])].isoformat()
    assert CITATION["license"] == PROJECT["license"]


def test_the_readme_names_the_wheel_of_this_version():
    named = re.findall(r"chatlib-\S+?\.whl", (ROOT / "README.md").read_text("utf-8"))
    assert set(named) == {f"chatlib-{PROJECT['version']}-py3-none-any.whl"}


def test_nobody_is_made_up():
    """Nor is an address: until there is one, none is written down."""
    assert CITATION["authors"] == PROJECT["authors"] == [{"name": "The chatlib authors"}]
    assert "The chatlib authors" in (ROOT / "LICENSE").read_text("utf-8")
    assert not {"url", "repository", "repository-code", "doi", "identifiers"} & set(CITATION)
    for name in ("SECURITY.md", "CITATION.cff", "pyproject.toml"):
        assert not re.search(r"[\w.]+@[\w-]+\.\w", (ROOT / name).read_text("utf-8")), name


@pytest.mark.parametrize("name", ["CHANGELOG.md", "SECURITY.md", "CONTRIBUTING.md"])
def test_every_link_into_the_project_leads_somewhere(name):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", (ROOT / name).read_text("utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


@pytest.mark.parametrize("name", ["LICENSE", "CHANGELOG.md", "CITATION.cff", "SECURITY.md"])
def test_the_readme_ends_with_where_they_are(name):
    *_, last = (ROOT / "README.md").read_text("utf-8").rstrip().split("\n\n")
    assert f"]({name})" in last


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine")
def test_make_package_builds_as_these_tests_do(tmp_path):
    command = ["make", "--no-print-directory", "--dry-run", "package", f"VENV={tmp_path}"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == f"{tmp_path}/bin/python -m build --no-isolation"
