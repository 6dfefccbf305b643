"""The three pages, in a real browser and on a real server."""

import queue
import re
from collections.abc import Callable

import pytest
from fastapi import FastAPI, WebSocket, WebSocketDisconnect
from playwright.sync_api import Locator, Page, expect
from starlette.types import Receive, Scope, Send
from websockets.sync.client import connect

from chatlib import chat, echo, items
from chatlib.core.pages import add_page
from chatlib.lab.serve import Server

OpenTab = Callable[..., Page]
Serve = Callable[..., Server]

GUARD_SECONDS = 30  # nothing waits for this long unless it is broken
PAGES = pytest.mark.parametrize(
    "app", [echo.app, items.app, chat.app], ids=["echo", "items", "chat"]
)
MARKUP = "<script>window.ran = true</script><img src=x onerror='window.ran = true'>"
# A WebSocket of which the first opens and is lost, and no later one opens; timers that do not wait.
NO_WAY_BACK = """
    window.sockets = 0;
    const delays = [];
    window.thirtyDelays = new Promise((resolve) => {
        window.done = () => { if (delays.length === 30) resolve(delays); };
    });
    const soon = window.setTimeout.bind(window);
    window.setTimeout = (callback, delay) => {
        delays.push(delay);
        window.done();
        return delays.length < 30 ? soon(callback) : 0;
    };
    window.WebSocket = class {
        static OPEN = 1;
        constructor() {
            window.sockets += 1;
            const first = window.sockets === 1;
            soon(() => {
                if (first) this.onopen();
                this.onclose({ code: first ? 1012 : 1006, reason: "" });
            });
        }
    };
"""


def status(page: Page) -> Locator:
    return page.get_by_role("status")


def box(page: Page) -> Locator:
    return page.get_by_label("Message", exact=True)


def lines(page: Page) -> Locator:
    return page.get_by_role("log").get_by_role("listitem")


def say(page: Page, text: str) -> None:
    box(page).fill(text)
    page.get_by_role("button", name="Send").click()


def enter_chat(page: Page, url: str) -> str:
    """Open the chat page in this tab, and return its ID once it is connected."""
    page.goto(url)
    expect(status(page)).to_have_text("Connected.")
    return page.locator("#ws-id").inner_text()


def scripted_app() -> FastAPI:
    """The echo page on a socket that obeys: `lines 3` sends three, `close 1008 why` closes."""
    app = FastAPI()
    add_page(app, "echo")

    @app.websocket("/ws")
    async def obey(websocket: WebSocket) -> None:
        await websocket.accept()
        try:
            while True:
                verb, _, rest = (await websocket.receive_text()).partition(" ")
                if verb == "close":
                    code, _, reason = rest.partition(" ")
                    await websocket.close(int(code), reason)
                    return
                for number in range(int(rest)):
                    await websocket.send_text(f"line {number}")
        except WebSocketDisconnect:
            pass

    return app


# Echo


def test_the_echo_comes_back_and_the_box_empties(page: Page, serve: Serve) -> None:
    page.goto(serve(echo.app).http_url("/"))
    expect(status(page)).to_have_text("Connected.")
    say(page, "hello")
    expect(lines(page)).to_have_text(["Message text was: hello"])
    expect(box(page)).to_have_value("")


def test_an_empty_box_sends_nothing_and_says_so(page: Page, serve: Serve) -> None:
    page.goto(serve(echo.app).http_url("/"))
    expect(status(page)).to_have_text("Connected.")
    say(page, "")
    expect(page.get_by_role("alert")).to_contain_text("Nothing to send")
    say(page, "a")
    expect(lines(page)).to_have_text(["Message text was: a"])
    expect(page.get_by_role("alert")).to_be_empty()


# Items


