"""The Dockerfile: judged by hadolint, and its command really run, without Docker."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest
from container import DOCKERFILE, USER, Container, Image, instructions
from recipes import ROOT, SECRET, close_code, in_a_room, run_async, status_of

GRACE_SECONDS = 10  # what Docker gives a container by default


@pytest.fixture
def image():
    return Image()


@pytest.fixture
def container():
    # Those of `tmp_path` are in folders that another user cannot get to.
    with (
        tempfile.TemporaryDirectory() as folder,
        Container(folder, CHATLIB_SECRET=SECRET) as container,
    ):
        yield container


def test_hadolint_has_nothing_to_say_against_the_dockerfile():
    hadolint = shutil.which("hadolint", path=Path(sys.executable).parent)
    ran = subprocess.run([hadolint, DOCKERFILE], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_the_server_starts_without_root_and_without_a_shell_in_between(image):
    assert image.user == USER
    assert image.command[:3] == ["python", "-m", "chatlib"]
    assert image.all("ENTRYPOINT") == []


def test_the_port_that_is_exposed_is_the_one_at_which_the_server_listens(image):
    assert image.environment["PORT"] == str(image.port)


def test_the_messages_are_in_the_volume(image):
    assert image.environment["CHATLIB_STORE"].startswith(f"sqlite:///{image.one('VOLUME')}/")


def test_there_is_no_secret_in_the_image(image):
    assert not {name for name in image.environment if "SECRET" in name}


def ignored(name):
    """Return whether .dockerignore keeps `name`, of the root, out of the build."""
    kept = set((ROOT / ".dockerignore").read_text("utf-8").splitlines())
    return f"!{name}" not in kept


def test_the_build_gets_all_that_the_package_is_made_of_and_no_more():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    hatch = project["tool"]["hatch"]
    readme = hatch["metadata"]["hooks"]["fancy-pypi-readme"]["fragments"]
    needed = {
        *["pyproject.toml", "constraints.txt"],
        *[part["path"] for part in readme if "path" in part],
        *project["project"]["license-files"],
        *hatch["build"]["targets"]["wheel"]["only-include"],
    }
    copied = {
        source
        for word, rest in instructions()
        if word == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }
    assert copied == needed
    assert not any(map(ignored, copied))
    assert (ROOT / ".dockerignore").read_text("utf-8").splitlines()[1] == "*"


def test_a_container_is_healthy_while_the_server_answers_and_no_longer(container):
    assert container.healthy() == 0
    assert status_of(container.port, "/metrics") == 200
    container.process.send(signal.SIGKILL)  # with which its only child ends
    container.process.status()
    assert container.healthy() == 1


def test_a_container_that_is_stopped_tells_its_clients_1012_and_ends_in_time(container):
    number = signal.Signals[container.image.one("STOPSIGNAL")]

    async def scenario():
        async with in_a_room(container.port, "ana") as ana:
            os.kill(container.pid, number)
            return await close_code(ana)

    assert run_async(scenario()) == 1012
    # uvicorn ends by the signal, which is 143 in a shell. The first process of a container cannot
    # end by a signal that it sends to itself: there it is 0.
    assert container.process.status(GRACE_SECONDS) == (0 if container.is_first else -number)
    assert "Traceback" not in container.process.printed
