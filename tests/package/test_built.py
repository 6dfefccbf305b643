"""What is in the wheel and in the sdist, and what they say about themselves."""

import base64
import csv
import email
import hashlib
import io
import re
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest
import readme_renderer.markdown
from packaging.metadata import Metadata
from packaging.utils import parse_sdist_filename, parse_wheel_filename

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
README = (ROOT / "README.md").read_text("utf-8")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def wheel(built):
    """Return the files of the wheel, by name."""
    with zipfile.ZipFile(built.wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.fixture(scope="module")
def sdist(built):
    """Return the files of the sdist, by name below the folder that it makes."""
    with tarfile.open(built.sdist) as archive:
        files = [member for member in archive.getmembers() if member.isfile()]
        read = {member.name: archive.extractfile(member).read() for member in files}
    folder = built.sdist.name.removesuffix(".tar.gz") + "/"
    assert [name for name in read if not name.startswith(folder)] == []
    return {name.removeprefix(folder): content for name, content in read.items()}


@pytest.fixture(scope="module")
def metadata(wheel):
    """Return what the wheel says about itself."""
    (name,) = [name for name in wheel if name.endswith(".dist-info/METADATA")]
    return Metadata.from_email(wheel[name], validate=True)


@pytest.fixture(scope="module")
def page(metadata):
    """Return the README as an index shows it."""
    shown = readme_renderer.markdown.render(metadata.description, variant="GFM")
    assert shown, "it cannot be shown"
    return shown


def test_the_names_have_the_version(built):
    assert parse_wheel_filename(built.wheel.name)[:2] == parse_sdist_filename(built.sdist.name)
    name, version = parse_sdist_filename(built.sdist.name)
    assert (name, str(version)) == ("chatlib", PROJECT["version"])


def test_the_wheel_has_the_package_and_the_notebooks_and_nothing_else(built, wheel):
    package = {name for name in built.sources if name.startswith("chatlib/")}
    assert {
        "chatlib/py.typed",
        "chatlib/pages/chat.html",
        "chatlib/stores/lua/page.lua",
    } < package
    notebooks = {
        f"chatlib/{name}" for name in built.sources if re.match(r"notebooks/\w+\.ipynb$", name)
    }
    own = f"chatlib-{PROJECT['version']}.dist-info/"
    about = {own + name for name in ("METADATA", "WHEEL", "RECORD", "licenses/LICENSE")}
    assert set(wheel) == package | notebooks | about


def test_the_wheel_has_the_files_as_they_are_in_the_project(wheel):
    for name, content in wheel.items():
        if not name.startswith("chatlib-"):
            source = name.replace("chatlib/notebooks/", "notebooks/")
            assert content == (ROOT / source).read_bytes(), name


def test_the_record_of_the_wheel_is_right(wheel):
    (name,) = [name for name in wheel if name.endswith(".dist-info/RECORD")]
    record = {path: digest for path, digest, _ in csv.reader(io.StringIO(wheel[name].decode()))}
    assert set(record) == set(wheel)
    del record[name]
    for path, digest in record.items():
        made = base64.urlsafe_b64encode(hashlib.sha256(wheel[path]).digest()).rstrip(b"=").decode()
        assert digest == f"sha256={made}"


def test_the_wheel_is_for_every_machine(wheel):
    (name,) = [name for name in wheel if name.endswith(".dist-info/WHEEL")]
    assert email.message_from_bytes(wheel[name]).get_all("Tag") == ["py3-none-any"]


def test_the_sdist_has_every_file_of_the_project_but_those_of_ci(built, sdist):
    """A new file at the top has to be named in [tool.hatch.build.targets.sdist]."""
    wanted = {name for name in built.sources if not name.startswith(".ci/")}
    assert set(sdist) == wanted | {"PKG-INFO"}


def test_the_wheel_from_the_sdist_is_the_wheel_from_the_project(built):
    assert built.wheel.read_bytes() == built.wheel_without_sdist.read_bytes()


def test_wheel_and_sdist_say_the_same(wheel, sdist):
    (name,) = [name for name in wheel if name.endswith(".dist-info/METADATA")]
    assert sdist["PKG-INFO"] == wheel[name]


def test_the_metadata_are_those_of_the_project(metadata):
    assert metadata.name == "chatlib"
    assert str(metadata.version) == PROJECT["version"]
    assert metadata.summary == PROJECT["description"]
    assert str(metadata.requires_python) == PROJECT["requires-python"]
    assert set(metadata.provides_extra) == set(PROJECT["optional-dependencies"])
    assert metadata.keywords == PROJECT["keywords"]


def test_the_licence_is_an_expression_and_its_text_is_there(metadata):
    """As PEP 639 has it; it allows no classifier that says the same."""
    assert metadata.license_expression == "MIT"
    assert metadata.license_files == ["LICENSE"]
    assert [name for name in metadata.classifiers if name.startswith("License")] == []


def test_each_python_that_a_classifier_names_is_allowed_and_the_oldest_has_one(metadata):
    named = [
        found[1]
        for name in metadata.classifiers
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", name))
    ]
    assert named
    assert all(metadata.requires_python.contains(version) for version in named)
    assert f">={named[0]}" == str(metadata.requires_python)


def test_what_needs_nothing_extra_is_small(metadata):
    """Jupyter, Redis and the rest come with extras alone."""
    needed = [need.name for need in metadata.requires_dist if need.marker is None]
    assert needed == ["fastapi", "uvicorn", "websockets"]


def test_no_address_is_made_up(metadata):
    assert not metadata.project_urls
    assert metadata.home_page is None
    assert metadata.author_email is None
    assert metadata.maintainer_email is None


def test_the_page_of_an_index_has_no_link_and_no_picture_that_leads_nowhere(page):
    targets = {f"#{name}" for name in re.findall(r'id="([^"]*)"', page)}
    targets.add("http://127.0.0.1:8000")  # where the reader's own chat runs
    links = set(re.findall(r"""(?:href|src)=["']([^"']*)""", page))
    assert [link for link in links - targets if not link.startswith("https://")] == []


def test_the_page_of_an_index_has_all_else_of_the_readme(metadata, page):
    assert FENCE.findall(metadata.description) == FENCE.findall(README)
    headings = re.findall(r"^#+ .+$", README, re.MULTILINE)
    assert headings == re.findall(r"^#+ .+$", metadata.description, re.MULTILINE)
    for title in re.findall(r"\| \[(\d\d [^]]+)\]", README):
        assert f"<td>{title}</td>" in page
    assert page.count("<table>") == README.count("\n|---|") + README.count("\n| --- |")


def test_the_page_of_an_index_says_where_the_files_are(metadata):
    start, _, _ = metadata.description.partition("\n## ")
    assert "are in the source distribution" in start