def test_the_items_page_connects_with_a_token_and_shows_the_three_lines(
    page: Page, serve: Serve
) -> None:
    page.goto(serve(items.app).http_url("/?q=0"))
    expect(page.get_by_label("Item ID")).to_have_value("foo")
    expect(page.get_by_label("Token")).to_have_value("some-key-token")
    page.get_by_role("button", name="Connect").click()
    expect(status(page)).to_have_text("Connected.")
    say(page, "hello")
    expect(lines(page)).to_have_text(
        [
            "Session cookie or query token value is: some-key-token",
            "Query parameter q is: 0",
            "Message text was: hello, for item ID: foo",
        ]
    )
    expect(box(page)).to_have_value("")


def test_odd_characters_in_item_and_token_reach_the_server_as_they_are(
    page: Page, serve: Serve
) -> None:
    page.goto(serve(items.app).http_url("/"))
    page.get_by_label("Item ID").fill("a b?c#d&é%41")
    page.get_by_label("Token").fill("x&q=7#+ %20é")
    page.get_by_role("button", name="Connect").click()
    expect(status(page)).to_have_text("Connected.")
    say(page, "hello")
    expect(lines(page)).to_have_text(
        [
            "Session cookie or query token value is: x&q=7#+ %20é",
            "Message text was: hello, for item ID: a b?c#d&é%41",
        ]
    )


@pytest.mark.usefixtures("handshakes_may_fail")
def test_a_refusal_is_shown_as_such_and_not_tried_again(page: Page, serve: Serve) -> None:
    server = serve(items.app)
    requests: queue.Queue[str] = queue.Queue()
    server.observers.append(lambda event: event.kind == "request" and requests.put(event.path))
    page.clock.install()
    page.goto(server.http_url("/"))
    page.get_by_label("Token").fill("")
    page.get_by_role("button", name="Connect").click()
    expect(status(page)).to_contain_text("the server refused, or cannot be reached")
    expect(status(page)).to_contain_text("press Connect")
    page.clock.run_for(600_000)
    page.get_by_label("Token").fill("some-key-token")
    page.get_by_role("button", name="Connect").click()
    expect(status(page)).to_have_text("Connected.")
    assert list(requests.queue) == [
        "/items/foo/ws?token=",
        "/items/foo/ws?token=some-key-token",
    ]


def test_send_before_connect_says_so_and_keeps_the_text(page: Page, serve: Serve) -> None:
    page.goto(serve(items.app).http_url("/"))
    say(page, "too early")
    expect(page.get_by_role("alert")).to_contain_text("Press Connect first")
    expect(box(page)).to_have_value("too early")
    page.get_by_role("button", name="Connect").click()
    expect(status(page)).to_have_text("Connected.")
    expect(page.get_by_role("alert")).to_be_empty()
    page.get_by_role("button", name="Send").click()
    expect(lines(page)).to_have_count(2)


def test_connect_again_closes_the_first_connection(page: Page, serve: Serve) -> None:
    server = serve(items.app)
    closes: queue.Queue[tuple[int, int | None]] = queue.Queue()
    server.observers.append(
        lambda event: (
            event.kind == "close" and event.to_server and closes.put((event.connection, event.code))
        )
    )
    page.goto(server.http_url("/"))
    page.get_by_role("button", name="Connect").click()
    expect(status(page)).to_have_text("Connected.")
    page.get_by_label("Item ID").fill("bar")
    page.get_by_role("button", name="Connect").click()
    assert closes.get(timeout=GUARD_SECONDS) == (1, 1000)
    expect(status(page)).to_have_text("Connected.")
    say(page, "hello")
    expect(lines(page).last).to_have_text("Message text was: hello, for item ID: bar")


def test_the_items_page_is_called_items(page: Page, serve: Serve) -> None:
    page.goto(serve(items.app).http_url("/"))
    name, heading = page.get_by_text("Items", exact=True), page.get_by_role("heading")
    expect(name).to_be_visible()
    size = "e => parseFloat(getComputedStyle(e).fontSize)"
    assert name.evaluate(size) > heading.evaluate(size)


