"""The recorder: whom it shows, in which order, and that no payload can break its drawing."""

import asyncio
import contextlib
import html
import json
import re
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
import websockets
from hypothesis import given, settings
from hypothesis import strategies as st

from chatlib.chat import app as chat
from chatlib.core.rooms.identity import Tokens
from chatlib.echo import app as echo
from chatlib.items import app as items
from chatlib.lab.mermaid import directive
from chatlib.lab.rooms import in_protocol
from chatlib.lab.serve import Server
from chatlib.lab.trace import Trace, trace
from chatlib.lab.wire import Event
from chatlib.rooms import create_app

SECRET = "0123456789" * 4
DEADLINE = 20.0  # seconds; a guard against a hang, which decides nothing
NAMES = {"/ws/1": "Ana", "/ws/2": "Ben"}
ARROW = re.compile(r"(\w+)(->>|-x)(\w+): .+")
HEADS = ("sequenceDiagram", "accTitle: ", "accDescr: ", "title: ", "participant ", "Note over ")

# What could mean something to Mermaid, to a terminal, or to the eye.
NASTY = [
    "quotes \" ' `",
    "a\nb\r\nc\td",
    "a;b;c",
    "#35; #quot; #",
    "<b>bold</b> <br/> &amp; <script>alert(1)</script>",
    '%%{init: {"theme": "dark"}}%%',
    "%% no comment",
    "😀👩\u200d💻",
    "end",
    "end\nend",
    "\\n \\ \\\\",
    "\0\x01\x1b[31m\x7f\x85",
    "\u202eabc\u2066\u200f",
    "\u2028\u2029\ufeff\xa0",
    "ﬂ°°60¶ß ﬂ°lt¶ß ﬂ°°x",
    "style a:#f; classDef x:#f;",
    "wrap: long",
    "$$x^2$$",
    "accDescr { }",
    "->> -x",
    "",
    " ",
    "x" * 1_000_000,
]


def run(app: Any, body: Callable[[Server], Coroutine[Any, Any, None]]) -> None:
    """Run `body` against a server of `app`."""

    async def guarded() -> None:
        async with asyncio.timeout(DEADLINE):
            with Server(app) as server:
                await body(server)

    asyncio.run(guarded())


class NoServer:
    """Stands in for a server where the events are made by hand."""

    def __init__(self) -> None:
        self.observers: list[Callable[[Event], None]] = []


def made_of(events: list[Event], names: dict[str, str] | None = None, title: str = "") -> Trace:
    """A trace of these very events."""
    server = NoServer()
    seen = trace(server, names, title=title)  # type: ignore[arg-type]
    for event in events:
        server.observers[0](event)
    return seen


def saying(*payloads: str | bytes) -> list[Event]:
    """The events of a client that sends these messages."""
    kinds = ["text" if isinstance(payload, str) else "binary" for payload in payloads]
    return [
        Event(1, kind, True, "/ws", payload)  # type: ignore[arg-type]
        for kind, payload in zip(kinds, payloads, strict=True)
    ]


async def two_clients_talk(server: Server) -> None:
    """Ana says hello to Ben, and leaves; then he does."""
    async with websockets.connect(server.ws_url("/ws/2")) as ben:
        async with websockets.connect(server.ws_url("/ws/1?token=t")) as ana:
            await ana.send("hello")
            await ana.recv()
            await ana.recv()
            await ben.recv()
        await ben.recv()
    await server.settled()


TALK = """\
Ben ──▶ server   GET /ws/2 (upgrade)
Ben ◀── server   101 Switching Protocols
Ana ──▶ server   GET /ws/1?token=t (upgrade)
Ana ◀── server   101 Switching Protocols
Ana ──▶ server   'hello'
Ana ◀── server   'You wrote: hello'
Ana ◀── server   'Client #1 says: hello'
Ben ◀── server   'Client #1 says: hello'
Ana ──▶ server   close 1000 (normal closure)
Ana ◀── server   close 1000 (normal closure)
Ben ◀── server   'Client #1 left the chat'
Ben ──▶ server   close 1000 (normal closure)
Ben ◀── server   close 1000 (normal closure)"""


def test_all_that_crosses_is_shown_in_order():
    async def body(server: Server) -> None:
        with trace(server, NAMES) as seen:
            await two_clients_talk(server)
        assert seen.text == TALK
        assert len(seen.events) == len(TALK.splitlines())

    run(chat, body)


