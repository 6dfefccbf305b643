"""The page of the rooms, in a real browser, on a real server and over a bad network."""

import asyncio
import contextlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from colours import contrast
from fastapi import FastAPI
from fastapi.responses import HTMLResponse
from playwright.sync_api import Locator, Page, WebSocketRoute, expect
from websockets.sync.client import connect

from chatlib import chat
from chatlib.core.rooms.identity import Tokens
from chatlib.core.rooms.talk import Limits
from chatlib.lab import FaultProxy, Server
from chatlib.rooms import create_app
from chatlib.stores.retention import Retention
from chatlib.stores.sqlite import SQLiteStore

OpenTab = Callable[..., Page]
Serve = Callable[..., Server]

SECRET = "a secret of the tests, which is long enough"
GUARD_SECONDS = 30  # nothing waits for this long unless it is broken
MARKUP = "<script>window.ran = true</script><img src=x onerror='window.ran = true'>"
SOCKETS = re.compile(r".*/rooms/[^/]+$")
NOT_SIGNED_IN = r"Failed to load resource: the server responded with a status of 401 .*"
CUT_OFF = (
    r"WebSocket connection to 'ws://127\.0\.0\.1:\d+/\S*' failed: .*|"
    r"Failed to load resource: net::ERR_\w+"
)
# Playwright shows every page as visible; a reader who turns to another tab hides this one.
HIDE = """hidden => {
    Object.defineProperty(document, "hidden", { configurable: true, value: hidden });
    document.dispatchEvent(new Event("visibilitychange"));
}"""
# The colour of each text that can be seen, and of what it stands on, from 0 to 1.
COLOURS = """() => {
    const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
    const rgba = (colour) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = colour;
        canvas.fillRect(0, 0, 1, 1);
        return [...canvas.getImageData(0, 0, 1, 1).data].map((part) => part / 255);
    };
    const ground = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const colour = rgba(getComputedStyle(at).backgroundColor);
            if (colour[3] === 1) return colour;
        }
    };
    return [...document.querySelectorAll("body *")]
        .filter((element) => element.checkVisibility({ visibilityProperty: true }))
        .filter(({ childNodes }) => [...childNodes].some((n) => n.nodeType === 3 && n.data.trim()))
        .map((element) => [
            element.textContent, rgba(getComputedStyle(element).color), ground(element),
        ]);
}"""


@pytest.fixture(autouse=True)
def _nobody_is_signed_in_at_first(allowed_errors: list[str]) -> None:
    allowed_errors.append(NOT_SIGNED_IN)


@pytest.fixture
def _connections_may_fail(allowed_errors: list[str]) -> None:
    allowed_errors.append(CUT_OFF)


BAD_NETWORK = pytest.mark.usefixtures("_connections_may_fail")


@pytest.fixture
def make_app(tmp_path: Path) -> Callable[..., FastAPI]:
    """Make apps that keep their rooms in the same file, and know each other's tokens."""

    def make(**options: Any) -> FastAPI:
        store = options.pop("store", f"sqlite:///{tmp_path / 'chat.db'}")
        return create_app(store, **{"secret": SECRET, **options})

    return make


@pytest.fixture
def server(serve: Serve, make_app: Callable[..., FastAPI]) -> Server:
    return serve(make_app())


@pytest.fixture
def network(server: Server) -> Iterator[FaultProxy]:
    """What is between the browser and `server`."""
    with FaultProxy(server) as proxy:
        yield proxy


def box(page: Page) -> Locator:
    return page.get_by_label("Message", exact=True)


def status(page: Page) -> Locator:
    return page.locator("#status")


def texts(page: Page) -> Locator:
    """What is in the list: each is a message that the server keeps."""
    return page.locator("#history .text")


def waiting(page: Page) -> Locator:
    """What is written and not yet in the list."""
    return page.get_by_label("Not sent yet").get_by_role("listitem")


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("Your name").fill(name)
    page.get_by_role("button", name="Sign in").click()


def enter(page: Page, url: str, name: str) -> None:
    """Open the page in this tab, and wait until `name` is in the room."""
    page.goto(url)
    sign_in(page, name)
    expect(status(page)).to_have_text("Connected.")


def say(page: Page, text: str) -> None:
    box(page).fill(text)
    box(page).press("Enter")


def keep(server: Server, room: str, name: str, *said: str, to: str | None = None) -> None:
    """Have `name` say something in `room`, without a connection."""

    async def keep_all() -> None:
        rooms = server.app.state.rooms
        keys = [uuid.uuid4().hex for _ in said]
        # The store takes them in the order of the calls.
        await asyncio.gather(*map(partial(rooms.keep, room, name, to=to), keys, said))

    asyncio.run_coroutine_threadsafe(keep_all(), server.loop).result(GUARD_SECONDS)


@contextlib.contextmanager
def talker(server: Server, name: str, room: str = "lobby") -> Iterator[Any]:
    """A client in Python, which is in a room and nowhere else."""
    protocols = ["chatlib.rooms.1", f"token.{Tokens(SECRET).sign(name, 3600)}"]
    url = server.ws_url(f"/rooms/{room}")
    with connect(url, subprotocols=protocols, proxy=None) as client:
        client.recv(timeout=GUARD_SECONDS)
        yield client


def numbered(first: int, last: int) -> list[str]:
    return [f"message {number}" for number in range(first, last + 1)]


def at_end(page: Page) -> bool:
    return page.locator("#log").evaluate("log => log.scrollTop > -1")


def to_top(page: Page) -> None:
    page.locator("#log").evaluate("log => { log.scrollTop = -log.scrollHeight; }")


# Who is there


def test_a_name_signs_in_and_out(page: Page, server: Server) -> None:
    enter(page, server.http_url("/"), "ana")
    expect(page.get_by_role("heading", level=1)).to_have_text("#lobby")
    expect(page.locator("#account")).to_contain_text("You are ana")
    page.reload()
    expect(status(page)).to_have_text("Connected.")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("status")).to_have_text("You have signed out.")
    expect(page.get_by_label("Your name")).to_have_value("ana")
    page.reload()
    expect(page.get_by_label("Your name")).to_be_focused()