@pytest.mark.usefixtures("handshakes_may_fail")
def test_the_button_says_connect_again_as_long_as_there_is_a_connection(
    page: Page, serve: Serve
) -> None:
    server = serve(items.app)
    page.goto(server.http_url("/"))
    button = page.locator("#connect").get_by_role("button")
    expect(button).to_have_accessible_name("Connect")
    width = button.evaluate("e => e.offsetWidth")
    button.click()
    expect(status(page)).to_have_text("Connected.")
    expect(button).to_have_accessible_name("Connect again")
    assert button.evaluate("e => e.offsetWidth") == width  # nothing moves
    server.stop()
    expect(status(page)).to_contain_text("Connection lost")
    expect(button).to_have_accessible_name("Connect")


def test_connect_pressed_in_a_hurry_leaves_one_connection(page: Page, serve: Serve) -> None:
    server = serve(items.app)
    closes: queue.Queue[int] = queue.Queue()
    server.observers.append(
        lambda event: event.kind == "close" and event.to_server and closes.put(event.connection)
    )
    page.goto(server.http_url("/"))
    page.evaluate(
        "() => { for (let i = 0; i < 3; i++) document.querySelector('#connect').requestSubmit(); }"
    )
    closed = {closes.get(timeout=GUARD_SECONDS) for _ in range(2)}
    assert len(closed) == 2
    expect(status(page)).to_have_text("Connected.")
    say(page, "hello")
    expect(lines(page)).to_have_count(2)


# Chat


def test_in_several_tabs_one_is_closed_and_the_others_are_told(
    open_tab: OpenTab, serve: Serve
) -> None:
    server = serve(chat.app)
    first, second, third = open_tab(), open_tab(), open_tab()
    first_id, _, third_id = (
        enter_chat(tab, server.http_url("/")) for tab in (first, second, third)
    )
    say(first, "hello")
    expect(lines(first)).to_have_text(["You wrote: hello", f"Client #{first_id} says: hello"])
    expect(lines(second)).to_have_text([f"Client #{first_id} says: hello"])
    expect(lines(third)).to_have_text([f"Client #{first_id} says: hello"])
    third.close()
    expect(lines(first).last).to_have_text(f"Client #{third_id} left the chat")
    expect(lines(second).last).to_have_text(f"Client #{third_id} left the chat")


def test_a_tab_and_a_python_client_talk(page: Page, serve: Serve) -> None:
    server = serve(chat.app)
    my_id = enter_chat(page, server.http_url("/"))
    with connect(server.ws_url("/ws/7"), proxy=None) as client:
        client.send("from Python")
        expect(lines(page)).to_have_text(["Client #7 says: from Python"])
        say(page, "from the page")
        received = [client.recv(timeout=GUARD_SECONDS) for _ in range(3)]
        assert received[2] == f"Client #{my_id} says: from the page"
    expect(lines(page).last).to_have_text("Client #7 left the chat")


def test_the_id_is_the_time_in_milliseconds_as_an_integer(page: Page, serve: Serve) -> None:
    page.goto(serve(chat.app).http_url("/"))
    shown = page.get_by_text("Your ID:").inner_text()
    assert re.fullmatch(r"Your ID: \d+", shown)
    now = page.evaluate("Date.now()")
    assert now - 60_000 < int(shown.removeprefix("Your ID: ")) <= now


# A connection that is lost


@pytest.mark.usefixtures("handshakes_may_fail")
@pytest.mark.parametrize("app", [echo.app, chat.app], ids=["echo", "chat"])
def test_a_stopped_server_is_told_and_the_page_returns_to_a_new_one(
    app: FastAPI, page: Page, serve: Serve
) -> None:
    server = serve(app)
    page.goto(server.http_url("/"))
    expect(status(page)).to_have_text("Connected.")
    server.stop()
    expect(status(page)).to_contain_text(
        "Connection lost: the server has stopped or is restarting (code 1012)"
    )
    say(page, "kept")
    expect(page.get_by_role("alert")).to_contain_text("Not sent")
    expect(box(page)).to_have_value("kept")
    serve(app, port=server.port)
    expect(status(page)).to_contain_text("Connected again")
    expect(status(page)).to_contain_text("the server has stopped or is restarting (code 1012)")
    page.get_by_role("button", name="Send").click()
    expect(lines(page).last).to_contain_text("kept")
    expect(box(page)).to_have_value("")