def test_the_diagram_shows_the_same():
    async def body(server: Server) -> None:
        with trace(server, NAMES) as seen:
            await two_clients_talk(server)
        lines = [line.strip() for line in seen.mermaid.splitlines()]
        assert lines[:3] == [
            directive(),
            "sequenceDiagram",
            "accTitle: What crossed between Ana, Ben and the server",
        ]
        assert lines[3].startswith(
            "accDescr: Ben to server: GET /ws/2 (upgrade). server to Ben: 101"
        )
        assert lines[7:9] == [
            "client2->>server: GET /ws/2 (upgrade)",
            "server->>client2: 101 Switching Protocols",
        ]
        assert lines[-3] == "server->>client2: 'Client #35;1 left the chat'"

    run(chat, body)


@pytest.mark.parametrize("clients", [1, 2, 3, 6, 7])
def test_the_server_stands_at_the_edge_and_never_between_two_clients(clients):
    events = [Event(n, "request", True, f"/ws/{n}") for n in range(1, clients + 1)]
    order = re.findall(r"participant (\w+)", made_of(events).mermaid)
    assert order == ["server", *[f"client{n}" for n in range(1, min(clients, 6) + 1)]]


def labels(seen: Trace) -> list[str]:
    """What is written at the arrows of the diagram."""
    found = re.findall(r"(?:->>|-x)\w+: (.+)", seen.mermaid)
    return [html.unescape(label.replace("#", "&#")) for label in found]


def test_a_label_is_cut_at_40_characters_in_the_picture_and_whole_in_the_text():
    said = "Session cookie or query token value is: some-key-token"
    seen = made_of([Event(1, "request", True, "/items/foo/ws?token=some-key-token"), *saying(said)])
    whole = ["GET /items/foo/ws?token=some-key-token (upgrade)", repr(said)]
    for label, text in zip(labels(seen), whole, strict=True):
        assert "".join(re.split("<br/>| ", label)) == text[:39].replace(" ", "") + "…"
        assert all(len(line) <= 28 for line in label.split("<br/>"))
    assert [line.split("   ")[1] for line in seen.text.splitlines()] == whole


def test_a_label_of_40_characters_is_not_cut():
    assert labels(made_of(saying("#" * 38))) == ["'###########################<br/>###########'"]


@pytest.mark.parametrize("name", ["Ana Maria of the long long name 1", "x" * 50 + " (2)"])
def test_a_long_name_takes_two_short_lines_and_keeps_its_end(name):
    seen = made_of(saying("hello"), {"/ws": name})
    shown = re.search(r"participant client1 as (.+)", seen.mermaid)[1].split("<br/>")
    assert len(shown) == 2
    assert all(len(line) <= 16 for line in shown)
    assert shown[1].endswith(name[-4:])


def test_of_many_clients_the_picture_has_six_and_says_so():
    events = [Event(n, "request", True, f"/ws/{n}") for n in range(1, 10)]
    seen = made_of(events)
    assert len(labels(seen)) == 6
    note = "and 3 more with 3<br/>other clients too:<br/>print the trace"
    assert f"Note over server: {note}\n" in seen.mermaid
    assert "client 9 ──▶ server" in seen.text


def test_it_is_the_same_each_time():
    async def body(server: Server) -> None:
        drawings = set()
        for _ in range(5):
            with trace(server, NAMES) as seen:
                await two_clients_talk(server)
            drawings.add((seen.text, seen.mermaid))
        assert len(drawings) == 1

    run(chat, body)


def test_others_than_those_named_are_left_out():
    async def body(server: Server) -> None:
        with trace(server, {"/ws/1": "Ana"}) as seen:
            await two_clients_talk(server)
        assert seen.text == "\n".join(line for line in TALK.splitlines() if "Ana" in line)

    run(chat, body)


def test_a_name_may_be_for_a_path_with_its_query_string():
    with_query = {"/ws?x=1": "Xenia", "/ws": "Ana"}
    events = [Event(1, "request", True, "/ws?x=2"), Event(2, "request", True, "/ws?x=1")]
    seen = made_of(events, with_query)
    assert [line.split()[0] for line in seen.text.splitlines()] == ["Ana", "Xenia"]


def test_a_second_connection_on_a_path_is_numbered():
    async def body(server: Server) -> None:
        with trace(server, {"/ws": "Ana"}) as seen:
            for _ in range(2):
                async with websockets.connect(server.ws_url("/ws")):
                    pass
        assert "Ana     ──▶ server   GET /ws (upgrade)" in seen.text
        assert "Ana (2) ──▶ server   GET /ws (upgrade)" in seen.text

    run(echo, body)


def test_without_names_clients_are_numbered_as_they_appear_in_the_trace():
    async def body(server: Server) -> None:
        async with (
            websockets.connect(server.ws_url("/ws/1")) as ana,
            websockets.connect(server.ws_url("/ws/2")) as ben,
        ):
            with trace(server) as seen:
                await ben.send("hello")
                await ben.recv()
                await ben.recv()
                await ana.recv()
            assert seen.text == (
                "client 1 ──▶ server   'hello'\n"
                "client 1 ◀── server   'You wrote: hello'\n"
                "client 1 ◀── server   'Client #2 says: hello'\n"
                "client 2 ◀── server   'Client #2 says: hello'"
            )

    run(chat, body)


