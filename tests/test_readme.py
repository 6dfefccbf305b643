"""What the README says works, by running it."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
import websockets

from chatlib.__main__ import GC_THRESHOLDS
from chatlib.core.rooms.identity import Tokens
from chatlib.lab.serve import Server
from chatlib.rooms import create_app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")


def fences(language):
    """Return the code fences of the README in `language`."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)


def run(source):
    names = {}
    exec(compile(source, "README.md", "exec"), names)
    return names


def test_every_snippet_is_run_by_a_test_here():
    assert len(fences("python")) == 7


def test_the_rooms_carry_what_a_member_and_a_plain_route_say():
    app = run(fences("python")[6])["app"]

    async def talk(server):
        url = server.ws_url("/topics/news?user=ana")
        async with asyncio.timeout(10), websockets.connect(url) as ana:
            await ana.send("hello")
            assert json.loads(await ana.recv()) == {"from": "ana", "text": "hello"}
            route = f"http://127.0.0.1:{server.port}/topics/news?text=good+evening"
            request = urllib.request.Request(route, method="POST")
            await asyncio.to_thread(urllib.request.urlopen, request)
            assert json.loads(await ana.recv()) == {"from": "the house", "text": "good evening"}

    with Server(app) as server:
        asyncio.run(talk(server))


def test_the_app_of_your_own_carries_news_and_keeps_strangers_out():
    names = run(fences("python")[0])

    async def talk(server):
        url = server.ws_url("/news?token=s3cret")
        async with (
            asyncio.timeout(10),
            websockets.connect(url) as ana,
            websockets.connect(url) as ben,
        ):
            await ana.send("hello")
            assert await ben.recv() == "hello"
            with pytest.raises(websockets.InvalidStatus):
                await websockets.connect(url, origin="https://evil.example")

    with Server(names["app"]) as server:
        asyncio.run(talk(server))
        assert "s3cret" not in repr(server.log)


def test_the_orders_are_followed_and_remembered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    app = run(fences("python")[2])["app"]

    async def order(server, item):
        route = f"http://127.0.0.1:{server.port}/orders?item={item}"
        request = urllib.request.Request(route, method="POST")
        return json.load(await asyncio.to_thread(urllib.request.urlopen, request))["id"]

    async def talk(server):
        url = server.ws_url("/orders")
        async with asyncio.timeout(10):
            async with websockets.connect(url) as page:
                assert json.loads(await page.recv())["history"] == "new"
                assert await order(server, "tea") == 1
                heard = json.loads(await page.recv())
                assert heard["data"] == {"item": "tea"}
            assert await order(server, "milk") == 2
            async with websockets.connect(f"{url}?after={heard['id']}.{heard['tag']}") as page:
                assert json.loads(await page.recv())["history"] == "complete"
                assert json.loads(await page.recv())["data"] == {"item": "milk"}

    with Server(app) as server:
        asyncio.run(talk(server))


def test_the_client_says_hello_and_hears_the_room():
    names = run(fences("python")[3])
    secret = "0123456789" * 4
    token = Tokens(secret).sign("ana", 3600)

    async def talk(server):
        printed = asyncio.get_running_loop().create_future()
        names["print"] = lambda *words: printed.set_result(words)
        greeting = asyncio.create_task(names["greet"](server.ws_url("/rooms/lobby"), token))
        async with asyncio.timeout(20):
            assert await printed == ("ana", "hello")
        greeting.cancel()
        await asyncio.wait([greeting])

    with Server(create_app(secret=secret)) as server:
        asyncio.run(talk(server))


def test_the_settings_of_the_garbage_collector_are_possible_and_those_of_the_finished_apps():
    show = "print(gc.get_freeze_count() > 0, gc.get_threshold())"
    command = [sys.executable, "-c", fences("python")[1] + show]
    assert (
        subprocess.run(command, capture_output=True, text=True).stdout == f"True {GC_THRESHOLDS}\n"
    )