@pytest.mark.usefixtures("handshakes_may_fail")
def test_the_items_page_returns_to_the_item_it_was_connected_to(page: Page, serve: Serve) -> None:
    server = serve(items.app)
    page.goto(server.http_url("/"))
    page.get_by_role("button", name="Connect").click()
    expect(status(page)).to_have_text("Connected.")
    page.get_by_label("Item ID").fill("not connected to")
    server.stop()
    expect(status(page)).to_contain_text("Connection lost")
    serve(items.app, port=server.port)
    expect(status(page)).to_contain_text("Connected again")
    say(page, "hello")
    expect(lines(page).last).to_have_text("Message text was: hello, for item ID: foo")


@pytest.mark.usefixtures("handshakes_may_fail")
def test_a_line_that_is_cut_is_told_as_1006(page: Page, serve: Serve) -> None:
    async def cut(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            await receive()
            send.__self__.transport.abort()  # uvicorn has no name for it: no app ought to do this
        else:
            await echo.app(scope, receive, send)

    page.goto(serve(cut).http_url("/"))
    expect(status(page)).to_have_text("Connected.")
    say(page, "hello")
    expect(status(page)).to_contain_text("the line was cut (code 1006)")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1001, "the server is going away, perhaps to restart"),
        (1003, "the server does not take this kind of message"),
        (1011, "the server met an error"),
        (1013, "the server is busy"),
        (4001, "the app ended it"),
    ],
)
def test_a_close_is_told_with_its_code_and_reason_and_the_page_returns(
    code: int, words: str, page: Page, serve: Serve
) -> None:
    page.goto(serve(scripted_app()).http_url("/"))
    expect(status(page)).to_have_text("Connected.")
    say(page, f"close {code} <b>because</b>")
    told = f"{words} (code {code}: “<b>because</b>”)."
    expect(status(page)).to_have_text(f"Connected again. The connection was lost: {told}")


@pytest.mark.parametrize(
    ("code", "words"),
    [
        (1000, "the server closed it, with nothing wrong"),
        (1008, "the server's rules do not allow it"),
    ],
)
def test_a_close_that_would_come_again_is_not_followed_by_an_attempt(
    code: int, words: str, page: Page, serve: Serve
) -> None:
    server = serve(scripted_app())
    requests: queue.Queue[str] = queue.Queue()
    server.observers.append(lambda event: event.kind == "request" and requests.put(event.path))
    page.clock.install()
    page.goto(server.http_url("/"))
    expect(status(page)).to_have_text("Connected.")
    say(page, f"close {code} enough")
    expect(status(page)).to_have_text(
        f"Connection closed: {words} (code {code}: “enough”). Reload the page to connect again."
    )
    page.clock.run_for(600_000)
    say(page, "too late")
    expect(page.get_by_role("alert")).to_contain_text("no connection. Reload the page")
    expect(box(page)).to_have_value("too late")
    assert requests.qsize() == 1


def test_a_message_too_big_for_the_server_is_given_back(page: Page, serve: Serve) -> None:
    page.goto(serve(echo.app).http_url("/"))
    expect(status(page)).to_have_text("Connected.")
    too_big = "é" * 40_000
    say(page, too_big)
    expect(status(page)).to_contain_text("the message is too big for the server (code 1009")
    expect(status(page)).to_contain_text("Connected again")
    expect(page.get_by_role("alert")).to_contain_text("too big")
    expect(box(page)).to_have_value(too_big)
    say(page, "smaller")
    expect(lines(page)).to_have_text(["Message text was: smaller"])