def test_nothing_is_recorded_after_its_end():
    async def body(server: Server) -> None:
        seen = trace(server)
        async with websockets.connect(server.ws_url("/ws")):
            seen.stop()
            seen.stop()
        await server.settled()
        assert [event.kind for event in seen.events] == ["request", "accept"]
        assert not server.observers

    run(echo, body)


def test_pings_are_shown_on_request():
    async def body(server: Server) -> None:
        with trace(server) as without, trace(server, pings=True) as with_pings:
            async with websockets.connect(server.ws_url("/ws")) as client:
                await (await client.ping(b"four"))
        assert "ping" not in without.text
        assert "client 1 ──▶ server   ping (4 bytes)" in with_pings.text
        assert "client 1 ◀── server   pong (4 bytes)" in with_pings.text

    run(echo, body)


def test_a_refusal_is_shown_with_the_number_that_never_left():
    async def body(server: Server) -> None:
        with trace(server) as seen, contextlib.suppress(websockets.InvalidStatus):
            await websockets.connect(server.ws_url("/items/foo/ws"))
        assert seen.text == (
            "client 1 ──▶ server   GET /items/foo/ws (upgrade)\n"
            "client 1 ◀── server   403 Forbidden\n"
            "                      (the app's 1008 never left the server)"
        )
        assert "Note over server,client1: the app" in seen.mermaid

    run(items, body)


def test_a_lost_connection_ends_in_a_cross():
    seen = made_of([Event(1, "lost", True, "/ws"), Event(2, "lost", False, "/ws")])
    assert seen.text == (
        "client 1 ──x server   connection lost\n"
        "client 2 x── server   connection dropped without a close"
    )
    assert "client1-xserver: connection lost" in seen.mermaid
    assert "server-xclient2: connection dropped" in seen.mermaid


@pytest.mark.parametrize(
    ("event", "shown"),
    [
        (Event(1, "close", True, "/", code=1000), "close 1000 (normal closure)"),
        (Event(1, "close", True, "/", code=4401, reason="bye"), "own) 'bye'"),
        (Event(1, "close", True, "/"), "close (no code)"),
        (Event(1, "binary", True, "/", b"\x00\xff"), "2 bytes: 00 ff"),
        (Event(1, "binary", True, "/", b""), "0 bytes"),
        (Event(1, "binary", True, "/", bytes(1000)), "1,000 bytes: 00 00 00"),
        (Event(1, "bad", True, "/", "incorrect masking"), "broken frame: incorrect masking"),
        (Event(1, "refuse", False, "/", "401 Unauthorized", 401, "no"), "401 Unauthorized 'no'"),
        (Event(1, "text", True, "/", "x" * 121), f"'{'x' * 120}'… (121 characters)"),
    ],
)
def test_each_kind_has_its_words(event, shown):
    assert shown in made_of([event]).text


def test_a_long_path_is_cut():
    line = made_of([Event(1, "request", True, "/ws?token=" + "x" * 90)]).text
    assert re.search(r"GET /ws\?token=x+… \(upgrade\)", line)
    assert len(re.search(r"GET (.*) \(", line)[1]) == 60


def test_a_title_stands_above():
    seen = made_of(saying("hello"), title="The door")
    assert seen.text == "The door\n\nclient 1 ──▶ server   'hello'"
    assert "accTitle: The door\n" in seen.mermaid
    assert "    title: The door\n" in seen.mermaid


def test_an_empty_trace_says_so():
    assert made_of([]).text == "(nothing has crossed yet)"
    assert made_of([], NAMES).text == "(nothing has crossed yet on /ws/1 or /ws/2)"
    assert "Note over server: nothing has<br/>crossed yet\n" in made_of([]).mermaid


def test_jupyter_gets_the_diagram_and_the_text():
    seen = made_of(saying("hello"))
    assert seen._repr_mimebundle_() == {
        "text/plain": repr(seen),
        "text/vnd.mermaid": seen.mermaid,
    }


def is_sound(mermaid: str) -> bool:
    """Whether each line has its shape, and nothing in it could be taken for anything else."""
    first, *lines = mermaid.splitlines()
    if first != directive():
        return False
    for line in lines:
        content = line.strip()
        if content.startswith(("participant ", "Note over ")) or ARROW.fullmatch(content):
            content = content.replace("<br/>", " ")  # ours; one of a client's would be escaped
        if not (content.startswith(HEADS) or ARROW.fullmatch(content)):
            return False
        without_entities = re.sub(r"#\d+;", "", content)
        if re.search(r"[#;<&%{}$ﬂ°¶ß]|style|classDef", without_entities):
            return False
        if not content.isprintable():
            return False
    return len(mermaid) < 50_000


