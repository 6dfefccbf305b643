"""The compose file: its schema, what has to agree in it, and its commands really run."""

import asyncio
import contextlib
import logging
import shutil
import signal
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml
from check_jsonschema import main as check
from click.testing import CliRunner
from container import Container, bound_of
from ports import reserved_port
from recipes import (
    DEPLOY,
    GUARD_SECONDS,
    SECRET,
    Running,
    in_a_room,
    listening_socket,
    run_async,
    status_of,
)

from chatlib.__main__ import STOP_SECONDS
from chatlib.lab.redis_server import find_redis
from chatlib.stores import store_at

FILE = DEPLOY / "docker" / "compose.yaml"
COMPOSE = yaml.safe_load(FILE.read_text("utf-8"))
PROXY, APP, REDIS = (COMPOSE["services"][name] for name in ("proxy", "app", "redis"))


def test_the_file_has_the_schema_of_compose():
    ran = CliRunner().invoke(check, ["--builtin-schema", "vendor.compose-spec", str(FILE)])
    assert ran.exit_code == 0, ran.output


def test_all_that_is_named_is_there():
    for service in COMPOSE["services"].values():
        assert set(service["networks"]) <= set(COMPOSE["networks"])
        assert set(service.get("depends_on", ())) <= set(COMPOSE["services"])
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in COMPOSE["volumes"] or (FILE.parent / source).is_file()
    assert (FILE.parent / APP["build"]["context"] / APP["build"]["dockerfile"]).is_file()


def test_only_the_proxy_is_reached_from_outside_and_only_the_app_reaches_redis():
    assert [name for name, service in COMPOSE["services"].items() if "ports" in service] == [
        "proxy"
    ]
    assert REDIS["networks"] == ["back"]
    assert COMPOSE["networks"]["back"]["internal"] is True
    assert [
        name for name, service in COMPOSE["services"].items() if "back" in service["networks"]
    ] == ["app", "redis"]


def test_a_container_has_more_time_to_end_than_it_takes():
    assert bound_of(APP["stop_grace_period"]) >= STOP_SECONDS + 11  # as measured, with deaf clients


def test_a_secret_has_to_be_given():
    assert APP["environment"]["CHATLIB_SECRET"].startswith("${CHATLIB_SECRET:?")


@pytest.fixture
def redis(needs_redis, tmp_path):
    """Redis, run by the command of the file; its port."""
    name, *arguments = REDIS["command"]
    assert name == "redis-server"
    with reserved_port() as port:
        here = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(tmp_path)]
        with Running([find_redis(), *arguments, *here], {}) as server:
            server.wait_for("Ready to accept connections")
            yield str(port), server


def test_what_is_acknowledged_by_redis_as_it_is_started_here_is_on_the_disk(redis, caplog):
    async def durability():
        store = store_at(f"redis://127.0.0.1:{redis[0]}/0")
        await store.open()
        await store.close()
        return store.durable

    with caplog.at_level(logging.WARNING):
        assert run_async(durability()) == "disk"
    assert caplog.messages == []


@pytest.fixture
def healthy():
    """Whether the Redis at a port is healthy, as the check of the file sees it."""
    kind, program, *arguments = REDIS["healthcheck"]["test"]
    assert (kind, program) == ("CMD", "redis-cli")
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} here. On Debian and Ubuntu: apt install redis-tools")

    def is_healthy(port):
        command = [program, "-p", port, *arguments]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    return is_healthy


def test_redis_is_healthy_while_it_answers_and_no_longer(redis, healthy):
    port, server = redis
    assert healthy(port)
    server.send(signal.SIGTERM)
    server.status()
    assert not healthy(port)


def test_a_redis_that_still_reads_its_file_is_not_healthy(healthy):
    def answer(sock):
        connection, _ = sock.accept()
        with connection:
            connection.recv(1000)
            connection.sendall(b"-LOADING Redis is loading the dataset in memory\r\n")

    with listening_socket() as sock, ThreadPoolExecutor() as threads:
        answered = threads.submit(answer, sock)
        assert not healthy(str(sock.getsockname()[1]))
        answered.result(GUARD_SECONDS)


@pytest.fixture
def proxy(tmp_path):
    """Caddy, with the file of the recipe, in front of a port of this machine; both ports."""
    if shutil.which("caddy") is None:
        pytest.skip("there is no caddy here. On Debian and Ubuntu: apt install caddy")
    text = (FILE.parent / "Caddyfile").read_text("utf-8")
    assert text.count("app:8000") == 1
    with reserved_port() as port, reserved_port() as upstream:
        (tmp_path / "Caddyfile").write_text(
            "{\n\tadmin off\n}\n" + text.replace("app:8000", f"127.0.0.1:{upstream}"), "utf-8"
        )
        command = ["caddy", "run", "--config", tmp_path / "Caddyfile", "--adapter", "caddyfile"]
        variables = {"SITE_ADDRESS": f"http://127.0.0.1:{port}", "HOME": str(tmp_path)}
        with Running(command, variables) as caddy:
            caddy.wait_for("serving initial configuration")
            yield port, upstream


def test_while_no_container_answers_clients_wait_at_the_proxy_and_then_get_in(proxy):
    port, upstream = proxy

    async def scenario():
        async with contextlib.AsyncExitStack() as stack:
            knocking = asyncio.create_task(stack.enter_async_context(in_a_room(port, "ana")))
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            variables = {"CHATLIB_SECRET": SECRET, "CHATLIB_STORE": "memory:"}
            container = await asyncio.to_thread(Container, folder, port=upstream, **variables)
            stack.callback(container.__exit__, None, None, None)
            await knocking

    run_async(scenario())


def test_the_proxy_passes_no_figures_on(proxy):
    port, _ = proxy
    assert status_of(port, "/metrics") == 404
