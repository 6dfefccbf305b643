"""Handlers that never get a turn are found, and no others."""

import functools

import pytest
from fastapi import APIRouter, FastAPI, WebSocket
from starlette.applications import Starlette
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


def test_a_check_says_it_too():
    app = FastAPI()
    run_cell(app, "one")
    run_cell(app, "two")
    report = check.echo(app)
    assert not report.passed
    assert "two handlers for WebSocket /ws, and the first one answers" in repr(report)
