"""The pages of the examples, in a real browser on a bad network."""

import importlib.util
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from playwright.sync_api import Page, Request, WebSocketRoute, expect

from chatlib.lab import FaultProxy, Server

OpenTab = Callable[..., Page]
Serve = Callable[..., Server]

ORDERS = Path(__file__).parent.parent / "examples/orders.py"


@pytest.fixture
def orders(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The example, on a store of its own."""
    monkeypatch.setenv("ORDERS_STORE", "memory:")
    spec = importlib.util.spec_from_file_location("orders", ORDERS)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def order(server: Server, *items: str) -> None:
    for item in items:
        request = urllib.request.Request(
            server.http_url("/orders"),
            json.dumps({"item": item}).encode(),
            {"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request).close()


@pytest.mark.usefixtures("handshakes_may_fail")
def test_the_page_of_the_orders_comes_back_and_misses_nothing(
    orders: ModuleType, serve: Serve, open_tab: OpenTab
) -> None:
    server = serve(orders.app)
    with FaultProxy(server) as network:
        order(server, "tea")
        page = open_tab(network.http_url("/"))
        items = page.get_by_role("listitem")
        expect(items).to_have_text(["tea"])
        network.refuse()
        network.cut()
        expect(page.get_by_role("status")).to_have_text("Connection lost. Reconnecting…")
        missed = [f"cake {number}" for number in range(30)]  # more than a newcomer gets
        order(server, *missed)
        network.heal()
        expect(items).to_have_text(["tea", *missed])
        rule = network.stall("down")
        order(server, "milk")
        rule.wait()
        network.cut()
        network.heal()
        order(server, "bread")
        expect(items).to_have_text(["tea", *missed, "milk", "bread"])


class Line:
    """The WebSockets of a page, one after the other, and what becomes of what the server sends.

    Args:
        page: no script of it has run yet.
        take: gets each frame of the server and the connection, and returns what the page gets.
    """

    def __init__(self, page: Page, take: Callable[[dict[str, Any], WebSocketRoute], Any]) -> None:
        self.connections: list[WebSocketRoute] = []
        self.take = take
        page.add_init_script("Math.random = () => 0")  # comes back at once
        page.route_web_socket("**/orders*", self.open)

    @property
    def addresses(self) -> list[str]:
        return [connection.url for connection in self.connections]

    def open(self, line: WebSocketRoute) -> None:
        self.connections.append(line)
        server = line.connect_to_server()

        def down(data: str | bytes) -> None:
            frame = self.take(json.loads(data), line)
            if frame is not None:
                line.send(json.dumps(frame))

        server.on_message(down)


def test_a_message_that_got_lost_is_noticed_by_the_next_one(
    orders: ModuleType, serve: Serve, open_tab: OpenTab
) -> None:
    server, page = serve(orders.app), open_tab()
    lost: list[int] = []

    def lose_the_second(frame: dict[str, Any], line: WebSocketRoute) -> Any:
        if frame["type"] == "message" and frame["id"] == 2 and not lost:
            lost.append(frame["id"])
            return None
        return frame

    line = Line(page, lose_the_second)
    page.goto(server.http_url("/"))
    items = page.get_by_role("listitem")
    order(server, "tea")
    expect(items).to_have_text(["tea"])
    order(server, "cake", "milk")
    expect(items).to_have_text(["tea", "cake", "milk"])
    assert lost == [2]
    first, again = line.addresses
    assert "after" not in first
    assert "?after=1." in again


def test_a_page_whose_history_is_no_more_begins_its_list_anew_and_says_so(
    orders: ModuleType, serve: Serve, open_tab: OpenTab
) -> None:
    server, page = serve(orders.app), open_tab()

    def tell_of_another(frame: dict[str, Any], line: WebSocketRoute) -> Any:
        if frame["type"] == "message" and len(tab.addresses) == 1:
            return frame | {"tag": "0123abcd", "data": {"item": "coffee"}}
        return frame

    tab = Line(page, tell_of_another)
    order(server, "tea")
    page.goto(server.http_url("/"))
    items = page.get_by_role("listitem")
    expect(items).to_have_text(["coffee"])
    tab.connections[0].close(code=4409)
    expect(items).to_have_text(["tea"])
    expect(page.locator("#note")).to_have_text(
        "The orders on the server have changed. The list begins anew."
    )
    assert tab.addresses[1].endswith("?after=1.0123abcd")


def test_a_page_that_the_server_refuses_says_why_and_does_not_come_back(
    orders: ModuleType, serve: Serve, open_tab: OpenTab
) -> None:
    server, page = serve(orders.app), open_tab()

    def spoil_the_cursor(frame: dict[str, Any], line: WebSocketRoute) -> Any:
        if frame["type"] == "welcome":
            return frame | {"after": "yesterday"}
        return frame  # no id follows that cursor: it comes back with it

    line = Line(page, spoil_the_cursor)
    page.clock.install()
    order(server, "tea")
    page.goto(server.http_url("/"))
    status = page.get_by_role("status")
    expect(status).to_contain_text("The server refuses this page (expected a cursor")
    page.clock.run_for(120_000)
    expect(status).to_contain_text("Reload it to begin anew.")
    assert len(line.addresses) == 2


def test_a_page_comes_back_later_each_time_and_soon_again_after_a_welcome(
    orders: ModuleType, serve: Serve, open_tab: OpenTab
) -> None:
    server, page = serve(orders.app), open_tab()
    connections: list[WebSocketRoute] = []
    healthy = False

    def open_one(line: WebSocketRoute) -> None:
        connections.append(line)
        if healthy:
            line.connect_to_server()
        else:
            line.close(code=1011)

    page.route_web_socket("**/orders*", open_one)
    page.add_init_script("Math.random = () => 1")  # the longest wait
    page.clock.install(time=0)
    page.clock.pause_at(1000)
    page.goto(server.http_url("/"))
    status = page.get_by_role("status")
    for attempts, seconds in enumerate((1, 2, 4, 8, 16, 30, 30), 1):
        expect(status).to_have_text("Connection lost. Reconnecting…")
        assert len(connections) == attempts
        page.clock.run_for(seconds * 1000 - 1)
        expect(status).to_have_text("Connection lost. Reconnecting…")
        healthy = attempts == 7
        page.clock.run_for(1)
    expect(status).to_have_text("Connected.")
    connections[-1].close(code=1011)
    expect(status).to_have_text("Connection lost. Reconnecting…")
    page.clock.run_for(1000)
    expect(status).to_have_text("Connected.")
    assert len(connections) == 9


def want(page: Page, item: str) -> None:
    """Order something as a person does, though it may be longer than the page lets them type."""
    page.get_by_label("Item").evaluate("(input, item) => { input.value = item; }", item)
    page.get_by_role("button").click()


def test_an_order_whose_answer_is_lost_is_kept_once(
    orders: ModuleType, serve: Serve, open_tab: OpenTab, allowed_errors: list[str]
) -> None:
    allowed_errors.append(r"Failed to load resource: net::ERR_(EMPTY_RESPONSE|CONNECTION_RESET)")
    with FaultProxy(serve(orders.app)) as network:
        page = open_tab(network.http_url("/"))
        expect(page.get_by_role("status")).to_have_text("Connected.")
        keys: list[str] = []

        def note(request: Request) -> None:
            if request.method == "POST":
                keys.append(request.headers["idempotency-key"])

        page.on("request", note)
        network.cut_reply(b"HTTP/1.1 201", every=True)  # a browser tries once more by itself
        with page.expect_event("requestfailed"):
            want(page, "tea")
        with page.expect_response("**/orders") as answer:
            network.heal()
        assert answer.value.json() == {"id": 1, "again": True}
        expect(page.locator("#unsent")).to_have_text("")
        want(page, "<b>cake</b>")
        expect(page.get_by_role("listitem")).to_have_text(["tea", "<b>cake</b>"])
        expect(page.locator("#unsent")).to_have_text("")
        *tea, cake = keys
        assert len(tea) > 1
        assert len({*tea}) == 1
        assert cake != tea[0]


def test_an_order_that_is_refused_is_told_and_does_not_hold_up_the_next(
    orders: ModuleType, serve: Serve, open_tab: OpenTab, allowed_errors: list[str]
) -> None:
    allowed_errors.append(r"Failed to load resource: .* 422 .*")
    page = open_tab(serve(orders.app).http_url("/"))
    for item in ("x" * 201, "tea"):
        want(page, item)
    expect(page.get_by_role("listitem")).to_have_text(["tea"])
    expect(page.locator("#note")).to_contain_text("(422)")
    expect(page.locator("#unsent")).to_have_text("")