def test_a_name_that_the_server_refuses_is_told_in_its_words(
    page: Page, server: Server, allowed_errors: list[str]
) -> None:
    allowed_errors.append(r"Failed to load resource: .* status of 422 .*")
    page.goto(server.http_url("/"))
    sign_in(page, "@ana")
    expect(page.get_by_role("alert")).to_contain_text("@")
    sign_in(page, "ana")
    expect(status(page)).to_have_text("Connected.")


def test_two_tabs_of_one_browser_may_be_two_people(open_tab: OpenTab, server: Server) -> None:
    ana, ben = open_tab(), open_tab()
    enter(ana, server.http_url("/"), "ana")
    ben.goto(server.http_url("/"))
    expect(status(ben)).to_have_text("Connected.")  # as ana, by the cookie
    ben.get_by_role("button", name="Sign out").click()
    sign_in(ben, "ben")
    expect(ana.locator("#names-here li")).to_have_text(["ana (you)", "ben"])
    expect(ben.locator("#names-here li")).to_have_text(["ben (you)", "ana"])


@BAD_NETWORK
def test_a_tab_without_a_token_of_its_own_sees_that_its_browser_is_somebody_else_now(
    open_tab: OpenTab, network: FaultProxy
) -> None:
    ana, ben = open_tab(), open_tab()
    enter(ana, network.http_url("/"), "ana")
    ana.reload()
    expect(status(ana)).to_have_text("Connected.")
    ben.goto(network.http_url("/"))
    ben.get_by_role("button", name="Sign out").click()
    sign_in(ben, "ben")
    expect(status(ben)).to_have_text("Connected.")
    network.cut()
    expect(ana.get_by_role("status")).to_contain_text("This browser has signed in as ben")
    sign_in(ana, "ana")
    expect(status(ana)).to_have_text("Connected.")


def test_when_the_token_expires_what_was_written_is_kept(
    page: Page, serve: Serve, make_app: Callable[..., FastAPI]
) -> None:
    server = serve(make_app(token_seconds=3))
    enter(page, server.http_url("/#garden"), "ana")
    say(page, "before")
    expect(texts(page)).to_have_text(["before"])
    box(page).fill("half a sen")
    expect(page.get_by_role("status")).to_have_text(
        "Your session has ended. Sign in again to go on."
    )
    sign_in(page, "ana")
    expect(status(page)).to_have_text("Connected.")
    expect(page.get_by_role("heading", level=1)).to_have_text("#garden")
    expect(box(page)).to_have_value("half a sen")
    expect(texts(page)).to_have_text(["before"])


def test_a_message_that_a_bad_token_held_back_is_sent_after_the_next_sign_in(
    page: Page, serve: Serve, make_app: Callable[..., FastAPI], allowed_errors: list[str]
) -> None:
    allowed_errors.append(CUT_OFF)
    server = serve(make_app())
    enter(page, server.http_url("/"), "ana")
    server.stop()
    expect(status(page)).to_have_text("No connection.")
    say(page, "held back")
    serve(make_app(secret=SECRET[::-1]), port=server.port)
    expect(page.get_by_role("status")).to_contain_text("Your session has ended")
    sign_in(page, "ana")
    expect(texts(page)).to_have_text(["held back"])
    expect(waiting(page)).to_have_count(0)


# Talk


def test_two_people_talk_and_see_each_other(open_tab: OpenTab, server: Server) -> None:
    ana, ben = open_tab(locale="en-GB"), open_tab(locale="de-DE")
    enter(ana, server.http_url("/"), "ana")
    enter(ben, server.http_url("/"), "ben")
    expect(ana.locator("#names-here li")).to_have_text(["ana (you)", "ben"])
    box(ben).press_sequentially("hel")
    expect(ana.locator("#typing")).to_have_text("ben is typing…")
    say(ben, "hello")
    expect(ana.locator("#typing")).to_be_empty()
    say(ana, "welcome\nto the lobby")
    say(ana, "have a seat")
    for page in (ana, ben):
        expect(texts(page)).to_have_text(["hello", "welcome\nto the lobby", "have a seat"])
    # One's own are marked, and the author of several in a row is named once.
    expect(ana.locator("#history .own .text")).to_have_text(
        ["welcome\nto the lobby", "have a seat"]
    )
    expect(ben.locator("#history .head:not(.unseen) .person")).to_have_text(["You", "ana"])
    expect(box(ana)).to_have_value("")
    expect(box(ana)).to_be_focused()
    shown = [tab.locator("#history .day").inner_text() for tab in (ana, ben)]
    written = "new Intl.DateTimeFormat(undefined, {weekday: 'long', day: 'numeric', month: 'long'})"
    assert shown == [tab.evaluate(f"{written}.format()") for tab in (ana, ben)]
    assert shown[0] != shown[1]  # each in the reader's own language
    ben.close()
    expect(ana.locator("#names-here li")).to_have_text(["ana (you)"])


def test_what_the_app_publishes_is_shown_with_a_name_that_no_person_can_have(
    page: Page, server: Server
) -> None:
    def publish(message: object) -> None:
        publishing = server.app.state.hub.publish("lobby", message)
        asyncio.run_coroutine_threadsafe(publishing, server.loop).result(GUARD_SECONDS)

    publish("Welcome to all")
    enter(page, server.http_url("/"), "ana")
    publish("Maintenance at 5")
    publish({"not": "a text"})
    say(page, "Thanks")
    expect(texts(page)).to_have_text(
        ["Welcome to all", "Maintenance at 5", "(Something that this page cannot show.)", "Thanks"]
    )
    expect(page.locator("#history .head:not(.unseen)")).to_have_text(
        ["@server ", re.compile("You")]
    )
    expect(page.locator("#announcer")).to_contain_text("@server: Maintenance at 5")
    expect(page.locator("#history time")).to_have_count(1)  # when it was published is not known