def test_the_delay_before_an_attempt_grows_by_chance_and_within_a_bound(
    page: Page, serve: Serve
) -> None:
    page.add_init_script(NO_WAY_BACK)
    page.goto(serve(echo.app).http_url("/"))
    delays = page.evaluate("window.thirtyDelays")
    for number, delay in enumerate(delays[1:], 1):
        longest = min(500 * 2**number, 15_000)
        assert longest / 2 <= delay <= longest
    assert len(set(delays[5:])) > 1


def test_pages_come_back_to_a_server_that_restarts_over_some_seconds(
    page: Page, serve: Serve
) -> None:
    page.add_init_script(NO_WAY_BACK)
    server = serve(echo.app)
    delays = []
    for _ in range(30):
        page.goto(server.http_url("/"))
        delays.append(page.evaluate("window.thirtyDelays")[0])
    assert all(250 <= delay <= 4500 for delay in delays)
    assert max(delays) - min(delays) > 1000  # by chance less in one of 10^16 runs


def test_the_items_page_gives_up_in_the_end_and_says_so(page: Page, serve: Serve) -> None:
    page.add_init_script(NO_WAY_BACK)
    page.goto(serve(items.app).http_url("/"))
    page.get_by_role("button", name="Connect").click()
    expect(status(page)).to_contain_text("Gave up after 20 attempts")
    expect(status(page)).to_contain_text("Press Connect")
    assert page.evaluate("window.sockets") == 1 + 20


# What others write


def test_markup_in_a_message_is_shown_as_text_and_not_run(open_tab: OpenTab, serve: Serve) -> None:
    server = serve(chat.app)
    writer, reader = open_tab(), open_tab()
    writer_id = enter_chat(writer, server.http_url("/"))
    enter_chat(reader, server.http_url("/"))
    say(writer, MARKUP)
    expect(lines(reader)).to_have_text([f"Client #{writer_id} says: {MARKUP}"])
    expect(lines(writer).first).to_have_text(f"You wrote: {MARKUP}")
    for tab in (writer, reader):
        expect(tab.locator("#log script, #log img")).to_have_count(0)
        assert tab.evaluate("window.ran") is None


@PAGES
def test_a_page_comes_with_a_policy_that_blocks_inline_script(
    app: FastAPI, page: Page, serve: Serve, allowed_errors: list[str]
) -> None:
    allowed_errors.append(r"Executing inline script violates .*Content Security Policy.*")
    response = page.goto(serve(app).http_url("/"))
    assert response is not None
    policy = response.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    blocked = page.evaluate(
        """() => new Promise((resolve) => {
            addEventListener("securitypolicyviolation", (event) => resolve(event.blockedURI));
            const script = document.createElement("script");
            script.textContent = "window.ran = true";
            document.head.append(script);
        })"""
    )
    assert blocked == "inline"
    assert page.evaluate("window.ran") is None


# The list


def test_the_list_keeps_the_newest_500_and_shows_the_last(page: Page, serve: Serve) -> None:
    page.goto(serve(scripted_app()).http_url("/"))
    expect(status(page)).to_have_text("Connected.")
    say(page, "lines 510")
    expect(lines(page).last).to_have_text("line 509")
    expect(lines(page)).to_have_count(500)
    expect(lines(page).first).to_have_text("line 10")
    expect(lines(page).last).to_be_in_viewport()


def test_a_reader_who_scrolled_up_is_left_there(page: Page, serve: Serve) -> None:
    page.goto(serve(scripted_app()).http_url("/"))
    expect(status(page)).to_have_text("Connected.")
    say(page, "lines 100")
    expect(lines(page)).to_have_count(100)
    lines(page).nth(20).scroll_into_view_if_needed()
    expect(lines(page).nth(20)).to_be_in_viewport()
    expect(lines(page).last).not_to_be_in_viewport()
    say(page, "lines 100")
    expect(lines(page)).to_have_count(200)
    expect(lines(page).nth(20)).to_be_in_viewport()
    expect(lines(page).last).not_to_be_in_viewport()