def test_the_guard_with_caps_turns_away_who_is_too_many():
    guard = fences("python")[4].replace("=100,", "=1,")
    names = run(fences("python")[0].replace("app.add_middleware(Guard)\n", guard))

    async def connect_twice(server):
        url = server.ws_url("/news")
        page = {"origin": "https://www.example.com"}
        async with asyncio.timeout(10), websockets.connect(url, **page):
            with pytest.raises(websockets.InvalidStatus) as refused:
                await websockets.connect(url, **page)
            return refused.value.response.status_code

    with Server(names["app"]) as server:
        assert asyncio.run(connect_twice(server)) == 503


def test_the_app_with_probes_and_metrics_has_them(tmp_path, monkeypatch):
    def get(path):
        return urllib.request.urlopen(f"http://127.0.0.1:{server.port}{path}").read().decode()

    monkeypatch.chdir(tmp_path)
    app = run(fences("python")[5])["app"]
    with Server(app) as server:
        assert json.loads(get("/readyz")) == {"ready": True, "why": None}
        assert json.loads(get("/healthz"))["log"]["durable"] == "disk"
        assert 'chatlib_store_info{durable="disk",kind="sqlite"} 1.0' in get("/metrics")
        rows = re.findall(r"^\| `(/\w+)` \|", README, re.MULTILINE)
        assert [get(path) != "" for path in rows] == [True] * 4


def test_each_shell_command_is_known_to_these_tests():
    """So that a new one is run by a test before it is written down."""
    assert [line for fence in fences("sh") for line in fence.splitlines()] == [
        "make lab",
        "python -m venv .venv",
        ". .venv/bin/activate",
        'pip install -e ".[lab]" -c constraints.txt',
        "python -m chatlib course course",  # tests/test_course.py runs it
        "jupyter lab course",
        "make site",  # tests/site builds it
        "pip install .",  # tests/test_package.py runs these three
        "make package",
        "pip install dist/chatlib-0.1.0-py3-none-any.whl",
        # tests/test_main.py runs it
        "uvicorn --ws chatlib.core.fanout:FanoutProtocol --ws-max-size 65536 "
        "--timeout-graceful-shutdown 5 app:app",
        # tests/test_main.py runs it, at a free port
        "python -m chatlib rooms --store sqlite:///chat.db --workers 2 --port 8001",
        # tests/lab/check/test_ready.py runs it
        'python -m chatlib.lab.check ready "uvicorn app:app" --path /ws',
        "python -m chatlib chat --port 8000",  # tests/test_main.py runs it, at a free port
        "make test",
    ]


def make(*arguments):
    """Run make as if it had not been make that runs these tests."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine")
def test_make_alone_lists_the_targets():
    listed = make().stdout
    for target in ("lab", "site", "test", "notebooks", "lint", "bench", "package"):
        assert f"make {target} " in listed


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine")
def test_make_says_in_a_line_that_python_is_too_old(tmp_path):
    ran = make("lab", "PYTHON=", f"VENV={tmp_path / 'venv'}")
    assert ran.returncode != 0
    assert ran.stdout.startswith("This needs Python 3.11 or newer; there is Python ")
    assert len(ran.stdout.splitlines()) == 1


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make on this machine")
@pytest.mark.parametrize(
    ("target", "command"),
    [
        ("lab", "jupyter lab course/00_start_here.ipynb --no-browser --port 8899"),
        (
            "test",
            "--dist loadscope --no-loadscope-reorder --no-browser --port 8899",
        ),
    ],
)
def test_make_passes_arguments_on(target, command):
    ran = make("--dry-run", target, "ARGS=--no-browser --port 8899")
    assert ran.stdout.splitlines()[-1].endswith(command)


def test_every_link_into_the_project_leads_somewhere():
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_every_chapter_is_on_the_map():
    chapters = [path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    assert re.findall(r"notebooks/(\w+\.ipynb)\)", README) == chapters