def test_who_stops_typing_is_forgotten_after_four_seconds(page: Page, server: Server) -> None:
    page.clock.install()
    enter(page, server.http_url("/"), "ana")
    with talker(server, "ben") as ben:
        ben.send('{"type": "typing"}')
        expect(page.locator("#typing")).to_have_text("ben is typing…")
        page.clock.run_for(3_900)
        expect(page.locator("#typing")).to_have_text("ben is typing…")
        page.clock.run_for(200)
        expect(page.locator("#typing")).to_be_empty()


def test_others_are_told_at_most_once_a_second_that_one_types(page: Page, server: Server) -> None:
    typed: queue.Queue[object] = queue.Queue()
    server.observers.append(
        lambda event: event.to_server and '"typing"' in str(event.payload) and typed.put(event)
    )
    page.clock.install()
    page.clock.pause_at(1_900_000_000_000)
    enter(page, server.http_url("/"), "ana")
    box(page).press_sequentially("a long word")
    page.clock.run_for(1_001)
    box(page).press_sequentially("s")
    say(page, "done")
    expect(texts(page)).to_have_text(["done"])
    assert typed.qsize() == 2


def test_a_direct_message_reaches_one_person_and_escape_leaves_it(
    open_tab: OpenTab, server: Server
) -> None:
    ana, ben, cem = (open_tab(viewport={"width": 1200, "height": 700}) for _ in range(3))
    for page, name in ((ana, "ana"), (ben, "ben"), (cem, "cem")):
        enter(page, server.http_url("/"), name)
    ana.locator("#people").get_by_role("link", name="ben").click()
    expect(ana.get_by_role("heading", level=1)).to_have_text("Messages to you")
    expect(ana.get_by_label("To", exact=True)).to_have_value("ben")
    expect(box(ana)).to_be_focused()
    say(ana, "psst")
    expect(ana.locator("#history .head")).to_contain_text(["You to ben"])
    ana.keyboard.press("Escape")
    expect(ana.get_by_role("heading", level=1)).to_have_text("#lobby")
    expect(box(ana)).to_be_focused()
    inbox = ben.get_by_role("link", name="Messages to you 1 unread")
    expect(ben.locator("#announcer")).to_have_text("ana wrote to you: psst")
    inbox.click()
    expect(ben.locator("#history .head")).to_contain_text(["ana to you"])
    ben.get_by_role("link", name="ana").first.click()
    expect(ben).to_have_url(server.http_url("/#@me/ana"))
    expect(ben.get_by_label("To", exact=True)).to_have_value("ana")
    say(ben, "who is that?")
    expect(ana.get_by_role("link", name="Messages to you 1 unread")).to_be_visible()
    say(cem, "a word for all")
    expect(texts(ana)).to_have_text(["a word for all"])
    expect(cem.get_by_role("link", name="Messages to you")).to_have_accessible_name(
        "Messages to you"
    )


def test_a_direct_message_reaches_who_is_in_a_room_and_in_no_inbox(
    page: Page, server: Server
) -> None:
    enter(page, server.http_url("/"), "ana")
    with talker(server, "ben"):
        page.locator("#people").get_by_role("link", name="ben").click()
        expect(page.get_by_label("To", exact=True)).to_have_value("ben")
        say(page, "psst")
        expect(texts(page)).to_have_text(["psst"])
        expect(waiting(page)).to_have_count(0)


def test_a_message_to_nobody_can_be_edited_or_removed(page: Page, server: Server) -> None:
    enter(page, server.http_url("/#@me"), "ana")
    say(page, "to whom?")
    expect(page.locator("#notice")).to_contain_text("To whom?")
    page.get_by_label("To", exact=True).fill("nobody")
    for text in ("one", "two"):
        say(page, text)
    expect(waiting(page)).to_have_count(2)
    expect(waiting(page).first).to_contain_text("Not sent: there is no nobody here")
    page.reload()
    expect(waiting(page)).to_have_count(2)
    waiting(page).first.get_by_role("button", name="Edit").click()
    expect(box(page)).to_have_value("one")
    expect(box(page)).to_be_focused()
    expect(page.get_by_label("To", exact=True)).to_have_value("nobody")
    waiting(page).first.get_by_role("button", name="Remove").click()
    expect(waiting(page)).to_have_count(0)


def test_a_text_that_is_too_long_stays_in_the_box(page: Page, server: Server) -> None:
    enter(page, server.http_url("/"), "ana")
    say(page, "😀" * 4001)
    expect(page.locator("#notice")).to_have_text(
        "This is too long: 4001 characters, and at most 4000 are taken."
    )
    expect(box(page)).to_have_value("😀" * 4001)
    say(page, "é" * 4000)
    expect(texts(page)).to_have_text(["é" * 4000])


def test_messages_that_come_too_fast_are_sent_again_in_order_and_one_at_a_time(
    page: Page, serve: Serve, make_app: Callable[..., FastAPI]
) -> None:
    server = serve(make_app(limits=Limits(messages=3, seconds=3)))
    frames: queue.Queue[dict[str, Any]] = queue.Queue()
    server.observers.append(
        lambda event: event.kind == "text" and frames.put(json.loads(event.payload))
    )
    enter(page, server.http_url("/"), "ana")
    for text in numbered(1, 8):
        say(page, text)
    expect(texts(page)).to_have_text(numbered(1, 8))
    expect(waiting(page)).to_have_count(0)
    unanswered = None
    refusals = 0
    for frame in list(frames.queue):
        refusals += frame["type"] == "error"
        if frame["type"] == "say":
            assert unanswered is None
            unanswered = frame["key"]
        elif frame.get("key") == unanswered:  # its ack, its refusal, or the message itself
            unanswered = None
    assert refusals >= 1


