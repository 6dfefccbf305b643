"""In a browser, through the proxies of deploy/: TLS, HTTP/2 and a prefix."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from fronts import HAProxy, Nginx
from playwright.sync_api import Page, expect
from proxied import PROBE, App, rooms_at

NOT_SIGNED_IN = r"Failed to load resource: the server responded with a status of 401 .*"
NOT_THERE = (
    r"WebSocket connection to 'wss://localhost:\d+/chat/rooms/\S*' failed: Error during WebSocket "
    r"handshake: Unexpected response code: 502|"
    r"Failed to load resource: the server responded with a status of 502 .*"
)

OPEN_FIVE = """() => Promise.all(Array.from({ length: 5 }, () => new Promise((resolve) => {
    const socket = new WebSocket(`wss://${location.host}/chat/ws`);
    socket.onopen = () => resolve("open");
    socket.onclose = () => resolve("closed");
})))"""
REFUSED = r"WebSocket connection to 'wss://localhost:\d+/chat/ws' failed: .*"


@pytest.mark.usefixtures("needs_nginx", "needs_openssl")
def test_the_page_of_the_rooms_connects_sends_and_reconnects(
    open_tab: Callable[..., Page], allowed_errors: list[str], tmp_path: Path
) -> None:
    allowed_errors += [NOT_SIGNED_IN, NOT_THERE]  # and none of the Content-Security-Policy
    rooms = rooms_at(tmp_path)
    try:
        with Nginx(rooms) as nginx:
            page = open_tab(f"{nginx.origin}/chat/", ignore_https_errors=True)
            page.get_by_label("Your name").fill("ana")
            page.get_by_role("button", name="Sign in").click()
            status, box = page.locator("#status"), page.get_by_label("Message", exact=True)
            texts = page.locator("#history .text")
            expect(status).to_have_text("Connected.")
            box.fill("before")
            box.press("Enter")
            expect(texts).to_have_text(["before"])

            rooms.stop(signal.SIGTERM)
            expect(status).not_to_have_text("Connected.")
            box.fill("meanwhile")
            box.press("Enter")
            rooms.start()
            expect(texts).to_have_text(["before", "meanwhile"])
            expect(status).to_have_text("Connected.")
            versions = "performance.getEntries().map(entry => entry.nextHopProtocol)"
            assert "h2" in page.evaluate(versions)
    finally:
        rooms.stop(signal.SIGTERM)


@pytest.mark.usefixtures("needs_openssl")
def test_haproxy_counts_websockets_that_share_one_connection_of_http2(
    open_tab: Callable[..., Page], allowed_errors: list[str], tmp_path: Path
) -> None:
    allowed_errors.append(REFUSED)
    app = App(tmp_path, PROBE, str(tmp_path / "app.sock"))
    changes = {"sc_conn_cur(0) gt 50": "sc_conn_cur(0) gt 2", "%HM %HPO": "%HM %HPO %HV"}
    try:
        with HAProxy(app, changes) as haproxy:
            page = open_tab(f"{haproxy.origin}/chat/", ignore_https_errors=True)
            assert sorted(page.evaluate(OPEN_FIVE)) == ["closed"] * 3 + ["open"] * 2
            assert haproxy.log.count('"GET /chat/ws HTTP/2.0" 503') == 3
    finally:
        app.stop(signal.SIGTERM)
