"""The pages of the examples, in a real browser on a bad network."""

import importlib.util
import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from playwright.sync_api import Page, expect

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