def test_markup_is_shown_as_text_and_addresses_are_links(open_tab: OpenTab, server: Server) -> None:
    name = "<b>ana</b>"
    writer, reader = open_tab(), open_tab(viewport={"width": 1200, "height": 700})
    enter(writer, server.http_url("/"), name)
    enter(reader, server.http_url("/"), "ben")
    say(writer, MARKUP)
    say(writer, "javascript:alert(1) (https://example.com/a?b=1#c).")
    expect(texts(reader)).to_have_text(
        [MARKUP, "javascript:alert(1) (https://example.com/a?b=1#c)."]
    )
    link = texts(reader).get_by_role("link")
    expect(link).to_have_count(1)
    expect(link).to_have_attribute("href", "https://example.com/a?b=1#c")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(reader.locator("#names-here li")).to_have_text(["ben (you)", name])
    expect(reader.locator("#announcer")).to_contain_text(MARKUP)
    for tab in (writer, reader):
        expect(tab.locator("body b, body script, body img")).to_have_count(0)
        assert tab.evaluate("window.ran") is None


# The list


def test_older_messages_come_as_one_scrolls_back_and_the_view_stays(
    page: Page, server: Server
) -> None:
    keep(server, "lobby", "ben", *numbered(1, 120))
    enter(page, server.http_url("/"), "ana")
    expect(texts(page).last).to_have_text("message 120")
    assert at_end(page)
    expect(texts(page)).to_have_count(50)
    oldest = texts(page).first
    expect(oldest).to_have_text("message 71")
    # Where a message is in the moment before older ones come, and after.
    moved = page.evaluate(
        """async () => {
            const log = document.getElementById("log");
            const message = document.querySelectorAll("#history .text")[1];
            const top = () => message.getBoundingClientRect().top;
            const more = new Promise((resolve) => {
                new MutationObserver(resolve).observe(document.getElementById("history"), {
                    childList: true,
                });
            });
            log.scrollTop = -(log.scrollHeight - log.clientHeight) + 100;
            const before = top();
            await more;
            return top() - before;
        }"""
    )
    assert abs(moved) < 1
    expect(texts(page)).to_have_count(100)
    to_top(page)
    expect(texts(page)).to_have_text(numbered(1, 120))
    expect(page.locator("#front span")).to_have_text("This is the beginning of #lobby.")
    say(page, "I have read it all")
    expect(texts(page).last).to_be_in_viewport()


def test_who_has_scrolled_up_is_left_there_and_a_button_leads_back(
    page: Page, server: Server
) -> None:
    keep(server, "lobby", "ben", *numbered(1, 50))
    enter(page, server.http_url("/"), "ana")
    expect(texts(page)).to_have_count(50)
    button = page.get_by_role("button", name="Newest messages")
    expect(button).to_be_hidden()
    texts(page).nth(20).scroll_into_view_if_needed()
    expect(button).to_be_visible()
    top = "element => element.getBoundingClientRect().top"
    before = texts(page).nth(20).evaluate(top)
    keep(server, "lobby", "ben", *numbered(51, 60))
    expect(texts(page)).to_have_count(60)
    assert abs(texts(page).nth(20).evaluate(top) - before) < 1
    expect(page.get_by_role("link", name="#lobby 10 unread")).to_be_visible()
    button.click()
    expect(texts(page).last).to_be_in_viewport()
    expect(page.get_by_role("link", name="#lobby")).to_have_accessible_name("#lobby")
    expect(page.get_by_role("log")).to_be_focused()


def test_a_long_conversation_does_not_fill_the_page(page: Page, server: Server) -> None:
    enter(page, server.http_url("/"), "ana")
    keep(server, "lobby", "ben", *numbered(1, 700))
    expect(texts(page).last).to_have_text("message 700")
    count = texts(page).count()
    assert 400 <= count <= 600
    expect(texts(page)).to_have_text(numbered(701 - count, 700))
    to_top(page)
    expect(texts(page)).to_have_text(numbered(651 - count, 700))


def test_who_was_away_finds_a_line_above_what_is_new(page: Page, server: Server) -> None:
    keep(server, "lobby", "ben", *numbered(1, 30))
    enter(page, server.http_url("/"), "ana")
    expect(texts(page)).to_have_count(30)
    expect(page.get_by_text("New", exact=True)).to_have_count(0)
    page.goto("about:blank")
    keep(server, "lobby", "ben", *numbered(31, 130))
    page.goto(server.http_url("/"))
    line = page.locator("#history li", has=page.get_by_text("New", exact=True))
    expect(line).to_contain_text("message 31")
    expect(line).to_be_in_viewport()
    expect(page.get_by_role("link", name=re.compile(r"#lobby \d\d unread"))).to_be_visible()
    page.get_by_role("button", name="Newest messages").click()
    expect(page.get_by_role("link", name="#lobby")).to_have_accessible_name("#lobby")
    say(page, "I am back")
    expect(line).to_have_count(0)


def test_who_missed_very_much_begins_with_the_newest(page: Page, server: Server) -> None:
    keep(server, "lobby", "ben", "message 1")
    enter(page, server.http_url("/"), "ana")
    expect(texts(page)).to_have_text(["message 1"])
    page.goto("about:blank")
    keep(server, "lobby", "ben", *numbered(2, 700))
    page.goto(server.http_url("/"))
    expect(texts(page)).to_have_text(numbered(651, 700))


def test_other_rooms_count_what_is_new_there(open_tab: OpenTab, server: Server) -> None:
    ana, ben = open_tab(), open_tab()
    enter(ana, server.http_url("/#garden"), "ana")
    ana.get_by_label("Open a room").fill("#Green House")
    ana.get_by_role("button", name="Open", exact=True).click()
    expect(ana).to_have_url(server.http_url("/#green-house"))
    keep(server, "garden", "ben", "one", "two")
    link = ana.get_by_role("link", name="#garden 2 unread")
    expect(link).to_be_visible()
    # What is read in one tab is read in the other, too.
    ben.goto(server.http_url("/#garden"))
    expect(ana.get_by_role("link", name="#garden")).to_have_accessible_name("#garden")
    ana.get_by_role("link", name="#garden").click()
    expect(texts(ana)).to_have_text(["one", "two"])
    ana.get_by_role("button", name="Leave #garden").click()
    expect(ana).to_have_url(server.http_url("/#green-house"))
    expect(ana.get_by_role("link", name="#garden")).to_have_count(0)


