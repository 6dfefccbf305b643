"""A browser, its tabs, and an eye on their consoles."""

import contextlib
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    expect,
    sync_playwright,
)

from chatlib.lab.serve import Server

sys.path.insert(0, str(Path(__file__).parent))  # for labs.py

# The first is chromium without windows: it takes less time.
BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
GUARD_MS = 30_000  # nothing waits for this long unless it is broken
FAILED_HANDSHAKE = (
    r"WebSocket connection to 'ws://127\.0\.0\.1:\d+/\S*' failed: Error (in connection "
    r"establishment: net::ERR_CONNECTION_REFUSED|during WebSocket handshake: Unexpected response "
    r"code: 403)"
)

OpenTab = Callable[..., Page]
Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def browser_path() -> str:
    """Where the browser is. `CHATLIB_BROWSER` names another one than the machine's chromium."""
    named = os.environ.get("CHATLIB_BROWSER")
    found = named or next(filter(None, map(shutil.which, BROWSERS)), None)
    if found and Path(found).is_file():
        return found
    reason = f"no browser: {named or 'none of ' + ', '.join(BROWSERS)} is on this machine"
    if os.environ.get("CHATLIB_REQUIRE_ALL") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


# For a module and not for the session: while Playwright's sync API runs, its event loop counts as
# running in this thread, and asyncio.run() would fail in every test of every later module.
@pytest.fixture(scope="module")
def browser(browser_path: str) -> Iterator[Browser]:
    expect.set_options(timeout=GUARD_MS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Start servers that outlive the test's tabs, and stop them after it."""
    with contextlib.ExitStack() as servers:

        def start(app: Any, **options: Any) -> Server:
            return servers.enter_context(Server(app, **options))

        yield start


@pytest.fixture
def allowed_errors() -> list[str]:
    """Patterns of the console errors that a test expects. To begin with it expects none."""
    return []


@pytest.fixture
def handshakes_may_fail(allowed_errors: list[str]) -> None:
    """Expect what the browser writes to the console about a WebSocket that did not open."""
    allowed_errors.append(FAILED_HANDSHAKE)


@pytest.fixture
def open_tab(browser: Browser, serve: Serve, allowed_errors: list[str]) -> Iterator[OpenTab]:
    """Open tabs of one visitor; fail the test when a script of theirs, or the browser, errs."""
    errors: list[str] = []
    contexts: list[BrowserContext] = []

    def listen(message: ConsoleMessage) -> None:
        allowed = any(re.fullmatch(pattern, message.text) for pattern in allowed_errors)
        if message.type == "error" and not allowed:
            errors.append(f"{message.text} ({message.location['url']})")

    def open_one(url: str = "", **options: Any) -> Page:
        if options or not contexts:
            context = browser.new_context(**options)
            context.set_default_timeout(GUARD_MS)
            contexts.append(context)
        page = contexts[-1].new_page()
        page.on("console", listen)
        page.on("pageerror", lambda error: errors.append(str(error)))
        if url:
            page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()  # hands over what the console still has
    assert errors == []


@pytest.fixture
def page(open_tab: OpenTab) -> Page:
    """An empty tab."""
    return open_tab()
