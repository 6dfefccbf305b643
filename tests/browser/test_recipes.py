"""The pages of the chapter with recipes, made of the chapter's own cells, in a real browser."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from chatlib.lab.serve import Server

Serve = Callable[..., Server]

BEAT_MS = 10_000  # what the heartbeat's page says of itself
PATIENCE_MS = 5_000


@pytest.fixture
def recipe(notebooks: Path, serve: Serve) -> Callable[..., dict[str, Any]]:
    """Run cells of the one chapter that has them, by their ids; return what they define."""

    def run(*ids: str) -> dict[str, Any]:
        defined: dict[str, Any] = {}
        for cell, source in cells_of_one_chapter(notebooks, ids).items():
            if cell in ids or cell.startswith("imports"):
                exec(source, defined)
                defined["serve"] = serve  # which stops its servers after the test
        return defined

    return run


def cells_of_one_chapter(notebooks: Path, ids: tuple[str, ...]) -> dict[str, str]:
    """Return the code cells of the chapter that has `ids`, by id, in their order."""
    for path in sorted(notebooks.glob("*.ipynb")):
        cells = json.loads(path.read_text("utf-8"))["cells"]
        sources = {c["id"]: "".join(c["source"]) for c in cells if c["cell_type"] == "code"}
        if set(ids) <= set(sources):
            return sources
    pytest.fail(f"no chapter has the cells {ids}")


def status(page: Page) -> Locator:
    return page.get_by_role("status")


@pytest.fixture
def heartbeat(recipe: Callable[..., dict[str, Any]], page: Page) -> dict[str, Any]:
    """What the cells on the heartbeat define; their page is open, and its clock stands still."""
    defined = recipe(
        "heartbeat-app", "heartbeat-script", "heartbeat-script-answers", "heartbeat-page"
    )
    page.clock.install(time=0)
    page.clock.pause_at(1)
    page.goto(defined["heartbeat"].http_url("/"))
    expect(status(page)).to_have_text("Connected.")
    return defined


def test_the_page_of_the_recipe_connects_again_after_a_restart(
    recipe: Callable[..., dict[str, Any]], page: Page, serve: Serve, handshakes_may_fail: None
) -> None:
    defined = recipe("reconnect-page")
    page.clock.install()
    server = defined["page_server"]
    page.goto(server.http_url("/"))
    expect(status(page)).to_have_text("Connected.")
    server.stop()
    expect(status(page)).to_contain_text("Connection lost")
    expect(status(page)).to_contain_text("1012")
    serve(defined["again"], port=server.port)
    page.clock.run_for(20_000)
    expect(status(page)).to_contain_text("Connected again")


def test_a_heartbeat_that_is_answered_is_seen_in_the_page(
    heartbeat: dict[str, Any], page: Page
) -> None:
    for number in (1, 2):
        page.clock.run_for(BEAT_MS)
        expect(status(page)).to_have_text(f"Alive: {number}")
    assert heartbeat["got"] == ["ping", "ping"]


def test_an_answer_stops_the_timer_of_its_heartbeat(heartbeat: dict[str, Any], page: Page) -> None:
    page.clock.run_for(BEAT_MS)
    expect(status(page)).to_have_text("Alive: 1")
    page.clock.run_for(BEAT_MS - 1)
    assert status(page).inner_text() == "Alive: 1"


def test_a_heartbeat_without_an_answer_is_seen_in_the_page_which_connects_again(
    heartbeat: dict[str, Any], page: Page
) -> None:
    heartbeat["alive"].state.deaf = True
    page.clock.run_for(BEAT_MS + PATIENCE_MS - 1)
    expect(status(page)).to_have_text("Connected.")
    page.clock.run_for(1)
    expect(status(page)).to_have_text(
        "Lost: no answer to a heartbeat. Connecting again…"  # and the socket is still open
    )
    heartbeat["alive"].state.deaf = False
    page.clock.run_for(2_000)
    expect(status(page)).to_have_text("Connected.")
    page.clock.run_for(BEAT_MS)
    expect(status(page)).to_have_text("Alive: 1")


def test_the_page_with_a_heartbeat_sees_a_server_that_stops(
    heartbeat: dict[str, Any], page: Page, handshakes_may_fail: None
) -> None:
    heartbeat["heartbeat"].stop()
    expect(status(page)).to_have_text("Lost: closed with 1012. Connecting again…")