def test_the_title_counts_what_is_new_while_one_looks_elsewhere(page: Page, server: Server) -> None:
    enter(page, server.http_url("/"), "ana")
    expect(page).to_have_title("#lobby · Rooms")
    page.evaluate(HIDE, True)
    keep(server, "lobby", "ben", "one", "two")
    expect(page).to_have_title("(2) #lobby · Rooms")
    page.evaluate(HIDE, False)
    expect(page).to_have_title("#lobby · Rooms")
    line = page.locator("#history li", has=page.get_by_text("New", exact=True))
    expect(line).to_contain_text("one")


def test_who_looks_elsewhere_before_all_is_read_finds_the_line_there(
    page: Page, server: Server
) -> None:
    keep(server, "lobby", "ben", *numbered(1, 50))
    enter(page, server.http_url("/"), "ana")
    expect(texts(page)).to_have_count(50)
    texts(page).nth(20).scroll_into_view_if_needed()
    expect(page.get_by_role("button", name="Newest messages")).to_be_visible()
    keep(server, "lobby", "ben", *numbered(51, 52))
    expect(texts(page)).to_have_count(52)
    page.evaluate(HIDE, True)
    line = page.locator("#history li", has=page.get_by_text("New", exact=True))
    expect(line).to_contain_text("message 51")


def test_no_more_than_six_rooms_are_connected(page: Page, server: Server) -> None:
    enter(page, server.http_url("/"), "ana")
    for number in range(8):
        page.goto(server.http_url(f"/#room{number}"))
        expect(page.get_by_role("heading", level=1)).to_have_text(f"#room{number}")
        expect(status(page)).to_have_text("Connected.")
    expect(page.locator("#rooms li")).to_have_count(10)
    keep(server, "room0", "ben", "unheard")
    keep(server, "room4", "ben", "heard")
    expect(page.get_by_role("link", name="#room4 1 unread")).to_be_visible()
    expect(page.get_by_role("link", name="#room0")).to_have_accessible_name("#room0")
    page.get_by_role("link", name="#room0").click()
    expect(texts(page)).to_have_text(["unheard"])


def test_a_screen_reader_hears_what_comes_and_not_what_was_there(
    page: Page, server: Server
) -> None:
    keep(server, "lobby", "ben", *numbered(1, 60))
    enter(page, server.http_url("/"), "ana")
    expect(texts(page).last).to_have_text("message 60")
    expect(page.get_by_role("log", name="Messages")).to_have_attribute("aria-live", "off")
    announcer = page.locator("#announcer")
    expect(announcer).to_have_attribute("aria-live", "polite")
    expect(announcer).to_be_empty()
    keep(server, "lobby", "ben", "hello")
    expect(announcer).to_have_text("ben: hello")
    to_top(page)
    expect(texts(page).first).to_have_text("message 1")
    expect(announcer).to_have_text("ben: hello")


# A connection that is lost


@BAD_NETWORK
def test_what_is_written_without_a_network_arrives_once_and_nothing_is_missed(
    open_tab: OpenTab, server: Server, network: FaultProxy
) -> None:
    ana, ben = open_tab(), open_tab(viewport={"width": 1000, "height": 600})
    enter(ana, network.http_url("/"), "ana")
    enter(ben, server.http_url("/"), "ben")
    say(ana, "one")
    expect(texts(ben)).to_have_text(["one"])
    network.refuse()
    network.cut()
    expect(status(ana)).to_have_text("No connection.")
    expect(ana.locator("#banner")).to_contain_text("What you write is kept")
    say(ana, "two")
    say(ana, "three")
    expect(waiting(ana)).to_contain_text(["two", "three"])
    say(ben, "meanwhile")
    expect(texts(ben)).to_have_text(["one", "meanwhile"])
    network.heal()
    expect(status(ana)).to_have_text("Connected.")
    expect(ana.locator("#banner")).to_be_hidden()
    for page in (ana, ben):
        expect(texts(page)).to_have_text(["one", "meanwhile", "two", "three"])
    expect(waiting(ana)).to_have_count(0)


@BAD_NETWORK
def test_a_message_whose_answer_is_cut_off_results_in_one(
    page: Page, server: Server, network: FaultProxy
) -> None:
    enter(page, network.http_url("/"), "ana")
    rule = network.cut_reply()
    say(page, "once")
    rule.wait(GUARD_SECONDS)
    expect(texts(page)).to_have_text(["once"])
    expect(waiting(page)).to_have_count(0)
    say(page, "and on")
    expect(texts(page)).to_have_text(["once", "and on"])


def test_a_message_that_is_missing_is_fetched(page: Page, server: Server) -> None:
    def lose_the_second(route: WebSocketRoute) -> None:
        behind = route.connect_to_server()
        behind.on_message(lambda frame: '"text":"two"' in frame or route.send(frame))

    page.route_web_socket(re.compile(r".*/rooms/lobby\?last=50$"), lose_the_second)
    enter(page, server.http_url("/"), "ana")
    keep(server, "lobby", "ben", "one", "two", "three")
    expect(texts(page)).to_have_text(["one", "two", "three"])


@BAD_NETWORK
def test_a_connection_from_which_nothing_comes_is_given_up(
    page: Page, server: Server, network: FaultProxy
) -> None:
    page.clock.install()
    enter(page, network.http_url("/"), "ana")
    network.stall()
    page.clock.run_for(34_000)
    expect(status(page)).to_have_text("Connected.")
    keep(server, "lobby", "ben", "hello")
    network.refuse()
    page.clock.run_for(2_000)
    expect(status(page)).to_have_text("No connection.")
    network.heal()
    page.evaluate("window.dispatchEvent(new Event('online'))")
    expect(texts(page)).to_have_text(["hello"])