@pytest.mark.parametrize("payload", NASTY, ids=range(len(NASTY)))
def test_no_payload_breaks_the_drawing(payload):
    close = Event(1, "close", True, "/ws", code=1000, reason=payload)
    path = Event(1, "request", True, "/" + payload)
    seen = made_of([path, *saying(payload, payload.encode()), close], title=payload)
    assert is_sound(seen.mermaid)
    assert all(line.isprintable() for line in seen.text.splitlines())
    assert max(map(len, made_of(saying(payload)).text.splitlines())) < 180


@settings(deadline=None, max_examples=100)
@given(st.text(max_size=60), st.text(min_size=1, max_size=20))
def test_no_text_or_name_breaks_the_drawing(payload, name):
    seen = made_of(saying(payload), {"/ws": name})
    assert is_sound(seen.mermaid)
    assert len(seen.text.splitlines()) == 1


def test_a_nasty_payload_crosses_the_wire_and_is_drawn():
    async def body(server: Server) -> None:
        with trace(server, {"/ws": "end; <b>"}) as seen:
            async with websockets.connect(server.ws_url("/ws")) as client:
                for payload in NASTY[:-1]:
                    await client.send(payload)
                    await client.recv()
        assert is_sound(seen.mermaid)
        assert '\'%%{init: {"theme": "dark"}}%%\'' in seen.text

    run(echo, body)


def test_wide_names_keep_the_arrows_in_line():
    events = [Event(1, "lost", True, "/1"), Event(2, "lost", True, "/2")]
    lines = made_of(events, {"/1": "日本", "/2": "Anna"}).text.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["日本", "Anna"]
    assert [len(line[: line.index("──")]) for line in lines] == [3, 5]  # 5 columns both


def test_of_very_many_events_the_first_are_drawn():
    seen = made_of(saying(*["😀" * 50] * 5000))
    assert len(seen.events) == 5000
    assert seen.text.splitlines()[-1] == "(and 4,800 more)"
    assert "Note over server: and 4,950 more" in seen.mermaid
    assert is_sound(seen.mermaid)


def test_frames_of_the_rooms_are_shown_in_words_and_without_tags():
    async def body(server: Server) -> None:
        token = Tokens(SECRET).sign("ana", 3600)
        headers = {"Authorization": f"Bearer {token}"}
        path = "/rooms/lobby"
        with trace(server, {path: "Ana"}) as drawing:
            url = server.ws_url(f"{path}?after=0.00000000")
            async with websockets.connect(url, additional_headers=headers) as ana:
                await ana.send('{"type": "say", "key": "k1", "text": "hello"}')
                kinds = {json.loads(await ana.recv())["type"] for _ in range(4)}
                assert kinds == {"welcome", "people", "message", "ack"}
                await ana.send('{"type": "shout"}')
                await ana.recv()
            async with websockets.connect(server.ws_url(path)) as stranger:
                await stranger.wait_closed()
            await server.settled()
        assert sorted(drawing.text.splitlines()) == sorted(
            """\
Ana     ──▶ server   GET /rooms/lobby?after=0.… (upgrade)
Ana     ◀── server   101 Switching Protocols
Ana     ◀── server   welcome to lobby: complete, after 0, head 0, nobody else here
Ana     ◀── server   people: ana joined
Ana     ──▶ server   say k1: 'hello'
Ana     ◀── server   message 1 from ana: 'hello'
Ana     ◀── server   ack k1: it is message 1
Ana     ──▶ server   '{"type": "shout"}'
Ana     ◀── server   error bad_message: 'expected the type say or typing'
Ana     ──▶ server   close 1000 (normal closure)
Ana     ◀── server   close 1000 (normal closure)
Ana (2) ──▶ server   GET /rooms/lobby (upgrade)
Ana (2) ◀── server   101 Switching Protocols
Ana (2) ◀── server   close 4401 (no good token) 'expected a token, and there is none: sign in first'
Ana (2) ──▶ server   close 4401 (no good token) 'expected a token, and there is none: sign in first'
""".splitlines()
        )

    run(create_app(secret=SECRET), body)


@pytest.mark.parametrize("payload", [*NASTY, "{}", "[]", '{"type": []}', "[" * 100_000])
def test_what_is_not_of_the_protocol_is_shown_as_any_text(payload: str):
    assert in_protocol(payload, True) is None
    assert in_protocol(payload, False) is None


@pytest.mark.parametrize("key", ["\n", "\u202e", {}, [], None, "x" * 1000, 10**100])
def test_a_frame_with_a_bad_field_breaks_no_line(key: object):
    told = in_protocol(json.dumps({"type": "say", "key": key, "text": "hello"}), True)
    assert told is None or told.isprintable()
