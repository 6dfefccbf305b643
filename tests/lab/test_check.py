"""A check tells right from wrong, says why, and always comes back."""

import asyncio
import contextlib
import importlib.util
import threading
from pathlib import Path

import pytest
import websockets.sync.client
from fastapi import FastAPI, WebSocket

import chatlib.chat
import chatlib.echo
import chatlib.items
from chatlib.lab import Server, check, serve
from chatlib.lab.check.report import Rules, report_on, report_on_app
from chatlib.lab.check.tools.bench import Bench, Wrong, serving

spec = importlib.util.spec_from_file_location("broken", Path(__file__).with_name("broken.py"))
broken = importlib.util.module_from_spec(spec)
spec.loader.exec_module(broken)

CONTRACTS = ("echo", "items", "chat")


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_finished_app_passes(name):
    report = getattr(check, name)(getattr(chatlib, name).app)
    assert report.passed, report


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_apps_that_are_broken_below_pass_without_their_mistakes(name):
    report = getattr(check, name)(getattr(broken, name)())
    assert report.passed, report


def test_a_failing_line_says_what_was_expected_and_what_came():
    report = check.echo(broken.echo("other words"))
    assert "expected 'Message text was: hello', got: 'hello'" in repr(report)
    assert "hint: send_text" in repr(report)
    assert "·" in repr(report), "the rules that need this one are not tried"


@pytest.fixture
def no_deadline(monkeypatch):
    """A rule has all the time in the world, so it is the blocking alone that ends a check."""
    monkeypatch.setattr("chatlib.lab.check.report.RULE_SECONDS", 600.0)


def test_an_app_that_blocks_is_named_and_the_check_comes_back(no_deadline):
    app = FastAPI()
    release = threading.Event()

    @app.websocket("/ws")
    async def hogs_the_loop(websocket: WebSocket):
        await websocket.accept()
        release.wait(60)

    report = check.echo(app)
    release.set()
    for thread in threading.enumerate():
        if thread.name.startswith("chatlib"):
            thread.join(10)
    assert not report.passed
    assert "hogs_the_loop()" in repr(report)
    assert "Restart the kernel" in report.remark


def test_a_server_that_a_rule_starts_is_named_where_it_blocks(no_deadline):
    app = FastAPI()
    release = threading.Event()
    rules = Rules()

    @app.websocket("/ws")
    async def hogs_the_loop(websocket: WebSocket):
        await websocket.accept()
        release.wait(60)

    @rules.rule("it answers a ping", hint="give way")
    async def it_answers(app):
        async with serving(app) as server, Bench(server).client("/ws") as client:
            await (await client.connection.ping())

    @rules.rule("and once more", hint="give way")
    async def once_more(app):
        raise AssertionError("tried, though the code before blocks")

    report = report_on("blocks", rules, app)
    release.set()
    words = " ".join(repr(report).split())
    assert "blocks the server: its thread is in hogs_the_loop()" in words
    assert [mark for _, mark, _ in report.lines] == ["✗", "·"]


def test_a_function_that_blocks_is_said_to(no_deadline):
    release = threading.Event()
    rules = Rules()

    @rules.rule("it answers", hint="give way")
    async def it_answers(function):
        function()

    report = report_on("blocks", rules, lambda: release.wait(60))
    release.set()
    assert not report.passed
    assert "your code blocks" in repr(report)
    assert "Restart the kernel" in repr(report)


def test_an_app_that_does_not_start_is_a_failing_line():
    report = check.echo("no app")
    assert not report.passed
    assert "serve() takes an ASGI app" in repr(report)


def test_a_mistake_in_the_readers_code_is_a_failing_line():
    async def say(url, text):
        raise ZeroDivisionError("of the reader's")

    assert "ZeroDivisionError: of the reader's" in repr(check.say(say))


def test_an_app_that_is_served_is_checked_where_it_runs():
    """Its connections live in that server's event loop."""
    app = broken.echo()
    server = serve(app)
    assert check.echo(app).passed
    assert "WebSocket /ws" in repr(server.log)
    assert server.running
    server.stop()


def test_a_page_that_joins_during_a_check_and_stays_fails_no_rule(monkeypatch):
    """As the page in the notebook does under Run All."""
    monkeypatch.setattr("chatlib.lab.check.tools.bench.QUIET_SECONDS", 0.1)
    rules, stay = Rules(), contextlib.ExitStack()

    @rules.rule("the page joins", hint="")
    async def the_page_joins(bench):
        url = bench.server.ws_url("/ws")
        await asyncio.to_thread(stay.enter_context, websockets.sync.client.connect(url))

    @rules.rule("none of this left a traceback", hint="")
    async def no_traceback(bench):
        await bench.no_traceback()

    server = serve(app := broken.echo())
    with stay:
        report = report_on_app("stays", rules, app)
    server.stop()
    assert report.passed, report


def test_a_check_leaves_the_readers_servers_alone():
    server = serve(chatlib.chat.app)
    assert check.echo(chatlib.echo.app).passed
    assert server.running
    server.stop()


def test_it_works_while_an_event_loop_runs_as_in_a_notebook():
    async def cell():
        return check.echo(chatlib.echo.app)

    assert asyncio.run(cell()).passed


def test_what_is_wrong_reads_as_expected_and_got():
    assert str(Wrong("close 1003", "nothing")) == "expected close 1003, got: nothing"


def test_a_report_is_as_wide_as_a_narrow_window(no_deadline):
    rules = Rules()

    @rules.rule("a rule of some words, " * 4, hint="a hint of some words, " * 10)
    async def fails(subject):
        raise Wrong("many words " * 10, "many others " * 10)

    @rules.rule("another one", hint="")
    async def comes_later(subject):
        pass

    lines = repr(report_on("wide", rules, None)).splitlines()
    assert max(len(line) for line in lines) <= 76
    assert lines[-1] == "  ✓ another one"


def made(*says):
    """Return rules of which the first fails, so that the others are not tried."""
    rules = Rules()

    async def fails(subject):
        raise Wrong("much", "little")

    for number, sentence in enumerate(says):
        rules.rule(sentence, hint="", essential=not number)(fails)
    return rules


def test_what_was_not_tried_stands_beside_its_rule_where_more_than_one_does():
    lines = repr(report_on("table", made("long " * 20, "short", "shorter"), None)).splitlines()
    assert [line.split() for line in lines[-2:]] == [
        ["·", "short", "not", "tried", "yet"],
        ["·", "shorter", "not", "tried", "yet"],
    ]


def test_one_line_alone_does_not_have_beside_it_what_the_others_have_below():
    lines = repr(report_on("list", made("long " * 20, "short", "long " * 20), None)).splitlines()
    at = lines.index("  · short")
    assert lines[at + 1] == "    not tried yet"


def test_a_long_rule_that_holds_leaves_no_empty_line():
    rules = Rules()

    @rules.rule("a rule of so many words that they need " + "more and more room " * 4, hint="")
    async def holds(subject):
        pass

    lines = repr(report_on("long", rules, None)).splitlines()
    assert len(lines) > 2
    assert all(line.strip() for line in lines)


def test_a_page_that_comes_meanwhile_is_not_taken_for_a_client_of_the_check():
    class Visited(Bench):
        """A bench at whose server the reader's page arrives just before a client of the check."""

        async def open(self, path, headers):
            self.page = await websockets.connect(self.server.ws_url(path))
            return await super().open(path, headers)

    async def play(server):
        bench = Visited(server)
        async with bench.client("/ws"):
            pass
        await bench.no_handler_runs_on()
        await bench.page.close()

    with Server(chatlib.echo.app) as server:
        asyncio.run(play(server))