def test_what_is_not_sent_survives_a_reload(page: Page, server: Server) -> None:
    reachable: list[bool] = []

    def carry(route: WebSocketRoute) -> None:
        if reachable:
            route.connect_to_server()
        else:
            route.close(code=1011, reason="not yet")

    page.route_web_socket(re.compile(r".*/rooms/"), carry)
    page.goto(server.http_url("/"))
    sign_in(page, "ana")
    for text in ("one", "two"):
        say(page, text)
    box(page).fill("thr")
    page.reload()
    expect(waiting(page)).to_contain_text(["one", "two"])
    expect(box(page)).to_have_value("thr")
    reachable.append(True)
    expect(texts(page)).to_have_text(["one", "two"])
    expect(waiting(page)).to_have_count(0)
    page.reload()
    expect(texts(page)).to_have_text(["one", "two"])


@contextlib.contextmanager
def process(folder: Path, port: int) -> Iterator[tuple[int, "subprocess.Popen[str]"]]:
    """Run the rooms in a process of their own, and give the port at which they listen."""
    command = [sys.executable, "-m", "chatlib", "rooms", "--port", str(port)]
    command += ["--store", f"sqlite:///{folder / 'chat.db'}"]
    running = subprocess.Popen(
        command, env={**os.environ, "CHATLIB_SECRET": SECRET}, stderr=subprocess.PIPE, text=True
    )
    assert running.stderr is not None
    try:
        for line in running.stderr:
            if found := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                yield int(found[1]), running
                break
        else:
            pytest.fail("it did not start")
    finally:
        running.kill()
        running.wait(GUARD_SECONDS)
        running.stderr.close()


@BAD_NETWORK
def test_when_the_server_is_killed_and_comes_back_nothing_is_missing_or_doubled(
    open_tab: OpenTab, tmp_path: Path
) -> None:
    ana, ben = open_tab(), open_tab(viewport={"width": 1000, "height": 600})
    with process(tmp_path, 0) as (port, server):
        for page, name in ((ana, "ana"), (ben, "ben")):
            enter(page, f"http://127.0.0.1:{port}/", name)
        for number in range(1, 11):
            say(ana, f"message {number}")
        server.kill()
        for page in (ana, ben):
            expect(status(page)).to_have_text("No connection.")
        for number in range(11, 14):
            say(ana, f"message {number}")
        box(ben).fill("from ben")
        box(ben).press("Enter")
    with process(tmp_path, port):
        for page in (ana, ben):
            expect(status(page)).to_have_text("Connected.")
            expect(texts(page)).to_have_count(14)
            expect(waiting(page)).to_have_count(0)
        said = texts(ben).all_inner_texts()
        assert texts(ana).all_inner_texts() == said
        assert [text for text in said if text != "from ben"] == numbered(1, 13)


@BAD_NETWORK
@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1008, "Closed: the server does not allow it (code 1008: “<b>because</b>”)."),
        (4403, "Closed: you may not be in this room (code 4403: “<b>because</b>”)."),
        (1011, "No connection: the server met an error (code 1011: “<b>because</b>”)."),
        (1013, "No connection: the server is busy, or you have too many tabs open (code 1013"),
    ],
)
def test_a_close_is_told_with_its_code_and_reason(
    code: int, words: str, page: Page, server: Server
) -> None:
    page.route_web_socket(
        re.compile(r".*/rooms/lobby"), lambda route: route.close(code=code, reason="<b>because</b>")
    )
    page.goto(server.http_url("/"))
    sign_in(page, "ana")
    expect(page.locator("#banner")).to_contain_text(words)
    if words.startswith("Closed"):
        say(page, "in vain")
        expect(page.locator("#notice")).to_contain_text("Not sent")
        expect(box(page)).to_have_value("in vain")


def test_a_reader_need_not_wait_until_a_busy_server_is_asked_again(
    page: Page, server: Server
) -> None:
    busy = [True]

    def carry(route: WebSocketRoute) -> None:
        if busy:
            route.close(code=1013, reason=busy.pop() and "full")
        else:
            route.connect_to_server()

    page.clock.install()
    page.route_web_socket(re.compile(r".*/rooms/lobby"), carry)
    page.goto(server.http_url("/"))
    sign_in(page, "ana")
    expect(page.locator("#next")).to_have_text("Next try in 6 s.")
    page.evaluate("window.dispatchEvent(new Event('online'))")
    page.clock.run_for(1_100)  # and the banner comes after a second
    expect(status(page)).to_have_text("No connection.")
    page.get_by_role("button", name="Try now").click()
    expect(status(page)).to_have_text("Connected.")
    expect(box(page)).to_be_focused()


def test_when_to_come_back_is_as_the_protocol_says(page: Page, server: Server) -> None:
    page.goto(server.http_url("/"))
    delays = page.evaluate(
        """async () => {
            const { delayAfter, isFinal } = await import("./pages/rooms/closing.js");
            const many = (...when) => Array.from({ length: 200 }, () => delayAfter(...when));
            const range = (numbers) => [Math.min(...numbers), Math.max(...numbers)];
            return {
                final: [1000, 1001, 1008, 1011, 1012, 1013, 4401, 4403, 4409].filter(isFinal),
                cut: range(many(1006, 0, 4000)),
                cutAgain: range(many(1006, 1, 4000)),
                cutOften: range(many(1006, 50, 4000)),
                restart: range(many(1012, 0, 4000)),
                busy: range(many(1013, 0, 4000)),
                changed: range(many(4409, 0, 4000)),
                failed: range(many(1011, 0, 4000)),
            };
        }"""
    )
    assert delays["final"] == [1008, 4401, 4403]
    assert delays["cut"] == delays["changed"] == [0, 0]
    for kind, least, most in (
        ("cutAgain", 500, 1000),
        ("cutOften", 7500, 15_000),
        ("restart", 0, 4000),
        ("busy", 5500, 6000),
        ("failed", 250, 500),
    ):
        low, high = delays[kind]
        assert least <= low < high <= most, kind
    assert delays["restart"][1] - delays["restart"][0] > 2000


