"""The page of the rooms through nginx, with the recipe in deploy/: TLS, HTTP/2 and a prefix."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from proxied import Nginx, rooms_at

NOT_SIGNED_IN = r"Failed to load resource: the server responded with a status of 401 .*"
NOT_THERE = (
    r"WebSocket connection to 'wss://localhost:\d+/chat/rooms/\S*' failed: Error during WebSocket "
    r"handshake: Unexpected response code: 502|"
    r"Failed to load resource: the server responded with a status of 502 .*"
)


@pytest.mark.usefixtures("needs_nginx", "needs_openssl")
def test_the_page_connects_sends_and_reconnects(
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