# Where and how the pages are read


@pytest.mark.parametrize("slash", ["", "/"])
def test_the_chat_works_below_a_path_prefix(slash: str, page: Page, serve: Serve) -> None:
    outer = FastAPI()
    outer.mount("/some/prefix", chat.app)
    my_id = enter_chat(page, serve(outer).http_url(f"/some/prefix{slash}"))
    say(page, "hello")
    expect(lines(page)).to_have_text(["You wrote: hello", f"Client #{my_id} says: hello"])


def test_the_items_page_works_below_a_path_prefix(page: Page, serve: Serve) -> None:
    outer = FastAPI()
    outer.mount("/some/prefix", items.app)
    page.goto(serve(outer).http_url("/some/prefix/"))
    page.get_by_role("button", name="Connect").click()
    say(page, "hello")
    expect(status(page)).to_have_text("Connected.")


def test_the_items_page_works_with_the_keyboard_alone(page: Page, serve: Serve) -> None:
    page.goto(serve(items.app).http_url("/"))
    page.keyboard.press("Tab")
    expect(page.get_by_label("Item ID")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Token")).to_be_focused()
    page.keyboard.press("Enter")
    expect(status(page)).to_have_text("Connected.")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Connect")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("log")).to_be_focused()
    page.keyboard.press("Tab")
    expect(box(page)).to_be_focused()
    page.keyboard.type("hello")
    page.keyboard.press("Enter")
    expect(lines(page)).to_have_count(2)
    expect(box(page)).to_be_focused()
    page.keyboard.type("again")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Send")).to_be_focused()
    page.keyboard.press("Space")
    expect(lines(page)).to_have_count(4)


@PAGES
def test_a_page_has_names_and_roles_for_a_screen_reader(
    app: FastAPI, page: Page, serve: Serve
) -> None:
    page.goto(serve(app).http_url("/"))
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.get_by_role("heading", level=1)).to_have_count(1)
    expect(page.get_by_role("main")).to_have_count(1)
    expect(page.get_by_role("log", name="Messages")).to_have_attribute("aria-live", "polite")
    expect(status(page)).not_to_be_empty()
    expect(page.get_by_role("textbox", name="Message", exact=True)).to_be_editable()
    expect(page.get_by_role("button", name="Send")).to_be_enabled()
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("alert")).not_to_be_empty()
    described = page.get_by_role("alert").inner_text()
    expect(box(page)).to_have_accessible_description(described)


@pytest.mark.parametrize(
    ("app", "title", "heading"),
    [
        (echo.app, "Echo", "WebSocket Echo"),
        (items.app, "Chat", "WebSocket Chat"),
        (chat.app, "Chat", "WebSocket Chat"),
    ],
    ids=["echo", "items", "chat"],
)
def test_a_page_has_its_title_and_heading_and_begins_with_its_doctype(
    app: FastAPI, title: str, heading: str, page: Page, serve: Serve
) -> None:
    response = page.goto(serve(app).http_url("/"))
    assert response is not None
    assert response.headers["content-type"].startswith("text/html")
    assert response.text().startswith("<!DOCTYPE html>")
    expect(page).to_have_title(title)
    expect(page.get_by_role("heading", level=1)).to_have_text(heading)


@PAGES
def test_a_page_fits_a_phone_and_long_words_wrap(
    app: FastAPI, open_tab: OpenTab, serve: Serve
) -> None:
    page = open_tab(serve(app).http_url("/"), viewport={"width": 360, "height": 740})
    if app is items.app:
        page.get_by_role("button", name="Connect").click()
    expect(status(page)).to_have_text("Connected.")
    say(page, "w" * 2000)
    expect(lines(page).last).to_contain_text("www")
    for element in ("html", "#log"):
        assert page.locator(element).evaluate("e => e.scrollWidth <= e.clientWidth"), element
    expect(box(page)).to_be_in_viewport(ratio=1)


