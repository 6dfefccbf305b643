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
from chatlib.core import redact
from chatlib.lab import check, serve
from chatlib.lab.check.bench import Bench, Wrong, serving
from chatlib.lab.check.contract import CHAT, ECHO, ITEMS
from chatlib.lab.check.report import Rules, report_on, report_on_app

spec = importlib.util.spec_from_file_location("broken", Path(__file__).with_name("broken.py"))
broken = importlib.util.module_from_spec(spec)
spec.loader.exec_module(broken)

BAD_INPUT = {
    "a binary message: closed with 1003, nobody else notices": "takes text for granted",
    "text that is not UTF-8: 1007, nobody else notices": "one out, all out",
    "more than 64 KiB: 1009, nobody else notices": "one out, all out",
    "none of this, and no way of leaving, left a traceback in the log": "lets it escape",
}
ORIGIN = {
    "a page of another origin is refused with 403": "no guard",
    "a page of the same host and port is let in": "hermit",
}
# Each rule, and a mistake that it has to notice.
MISTAKES = {
    "echo": {
        "a client is let in at /ws": "another path",
        "each text m comes back as 'Message text was: m'": "other words",
        "GET / is the page": "page of plain text",
        "two clients do not hear each other": "answers all",
        **BAD_INPUT,
    },
    "items": {
        "a token in the query opens /items/{item_id}/ws": "another path",
        "each text is answered with the credential, then the text and the item": "another order",
        "two clients do not hear each other": "answers all",
        "the cookie `session` opens it too": "no cookies",
        "where both come, the cookie wins": "the token wins",
        "an empty cookie counts as none": "an empty cookie is one",
        "q is told if it was given, 0 too": "0 is no number",
        "neither cookie nor token, or an empty token: refused with 403": "open to all",
        "a q that is no integer: refused with 403": "any q",
        "the token never reaches the log": "no redaction",
        "GET / is the page": "bare page",
        **BAD_INPUT,
        **ORIGIN,
    },
    "chat": {
        "a client is let in at /ws/{client_id}": "another path",
        "the sender hears 'You wrote: m', then what all hear": "another order",
        "everybody else hears 'Client #… says: m'": "no broadcast",
        "those who remain hear 'Client #… left the chat'": "leaves in silence",
        "a client whose connection is cut has left too": "leaves in silence",
        "two clients may bear one id": "one connection an id",
        "an id that is no integer: refused with 403": "any id",
        "GET / is the page": "no page",
        **BAD_INPUT,
        **ORIGIN,
    },
}
CONTRACTS = {"echo": ECHO, "items": ITEMS, "chat": CHAT}


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_finished_app_passes(name):
    report = getattr(check, name)(getattr(chatlib, name).app)
    assert report.passed, report


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_apps_that_are_broken_below_pass_without_their_mistakes(name):
    report = getattr(check, name)(getattr(broken, name)())
    assert report.passed, report


@pytest.mark.parametrize("name", CONTRACTS)
def test_there_is_a_mistake_for_each_rule(name):
    assert [rule.says for rule in CONTRACTS[name]] == sorted(
        MISTAKES[name], key=[rule.says for rule in CONTRACTS[name]].index
    )


@pytest.mark.parametrize(
    ("name", "says", "mistake"),
    [(name, *pair) for name, mistakes in MISTAKES.items() for pair in mistakes.items()],
)
def test_each_rule_notices_an_app_that_breaks_it(name, says, mistake, monkeypatch):
    if mistake == "no redaction":  # it holds for the process, whatever the app
        monkeypatch.setattr(redact._filter, "parameters", set())
    (rule,) = [rule for rule in CONTRACTS[name] if rule.says == says]
    report = report_on_app(name, [rule], getattr(broken, name)(mistake))
    assert [mark for _, mark, _ in report.lines] == ["✗"], report
    assert "hint: " in repr(report)


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
    assert "blocks the server: its thread is in hogs_the_loop()" in repr(report)
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
    monkeypatch.setattr("chatlib.lab.check.bench.QUIET_SECONDS", 0.1)
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
