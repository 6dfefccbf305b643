"""The files in deploy/platforms, as far as they can be judged without the platforms."""

import re
import tomllib

import pytest
import yaml
from container import Image
from fastapi.testclient import TestClient
from recipes import DEPLOY, ROOT

from chatlib.__main__ import STOP_SECONDS
from chatlib.rooms import create_app

FOLDER = DEPLOY / "platforms"
FLY = tomllib.loads((FOLDER / "fly.toml").read_text("utf-8"))
RAILWAY = tomllib.loads((FOLDER / "railway.toml").read_text("utf-8"))
(RENDER,) = yaml.safe_load((FOLDER / "render.yaml").read_text("utf-8"))["services"]
RENDER_VARIABLES = {variable["key"]: variable for variable in RENDER["envVars"]}
CHECKS = {
    "fly": FLY["http_service"]["checks"][0]["path"],
    "railway": RAILWAY["deploy"]["healthcheckPath"],
    "render": RENDER["healthCheckPath"],
}


def test_the_health_checks_ask_paths_that_the_app_answers():
    with TestClient(create_app()) as client:
        answers = {platform: client.get(path).status_code for platform, path in CHECKS.items()}
    assert answers == dict.fromkeys(CHECKS, 200)


def test_where_a_failed_check_means_a_restart_it_does_not_ask_the_store():
    assert CHECKS["render"] == "/livez"


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param(FLY["kill_timeout"], id="fly"),
        pytest.param(RAILWAY["deploy"]["drainingSeconds"], id="railway"),
        pytest.param(RENDER["maxShutdownDelaySeconds"], id="render"),
    ],
)
def test_there_is_more_time_to_end_than_a_stop_takes(seconds):
    assert seconds >= STOP_SECONDS + 11  # as measured, with clients that read nothing


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(FLY["build"]["dockerfile"], id="fly"),
        pytest.param(RAILWAY["build"]["dockerfilePath"], id="railway"),
        pytest.param(RENDER["dockerfilePath"], id="render"),
    ],
)
def test_the_image_is_built_from_the_dockerfile(path):
    assert (ROOT / path).resolve() == DEPLOY / "docker" / "Dockerfile"


def test_the_ports_are_those_at_which_the_server_listens():
    assert FLY["env"]["PORT"] == str(FLY["http_service"]["internal_port"])
    assert RENDER_VARIABLES["PORT"]["value"] == str(Image().port)


def test_no_machine_is_stopped_while_clients_are_connected():
    service = FLY["http_service"]
    assert (service["auto_stop_machines"], service["auto_start_machines"]) == ("off", False)


def test_there_is_no_secret_in_a_file():
    assert set(FLY["env"]) == {"PORT"}
    assert set(RENDER_VARIABLES["CHATLIB_SECRET"]) == {"key", "generateValue"}
    assert set(RENDER_VARIABLES["CHATLIB_STORE"]) == {"key", "sync"}


def test_each_fact_has_a_source_that_is_listed_and_each_source_is_one_of_a_fact():
    text = (DEPLOY / "README.md").read_text("utf-8").partition("## Platforms")[2]
    listed = re.findall(r"^\[(\d+)\]: https://\S+$", text, re.MULTILINE)
    assert set(re.findall(r"\[(\d+)\](?!:)", text)) == set(listed)
    assert listed == [str(number) for number in range(1, len(listed) + 1)]


def test_what_the_readme_links_to_is_there():
    text = (DEPLOY / "README.md").read_text("utf-8")
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", text)
    assert [link for link in links if not (DEPLOY / link).exists()] == []
    assert "platforms/fly.toml" in links