@PAGES
def test_a_page_is_dark_for_who_prefers_dark(app: FastAPI, open_tab: OpenTab, serve: Serve) -> None:
    url = serve(app).http_url("/")
    brightness = {}
    for scheme in ("light", "dark"):
        page = open_tab(url, color_scheme=scheme)
        colours = page.locator("body").evaluate(
            "e => [getComputedStyle(e).backgroundColor, getComputedStyle(e).color]"
        )
        ground, text = (sum(map(int, re.findall(r"\d+", colour))) for colour in colours)
        brightness[scheme] = ground - text
    assert brightness["light"] > 400
    assert brightness["dark"] < -400


@pytest.mark.parametrize("prefers", ["light", "dark"])
def test_a_page_in_a_frame_is_as_light_or_dark_as_the_notebook_around_it_says(
    prefers: str, open_tab: OpenTab, serve: Serve
) -> None:
    address = serve(echo.app).http_url("/")
    page = open_tab(color_scheme=prefers)
    page.set_content(f'<iframe src="{address}"></iframe>')
    inside = page.frame_locator("iframe")
    expect(inside.get_by_role("status")).to_have_text("Connected.")
    for theme, ground in (("dark", "rgb(18, 21, 26)"), ("light", "rgb(244, 245, 247)")):
        page.evaluate("theme => frames[0].postMessage({ theme }, '*')", theme)
        expect(inside.locator("body")).to_have_css("background-color", ground)


def test_nothing_else_that_a_frame_is_told_changes_a_page(open_tab: OpenTab, serve: Serve) -> None:
    page = open_tab(serve(echo.app).http_url("/"), color_scheme="light")
    page.evaluate(
        """() => new Promise((resolve) => {
            for (const told of [null, "dark", { theme: "red" }, { theme: ["dark"] }])
                postMessage(told);
            addEventListener("message", ({ data }) => data === "last" && resolve());
            postMessage("last");
        })"""
    )
    assert page.evaluate("document.documentElement.dataset.theme") is None


def test_nothing_moves_for_who_prefers_less_motion(open_tab: OpenTab, serve: Serve) -> None:
    url = serve(echo.app).http_url("/")
    moving = {}
    for motion in ("no-preference", "reduce"):
        page = open_tab(url, reduced_motion=motion)
        expect(status(page)).to_have_text("Connected.")
        moving[motion] = page.evaluate(
            "document.body.dataset.state = 'lost', document.getAnimations().length"
        )
    assert moving == {"no-preference": 1, "reduce": 0}


@PAGES
def test_what_has_the_focus_can_be_seen(app: FastAPI, page: Page, serve: Serve) -> None:
    page.goto(serve(app).http_url("/"))
    for element in page.locator("input, button, #log").all():
        element.focus()
        page.keyboard.press("Shift")  # as a reader who uses the keyboard
        outline = element.evaluate("e => getComputedStyle(e).outline")
        assert "solid 3px" in outline, outline


@PAGES
def test_without_javascript_a_page_says_what_is_missing(
    app: FastAPI, open_tab: OpenTab, serve: Serve
) -> None:
    page = open_tab(serve(app).http_url("/"), java_script_enabled=False)
    expect(page.locator("noscript p")).to_be_visible()


@pytest.mark.parametrize(
    ("file", "media_type"), [("style.css", "text/css"), ("socket.js", "text/javascript")]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_shared_file_comes_with_its_type(
    method: str, file: str, media_type: str, page: Page, serve: Serve
) -> None:
    response = page.request.fetch(serve(chat.app).http_url(f"/pages/{file}"), method=method)
    assert response.status == 200
    assert response.headers["content-type"] == f"{media_type}; charset=utf-8"
