"""The rules that all or several of the apps have to keep."""

import asyncio
import functools
import re
import secrets
from html.parser import HTMLParser
from typing import Any

import httpx2

from chatlib.core.guard import MAX_MESSAGE_BYTES
from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Bench, Wrong, expect, shorten
from chatlib.lab.check.tools.wrong import in_case

TEXT_ONLY = "ask the message what it is before you use it, and close with 1003 and a reason"
MARKS = "an HTML page begins with <!DOCTYPE html>; add_page(app, …) brings a finished one"
WORDS = ("quit", "exit", "bye", "stop", "close")  # which end nothing
LEAVING = "catch WebSocketDisconnect around the loop"
OTHERS = "who is closed, for whatever reason, has left, and that is all: the others go on as before"
TOO_BIG = "serve(app) lets in 64 KiB if not told otherwise, and so does Guard"


def texts_of_today() -> list[str]:
    """Return texts that no app can know before."""
    return [secrets.token_hex(number) for number in range(1, 9)]


def add_bad_input(rules: Rules, path: str, witness: str, call: Any, left: str | None) -> None:
    """Add the rules on bad input: its sender alone is closed, and one who watches stays.

    Args:
        rules: the contract to add to.
        path: where the sender of bad input connects.
        witness: where one who watches connects.
        call: what the witness hears after it sent a text.
        left: what the witness hears when the other has gone.
    """

    def add(says: str, code: int, message: str | bytes, text: bool | None, hint: str) -> None:
        @rules.rule(says, hint=OTHERS)
        async def bad_input(bench: Bench) -> None:
            async with bench.client(witness) as watching:
                async with bench.client(path) as client:
                    await client.send(message, text=text)
                    await client.is_closed_with(code, hint=hint)
                    if code == 1003 and not client.connection.close_reason:
                        raise Wrong(
                            "close 1003 and a reason", "close 1003, and no reason", hint=hint
                        )
                if left is not None:
                    await watching.hears(left)
                await watching.send("calm")
                await watching.hears(*call("calm"))

    add(
        "a binary message: closed with 1003, nobody else notices",
        1003,
        b"\x00\x01",
        None,
        TEXT_ONLY,
    )
    add("text that is not UTF-8: 1007, nobody else notices", 1007, b"\xff\xfe", True, LEAVING)
    add(
        "more than 64 KiB: 1009, nobody else notices",
        1009,
        "x" * (MAX_MESSAGE_BYTES + 1),
        None,
        TOO_BIG,
    )


def add_origin(rules: Rules, path: str) -> None:
    """Add the rules on the origin of a browser that connects to `path`."""

    @rules.rule("a page of another origin is refused with 403", hint="app.add_middleware(Guard)")
    async def foreign_origin(bench: Bench) -> None:
        port = bench.server.port
        here = f"127.0.0.1:{port}"
        for origin in (
            "https://evil.example",
            f"http://127.0.0.1:{port + 1}",
            "null",
            "http://127.0.0.1",
            f"http://evil.example:{port}",
            f"http://{here}.evil.example",
            f"http://not{here}",
            f"https://evil.example/{here}",
        ):
            with in_case(f"the origin {origin}"):
                await bench.is_refused(path, origin=origin)

    @rules.rule(
        "a page of the same host and port is let in",
        hint="compare Origin with Host, not the scheme",
    )
    async def own_origin(bench: Bench) -> None:
        for scheme in ("http", "https"):
            origin = f"{scheme}://127.0.0.1:{bench.server.port}"
            with in_case(f"the origin {origin}"):
                async with bench.client(path, origin=origin):
                    pass


def add_no_traceback(rules: Rules, path: str) -> None:
    """Add the rule that no way of leaving leaves a traceback."""

    @rules.rule("none of this, and no way of leaving, left a traceback in the log", hint=LEAVING)
    async def no_traceback(bench: Bench) -> None:
        async with bench.client(path) as client:
            await client.send("on my way")
            await client.vanish()
        async with bench.client(path):
            pass
        await bench.no_traceback()


class PageParts(HTMLParser):
    """The parts of a page that the contract speaks of."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.title = self.heading = self.text = ""
        self.values: set[str] = set()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.values |= {value for name, value in attrs if name == "value" and value}

    def handle_endtag(self, tag: str) -> None:
        while self.tags and self.tags.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.text += data
        self.title += data if self.tags[-1:] == ["title"] else ""
        self.heading += data if self.tags[-1:] == ["h1"] else ""


async def page_of(bench: Bench, title: str | None = None, heading: str | None = None) -> PageParts:
    """Return the parts of the page at `/`, with this title and heading if they are given."""
    # In a thread, since what httpx2 imports at first would stop an event loop for a tenth of a
    # second. So would reading the certificates of all authorities.
    get = functools.partial(httpx2.get, trust_env=False, verify=False)
    response = await asyncio.to_thread(get, bench.server.http_url("/"))
    expect(response.status_code, 200)
    kind = response.headers.get("content-type", "nothing")
    if not re.match(r"text/html\b", kind):
        raise Wrong("the content type text/html", kind)
    if not response.text.startswith("<!DOCTYPE html>"):
        raise Wrong("a page that begins with '<!DOCTYPE html>'", shorten(response.text[:40]))
    page = PageParts(response.text)
    if title is not None:
        expect(page.title.strip(), title)
    if heading is not None:
        expect(page.heading.strip(), heading)
    return page
