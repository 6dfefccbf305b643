"""Handlers that never get a turn are found, and no others."""

import functools
import itertools
import linecache
import textwrap

import pytest
from fastapi import APIRouter, Cookie, Depends, FastAPI, Query, WebSocket
from starlette.applications import Starlette
from starlette.endpoints import WebSocketEndpoint
from starlette.routing import Mount, WebSocketRoute

from chatlib.lab import check
from chatlib.lab.routes import unheard_handlers

CELL = """
@{app}.websocket("{path}")
async def say(websocket: WebSocket):
    await websocket.accept()
    await websocket.send_text("{answer}")
"""


def run_cell(app, answer, path="/ws"):
    exec(CELL.format(app="app", path=path, answer=answer), {"app": app, "WebSocket": WebSocket})


def test_the_same_cell_twice_is_no_fault():
    app = FastAPI()
    run_cell(app, "one")
    run_cell(app, "one")
    assert unheard_handlers(app) == []


def test_a_corrected_cell_is_a_fault_and_its_remedy_is_told():
    app = FastAPI()
    for answer in ("one", "two", "three"):
        run_cell(app, answer)
    (sentence,) = unheard_handlers(app)
    assert sentence.startswith("The app has two handlers for WebSocket /ws, and the first one")
    assert "app = FastAPI()" in sentence


def test_another_name_for_a_part_of_the_path_is_the_same_path():
    app = FastAPI()
    run_cell(app, "one", "/ws/{name}")
    run_cell(app, "two", "/ws/{client_id}")
    assert len(unheard_handlers(app)) == 1


def test_a_fixed_path_before_one_with_a_part_that_varies_is_no_fault():
    app = FastAPI()
    run_cell(app, "one", "/ws/me")
    run_cell(app, "two", "/ws/{client_id}")
    assert unheard_handlers(app) == []


def test_different_methods_of_one_path_are_no_fault():
    app = FastAPI()
    app.get("/talk")(lambda: "one")
    app.post("/talk")(lambda: "two")
    run_cell(app, "three", "/talk")
    assert unheard_handlers(app) == []


def test_two_handlers_of_one_method_are_a_fault():
    app = FastAPI()
    app.get("/talk")(lambda: "one")
    app.get("/talk")(lambda: "two")
    assert "two handlers for GET /talk," in unheard_handlers(app)[0]


def test_handlers_of_an_included_router_count():
    app, router = FastAPI(), APIRouter()
    run_cell(router, "one")
    app.include_router(router, prefix="/below")
    run_cell(app, "two", "/below/ws")
    assert "WebSocket /below/ws," in unheard_handlers(app)[0]


def test_one_function_that_was_made_twice_with_other_variables_counts_as_two():
    app = FastAPI()

    def add(answer):
        @app.get("/talk")
        async def talk():
            return answer

    add("one")
    add("two")
    assert len(unheard_handlers(app)) == 1


def test_a_decorated_handler_is_told_by_what_is_inside():
    def decorated(function):
        @functools.wraps(function)
        async def inside():
            return await function()

        return inside

    def add(answer):
        namespace = {"app": app, "decorated": decorated}
        exec(f"@app.get('/')\n@decorated\nasync def talk(): return {answer}", namespace)

    app = FastAPI()
    add(1)
    add(1)
    assert unheard_handlers(app) == []
    add(2)
    assert len(unheard_handlers(app)) == 1


numbers = itertools.count()


def is_reported(*cells, has_source=True):
    """Whether an app for which `cells` are run, one after another, has a handler unheard.

    A notebook keeps the source of its cells; what `exec` runs has none.
    """
    names = {"app": FastAPI(), "functools": functools, "WebSocket": WebSocket}
    names |= {"Cookie": Cookie, "Depends": Depends, "Query": Query}
    for cell in cells:
        name = f"<cell {next(numbers)}>"
        if has_source:
            linecache.cache[name] = (len(cell), None, cell.splitlines(keepends=True), name)
        exec(compile(cell, name, "exec"), names)
    return bool(unheard_handlers(names["app"]))


def handler(more="", body="await websocket.accept()"):
    return f"@app.websocket('/ws')\nasync def talk(websocket: WebSocket{more}):\n    {body}\n"


def below(cell, handler):
    return textwrap.dedent(cell) + handler


