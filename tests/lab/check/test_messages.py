"""What a reader is told when an answer is wrong."""

import linecache
import tempfile

import pytest
from answers import expect_rejected
from fastapi import FastAPI, WebSocket

from chatlib.lab import check, serve
from chatlib.lab.check.report import Rules, report_on
from chatlib.lab.check.tools.bench import Outcome, Wrong, shorten
from chatlib.lab.check.tools.doors import why_not_let_in
from chatlib.lab.check.tools.mishap import shown, told

# What ipykernel calls a cell; there is no such file.
CELL = f"{tempfile.gettempdir()}/ipykernel_7/42.py"


def run_cell(source):
    """Run `source` as ipykernel runs a cell, and return its names."""
    names = {}
    linecache.cache[CELL] = (len(source), None, source.splitlines(keepends=True), CELL)
    exec(compile(source, CELL, "exec"), names)
    return names


def test_a_mistake_in_a_cell_is_shown_with_its_line():
    names = run_cell("async def say(url, text):\n    words = []\n    return words[2]\n")
    assert repr(check.say(names["say"])).splitlines()[2:5] == [
        "    your code raised IndexError: list index out of range",
        "      line 3 of your cell: return words[2]",
        "    hint: look at that line first: the exception ended your function there",
    ]


def test_a_mistake_in_an_app_of_a_cell_is_shown_with_its_line():
    names = run_cell(
        "from fastapi import FastAPI, WebSocket\n"
        "app = FastAPI()\n"
        "@app.websocket('/shout')\n"
        "async def shout(websocket: WebSocket):\n"
        "    await websocket.accept()\n"
        "    raise OSError('no luck')\n"
    )
    lines = repr(check.shout(names["app"])).splitlines()
    assert "    your code raised OSError: no luck" in lines
    assert "      line 6 of your cell: raise OSError('no luck')" in lines


def test_a_mistake_in_an_app_that_is_served_is_shown_too():
    names = run_cell(
        "from fastapi import FastAPI\n"
        "app = FastAPI()\n"
        "@app.get('/ping')\n"
        "def ping():\n"
        "    return {}['pong']\n"
    )
    server = serve(names["app"], name="messages")
    report = check.ping(names["app"])
    server.stop()
    expect_rejected(report, "GET /ping answers 200", "line 5 of your cell: return {}['pong']")


def test_of_a_group_the_first_exception_is_shown():
    async def say(url, text):
        raise ExceptionGroup("tasks", [ValueError("the first"), TypeError("the second")])

    assert "ValueError: the first" in repr(check.say(say))


def test_a_mistake_outside_of_the_readers_code_is_not_said_to_be_theirs():
    with pytest.raises(ValueError, match="invalid literal") as caught:
        int("x")
    error = caught.value.with_traceback(None)
    assert told(error) == "ValueError: invalid literal for int() with base 10: 'x'"


def test_a_server_in_place_of_its_app_is_taken_for_the_app():
    app = FastAPI()
    app.get("/ping")(lambda: {"pong": True})
    with serve(app, name="messages") as server:
        assert check.ping(server).passed


def test_what_came_is_shown_in_words():
    assert shorten(Outcome("nothing within 1 s")) == "nothing within 1 s"
    assert repr(Outcome("close 1003", 1003)) == "close 1003"
    assert "0x" not in shown(object())
    assert shown(expect_rejected) == "<function expect_rejected>"
    assert str(Wrong(1, 2).where("three")) == "expected 1 for three, got: 2"


class Hides:
    def __repr__(self):
        raise ValueError("not shown")


def test_an_object_that_cannot_be_shown_is_named():
    assert shown(Hides()) == "a Hides, whose repr raises ValueError"


def test_a_rule_that_takes_too_long_says_where_it_waits(monkeypatch):
    monkeypatch.setattr("chatlib.lab.check.report.RULE_SECONDS", 0.1)
    rules = Rules()

    @rules.rule("it answers", hint="answer")
    async def it_answers(function):
        await function()

    async def waits_for_ever():
        import asyncio

        await asyncio.Event().wait()

    assert "test_messages.py: await asyncio.Event().wait()" in repr(
        report_on("waits", rules, waits_for_ever)
    )


def test_a_late_warning_is_not_told_of_the_next_answer():
    """The exception of the first one holds what was never awaited."""
    app = FastAPI()

    @app.websocket("/shout")
    async def shout(websocket: WebSocket):
        await websocket.accept()
        websocket.receive_text().upper()

    assert "receive_text' was never awaited" in repr(check.shout(app))
    assert "never awaited" not in repr(check.shout(FastAPI()))


def test_other_warnings_are_shown_as_ever():
    async def say(url, text):
        import warnings

        warnings.warn("of the reader's", RuntimeWarning, stacklevel=1)
        return []

    with pytest.warns(RuntimeWarning, match="of the reader's"):
        check.say(say)


def test_an_app_with_something_mounted_is_not_said_to_lack_a_path():
    app = FastAPI()
    app.mount("/", FastAPI())
    assert why_not_let_in(app, "/shout", 403) == ("HTTP 403", None)


def test_a_client_that_sends_into_a_closed_connection_hears_of_that():
    app = FastAPI()

    @app.websocket("/shout")
    async def shout(websocket: WebSocket):
        await websocket.accept()
        await websocket.close(4000, "enough")

    expect_rejected(
        check.shout(app), "each text comes back in capitals", "expected 'HELLO', got: close 4000"
    )


def test_a_client_of_another_library_is_welcome():
    def say(url, text):
        from websockets.sync.client import connect

        with connect(url) as client:
            client.send(text)
            return [client.recv(), client.recv()]

    assert check.say(say).passed