# A history that is not complete


@BAD_NETWORK
def test_a_history_that_has_changed_on_the_server_is_told(
    page: Page, serve: Serve, make_app: Callable[..., FastAPI], tmp_path: Path
) -> None:
    first = serve(make_app())
    keep(first, "lobby", "ben", "one", "two")
    first.stop()
    shutil.copy(tmp_path / "chat.db", tmp_path / "copy.db")
    second = serve(make_app(), port=first.port)
    enter(page, second.http_url("/"), "ana")
    say(page, "what will be lost")
    expect(texts(page)).to_have_text(["one", "two", "what will be lost"])
    second.stop()
    shutil.copy(tmp_path / "copy.db", tmp_path / "chat.db")
    third = serve(make_app(), port=first.port)
    expect(texts(page)).to_have_text(["one", "two"])
    note = page.get_by_text("The history of this room has changed on the server.")
    expect(note).to_be_in_viewport()
    keep(third, "lobby", "ben", "three")
    expect(texts(page)).to_have_text(["one", "two", "three"])


@BAD_NETWORK
def test_messages_that_are_no_longer_kept_are_told(
    page: Page, serve: Serve, tmp_path: Path
) -> None:
    def make_app() -> FastAPI:
        kept = Retention(messages=100)
        return create_app(SQLiteStore(tmp_path / "chat.db", kept), secret=SECRET)

    server = serve(make_app())
    keep(server, "lobby", "ben", *numbered(1, 10))
    enter(page, server.http_url("/"), "ana")
    expect(texts(page)).to_have_text(numbered(1, 10))
    page.goto("about:blank")
    keep(server, "lobby", "ben", *numbered(11, 210))
    page.goto(server.http_url("/"))
    expect(texts(page).last).to_have_text("message 210")
    note = page.get_by_text("Messages are missing here. They are no longer kept.")
    expect(note).to_be_in_viewport()
    expect(page.locator("#front span")).to_have_text("Older messages are no longer kept.")


def test_a_list_of_older_messages_that_fails_can_be_asked_for_again(
    page: Page, server: Server, allowed_errors: list[str]
) -> None:
    allowed_errors.append(r"Failed to load resource: .* status of 503 .*")
    keep(server, "lobby", "ben", *numbered(1, 60))
    page.route("**/messages?*", lambda route: route.fulfill(status=503))
    enter(page, server.http_url("/"), "ana")
    to_top(page)
    expect(page.locator("#front")).to_contain_text("Earlier messages could not be loaded.")
    page.unroute("**/messages?*")
    page.get_by_role("button", name="Try again").click()
    expect(texts(page)).to_have_text(numbered(1, 60))


# Where and how the page is read


def test_the_page_works_with_the_keyboard_alone(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 1200, "height": 700})
    page.goto(server.http_url("/"))
    expect(page.get_by_label("Your name")).to_be_focused()
    page.keyboard.type("ana")
    page.keyboard.press("Enter")
    expect(box(page)).to_be_focused()
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    expect(texts(page)).to_have_text(["one\ntwo"])
    with talker(server, "ben"):
        expect(page.locator("#names-here li")).to_have_count(2)
        page.keyboard.press("Tab")
        expect(page.get_by_role("button", name="Send")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="ben")).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_label("To", exact=True)).to_have_value("ben")
        expect(box(page)).to_be_focused()
        page.keyboard.press("Escape")
    expect(page.get_by_role("heading", level=1)).to_have_text("#lobby")
    page.get_by_label("Open a room").focus()
    page.keyboard.type("Nope!")
    page.keyboard.press("Enter")
    expect(page.locator("#room-notice")).to_contain_text("A room's name has up to 64 small letters")
    page.keyboard.press("Control+A")
    page.keyboard.type("garden")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("#garden")
    expect(box(page)).to_be_focused()


def test_the_page_has_names_and_roles_for_a_screen_reader(page: Page, server: Server) -> None:
    page.set_viewport_size({"width": 1200, "height": 700})
    enter(page, server.http_url("/"), "ana")
    expect(page.locator("html")).to_have_attribute("lang", "en")
    for role, name in (
        ("main", None),
        ("navigation", "Rooms"),
        ("complementary", "People"),
        ("log", "Messages"),
        ("textbox", "Message"),
        ("button", "Send"),
    ):
        expect(page.get_by_role(role, name=name)).to_have_count(1)
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.get_by_role("status")).to_have_text("Connected.")
    expect(page.get_by_role("link", name="#lobby")).to_have_attribute("aria-current", "page")
    say(page, "one")
    say(page, "two")
    # Who says it, and when, is there for each message, shown or not.
    expect(page.get_by_role("log").get_by_role("listitem")).to_contain_text([r"You", "You"])


def test_the_page_fits_a_phone_and_its_lists_fold_away(open_tab: OpenTab, server: Server) -> None:
    page = open_tab(viewport={"width": 360, "height": 640}, has_touch=True, is_mobile=True)
    enter(page, server.http_url("/"), "ana")
    say(page, "w" * 2000)
    keep(server, "lobby", "b" * 40, "https://example.com/" + "x" * 300)
    expect(texts(page)).to_have_count(2)
    for element in ("html", "#log", "#conversation"):
        assert page.locator(element).evaluate("e => e.scrollWidth <= e.clientWidth"), element
    expect(box(page)).to_be_in_viewport(ratio=1)
    expect(page.get_by_role("navigation")).to_be_hidden()
    expect(page.get_by_role("complementary")).to_be_hidden()
    with talker(server, "ben"):
        page.get_by_role("button", name="People 2").tap()
        page.get_by_role("complementary").get_by_role("link", name="ben").tap()
        expect(page.get_by_role("heading", level=1)).to_have_text("Messages to you")
        expect(page.get_by_role("complementary")).to_be_hidden()
    keep(server, "lobby", "ben", "hello")
    page.get_by_role("button", name="Rooms 1 unread").tap()
    page.get_by_role("link", name="#lobby").tap()
    expect(page.get_by_role("navigation")).to_be_hidden()
    expect(texts(page).last).to_have_text("hello")
    page.get_by_role("button", name="Rooms").tap()
    page.keyboard.press("Escape")
    expect(page.get_by_role("navigation")).to_be_hidden()
    assert page.evaluate("document.documentElement.scrollWidth") == 360