CORRECTIONS = {
    "where a value comes from": [handler(", t: str = Query()"), handler(", t: str = Cookie()")],
    "a default": [handler(", n: int = 3"), handler(", n: int = 4")],
    "a default of a keyword": [handler(", *, n: int = 3"), handler(", *, n: int = 4")],
    "an annotation": [handler(", n: int"), handler(", n: str")],
    "what it depends on": [
        below(
            f"""
            def inner(q: str = "{default}"): return q
            def outer(q=Depends(inner)): return q
            """,
            handler(", q=Depends(outer)"),
        )
        for default in "ab"
    ],
    "the class that it depends on": [
        below(
            f"""
            class Wanted:
                def __init__(self, q: str = "{default}"): self.q = q
            """,
            handler(", q=Depends(Wanted)"),
        )
        for default in "ab"
    ],
    "a decorator's inside": [
        below(
            f"""
            def decorated(function):
                @functools.wraps(function)
                async def inside(*args, **more):
                    return {answer}
                return inside
            """,
            "@app.get('/')\n@decorated\nasync def talk(): return 0\n",
        )
        for answer in "12"
    ],
    "what a partial gives": [
        f"def talk(n): return n\napp.get('/')(functools.partial(talk, {n}))\n" for n in "12"
    ],
}
SHOWN_BY_THE_SOURCE = {
    "an option of the decorator": [
        f"@app.get('/', status_code={status})\ndef talk(): return 1\n" for status in (200, 201)
    ],
    "an option of a value": [handler(f", t: str = Query(min_length={least})") for least in (3, 4)],
}


@pytest.mark.parametrize("what", [*CORRECTIONS, *SHOWN_BY_THE_SOURCE])
def test_a_correction_that_the_code_alone_does_not_show_is_reported(what):
    assert is_reported(*(CORRECTIONS | SHOWN_BY_THE_SOURCE)[what])


@pytest.mark.parametrize("what", CORRECTIONS)
def test_most_corrections_are_seen_without_the_source(what):
    assert is_reported(*CORRECTIONS[what], has_source=False)


ALL = CORRECTIONS | SHOWN_BY_THE_SOURCE
REPEATS = {
    **{what: [cells[0], cells[0]] for what, cells in ALL.items()},
    "below a comment": [handler(), "# a comment\n" + handler()],
    "below a comment, with a function inside": [
        handler(body="return lambda: 1"),
        "# a comment\n" + handler(body="return lambda: 1"),
    ],
    "a decorator that does not tell what is inside": [
        below(
            """
            def decorated(function):
                async def inside(websocket: WebSocket):
                    await function(websocket)
                return inside
            """,
            "@app.websocket('/ws')\n@decorated\nasync def talk(websocket): pass\n",
        )
    ]
    * 2,
    "a function that names itself": [
        "def make():\n    def talk(): return talk\n    return talk\napp.get('/')(make())\n"
    ]
    * 2,
    "a method": ["class A:\n    def talk(self): return 1\napp.get('/')(A().talk)\n"] * 2,
    "a cached function": ["@app.get('/')\n@functools.cache\ndef talk(): return 1\n"] * 2,
}


@pytest.mark.parametrize("has_source", [True, False])
@pytest.mark.parametrize("what", REPEATS)
def test_a_repeat_that_corrects_nothing_is_no_fault(what, has_source):
    assert not is_reported(*REPEATS[what], has_source=has_source)


def test_a_comment_in_the_handler_is_no_correction():
    assert not is_reported(handler(), handler(body="# a comment\n    await websocket.accept()"))


def test_two_lambdas_of_one_line_are_two():
    assert is_reported("app.get('/')(lambda: 1); app.get('/')(lambda: 2)")


async def bare(scope, receive, send):
    """An app without routes."""


@pytest.mark.parametrize(
    "app", [bare, Starlette(routes=[Mount("/", bare), Mount("/", bare)]), FastAPI()]
)
def test_apps_without_handlers_have_no_fault(app):
    assert unheard_handlers(app) == []


def test_the_handlers_of_starlette_count_too():
    async def one(websocket):
        await websocket.close()

    async def other(websocket):
        await websocket.accept()

    app = Starlette(routes=[WebSocketRoute("/ws", one), WebSocketRoute("/ws", other)])
    assert len(unheard_handlers(app)) == 1


def test_the_endpoints_of_starlette_are_told_by_their_methods():
    def endpoint(code):
        class Talk(WebSocketEndpoint):
            async def on_connect(self, websocket):
                await websocket.close(code)

        return WebSocketRoute("/ws", Talk)

    assert unheard_handlers(Starlette(routes=[endpoint(4000), endpoint(4000)])) == []
    assert len(unheard_handlers(Starlette(routes=[endpoint(4000), endpoint(4001)]))) == 1


def test_a_check_says_it_too():
    app = FastAPI()
    run_cell(app, "one")
    run_cell(app, "two")
    report = check.echo(app)
    assert not report.passed
    assert "two handlers for WebSocket /ws, and the first one answers" in repr(report)