def seen_in_both_schemes(page: Page) -> list[Any]:
    seen = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        seen += page.evaluate(COLOURS)
    return seen


@BAD_NETWORK
def test_all_text_can_be_read_in_light_and_in_dark(
    open_tab: OpenTab, serve: Serve, make_app: Any
) -> None:
    server = serve(make_app())
    page = open_tab(viewport={"width": 1200, "height": 800})
    enter(page, server.http_url("/#@me/nobody"), "ana")
    say(page, "will fail")
    expect(waiting(page)).to_contain_text("Not sent: there is no nobody here")
    seen = seen_in_both_schemes(page)
    page.goto(server.http_url("/#lobby"))
    keep(server, "lobby", "ben", "hello https://example.com")
    for name in ("cem", "dora", "emil", "fay", "gina"):
        keep(server, "lobby", name, f"hello from {name}")
    expect(texts(page)).to_have_count(6)
    page.evaluate(HIDE, True)
    keep(server, "lobby", "hugo", "new")
    expect(page.get_by_text("New", exact=True)).to_be_visible()
    say(page, "mine")
    expect(texts(page)).to_have_count(8)
    server.stop()
    expect(page.locator("#banner")).to_be_visible()
    say(page, "waits")
    expect(waiting(page).get_by_text("Not sent yet")).to_be_visible()
    seen += seen_in_both_schemes(page)
    assert len(seen) > 80
    for text, colour, ground in seen:
        assert contrast(colour[:3], ground[:3]) >= 4.5, text


def test_in_a_frame_it_is_as_light_or_dark_as_the_notebook_around_it_says(
    page: Page, server: Server
) -> None:
    page.set_content(f'<iframe src="{server.http_url("/")}" width="800" height="420"></iframe>')
    inside = page.frame_locator("iframe")
    expect(inside.get_by_label("Your name")).to_be_visible()
    for theme, ground in (("dark", "rgb(18, 21, 26)"), ("light", "rgb(244, 245, 247)")):
        page.evaluate("theme => frames[0].postMessage({ theme }, '*')", theme)
        expect(inside.locator("body")).to_have_css("background-color", ground)


def test_in_a_frame_of_another_site_where_no_cookie_comes_through_it_works_too(
    open_tab: OpenTab, server: Server, serve: Serve
) -> None:
    around = FastAPI()
    frame = f'<link rel="icon" href="data:,"><iframe src="{server.http_url("/")}"></iframe>'
    around.add_api_route("/", lambda: HTMLResponse(frame))
    page = open_tab(serve(around).http_url("/").replace("127.0.0.1", "localhost"))
    inside = page.frame_locator("iframe")
    inside.get_by_label("Your name").fill("ana")
    inside.get_by_role("button", name="Sign in").click()
    expect(inside.locator("#status")).to_have_text("Connected.")
    assert page.context.cookies() == []
    inside.get_by_label("Message", exact=True).fill("hello")
    inside.get_by_role("button", name="Send").click()
    expect(inside.locator("#history .text")).to_have_text(["hello"])


def test_nothing_moves_for_who_prefers_less_motion(page: Page, server: Server) -> None:
    enter(page, server.http_url("/"), "ana")
    page.evaluate("document.body.dataset.state = 'lost'")
    moving = {}
    for motion in ("no-preference", "reduce"):
        page.emulate_media(reduced_motion=motion)
        moving[motion] = page.evaluate(
            "document.getAnimations().map(({ animationName }) => animationName).filter(Boolean)"
        )
    assert moving == {"no-preference": ["breathe"], "reduce": []}


def test_the_page_works_below_a_path_prefix(
    page: Page, serve: Serve, make_app: Callable[..., FastAPI]
) -> None:
    inner = make_app()
    outer = FastAPI(lifespan=inner.state.hub.lifespan)
    outer.mount("/some/prefix", inner)
    server = serve(outer)
    enter(page, server.http_url("/some/prefix"), "ana")
    say(page, "hello")
    expect(texts(page)).to_have_text(["hello"])
    page.reload()
    expect(texts(page)).to_have_text(["hello"])


def test_the_page_comes_with_a_policy_that_blocks_inline_script(
    page: Page, server: Server, allowed_errors: list[str]
) -> None:
    allowed_errors.append(r"Executing inline script violates .*Content Security Policy.*")
    response = page.goto(server.http_url("/"))
    assert response is not None
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    expect(page.get_by_label("Your name")).to_be_visible()
    page.evaluate(
        """() => {
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.head.append(script);
        }"""
    )
    assert page.evaluate("window.ran") is None


def test_the_page_gets_its_own_files_and_no_other_page_does(page: Page, serve: Serve) -> None:
    rooms, other = serve(create_app()), serve(chat.app)
    for file, media_type in (("rooms.css", "text/css"), ("start.js", "text/javascript")):
        url = f"/pages/rooms/{file}"
        response = page.request.get(rooms.http_url(url))
        assert response.status == 200
        assert response.headers["content-type"] == f"{media_type}; charset=utf-8"
        assert page.request.get(other.http_url(url)).status == 404


def test_without_javascript_the_page_says_what_is_missing(
    open_tab: OpenTab, server: Server
) -> None:
    page = open_tab(server.http_url("/"), java_script_enabled=False)
    expect(page.locator("noscript p")).to_be_visible()
