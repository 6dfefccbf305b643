"""The rules of the chapters' exercises."""

import asyncio
import json
from typing import Annotated, Any

import httpx2
from fastapi import Depends, FastAPI, WebSocket, WebSocketDisconnect
from starlette.types import Message

from chatlib.core.line import EXTENSION, Line
from chatlib.core.manager import ConnectionManager
from chatlib.core.room import Room
from chatlib.lab.check.bench import Bench, Wrong, expect, shorten
from chatlib.lab.check.report import Rules
from chatlib.lab.serve import Server

PING, SAY = Rules(), Rules()
SHOUT, UNMASK, TOTAL = Rules(), Rules(), Rules()
GUESTS, BEARER = Rules(), Rules()
JOINED, WHISPER = Rules(), Rules()
CURSOR_LOG, PATIENCE = Rules(), Rules()
ENCODE, ONCE_A_TURN = Rules(), Rules()


# --- 00 start here --------------------------------------------------------------------------------


@PING.rule("GET /ping answers 200", hint="@pings.get('/ping') above a function", essential=True)
async def ping_is_there(bench: Bench) -> None:
    expect((await get(bench, "/ping")).status_code, 200)


@PING.rule('the answer is {"pong": true}', hint="return a dict; FastAPI makes JSON of it")
async def ping_answers(bench: Bench) -> None:
    expect((await get(bench, "/ping")).json(), {"pong": True})


async def get(bench: Bench, path: str) -> httpx2.Response:
    """Return the answer to a GET of `path`."""
    async with httpx2.AsyncClient(trust_env=False) as client:
        return await client.get(bench.server.http_url(path))


@SAY.rule(
    "say(url, 'hello') returns the two messages that come back",
    hint="async with websockets.connect(url) as client: send once, recv twice, return a list",
    essential=True,
)
async def say_returns_both(say: Any) -> None:
    with Server(a_chat()) as server:
        got = await say(server.ws_url("/ws/7"), "hello")
    expect(got, ["You wrote: hello", "Client #7 says: hello"])


@SAY.rule("it hangs up when it has them", hint="`async with` closes the connection at its end")
async def say_hangs_up(say: Any) -> None:
    with Server(a_chat()) as server:
        await say(server.ws_url("/ws/8"), "bye")
        # It returns only when the handler of every connection has ended.
        await server.settled()


def a_chat() -> FastAPI:
    """Return a chat of its own: the finished one may have the reader's page in it."""
    app, manager = FastAPI(), ConnectionManager()

    @app.websocket("/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: int) -> None:
        await manager.connect(websocket)
        async for text in websocket.iter_text():
            await manager.send_personal_message(f"You wrote: {text}", websocket)
            await manager.broadcast(f"Client #{client_id} says: {text}")
        manager.disconnect(websocket)

    return app


# --- 01 echo --------------------------------------------------------------------------------------


@SHOUT.rule("a client is let in at /shout", hint="accept() comes first", essential=True)
async def shout_lets_in(bench: Bench) -> None:
    async with bench.client("/shout"):
        pass


@SHOUT.rule("each text comes back in capitals", hint="text.upper(), in a loop", essential=True)
async def shout_answers(bench: Bench) -> None:
    async with bench.client("/shout") as client:
        for text in ("hello", "Straße", "again"):
            await client.send(text)
            await client.hears(text.upper())


@SHOUT.rule("a client that leaves leaves no traceback", hint="catch WebSocketDisconnect")
async def shout_ends_quietly(bench: Bench) -> None:
    async with bench.client("/shout"):
        pass
    await bench.no_traceback()


@UNMASK.rule(
    "it gives back the Hello of RFC 6455",
    hint="byte i of the payload is XORed with byte i % 4 of the key",
    essential=True,
)
async def unmask_hello(unmask: Any) -> None:
    got = unmask(bytes.fromhex("7f9f4d5158"), bytes.fromhex("37fa213d"))
    expect(got, b"Hello")


@UNMASK.rule("it works for any length, 0 too", hint="enumerate(payload), and bytes(…) around all")
async def unmask_any_length(unmask: Any) -> None:
    key = b"\x01\x02\x03\x04"
    for text in (b"", b"a", b"four", b"and some more"):
        masked = bytes(byte ^ key[i % 4] for i, byte in enumerate(text))
        expect(unmask(masked, key), text)


@TOTAL.rule(
    '[1, 2, 3] is answered with {"total": 6}',
    hint="json.loads(text), then send_json({'total': …})",
    essential=True,
)
async def total_answers(bench: Bench) -> None:
    async with bench.client("/total") as client:
        for numbers in ([1, 2, 3], [], [0.5, 1]):
            await client.send(json.dumps(numbers))
            expect(await answer(client), {"total": sum(numbers)})


@TOTAL.rule(
    'anything else is answered with {"error": …}, and the connection stays',
    hint="not all JSON is a list; json.loads raises ValueError, and sum TypeError",
)
async def total_says_what_is_wrong(bench: Bench) -> None:
    async with bench.client("/total") as client:
        for text in ("six", "6", "{}", '["one"]'):
            await client.send(text)
            got = await answer(client)
            if not isinstance(got, dict) or not isinstance(got.get("error"), str):
                raise Wrong(f'{{"error": a text}} for {text}', got)
        await client.send("[4, 5]")
        expect(await answer(client), {"total": 9})


async def answer(client: Any) -> Any:
    """Return the next message, read as JSON."""
    got = await client.next_message()
    try:
        return json.loads(got)
    except (TypeError, ValueError):
        raise Wrong("JSON", shorten(got) if isinstance(got, str) else got) from None


# --- 02 items -------------------------------------------------------------------------------------


@GUESTS.rule(
    "a guest is let in and then closed with 4401",
    hint="a close code needs an open WebSocket to travel in",
    essential=True,
)
async def guests_are_closed(function: Any) -> None:
    with Server(app_that_greets(function)) as server:
        bench = Bench(server)
        async with bench.client("/ws?token=guest-1") as client:
            await client.is_closed_with(4401)


@GUESTS.rule("the reason is 'sign in first'", hint="websocket.close(code, reason)")
async def guests_are_told_why(function: Any) -> None:
    with Server(app_that_greets(function)) as server:
        async with Bench(server).client("/ws?token=guest-2") as client:
            await client.is_closed_with(4401, "sign in first")


@GUESTS.rule("anybody else stays connected", hint="close only a token that starts with 'guest-'")
async def members_stay(function: Any) -> None:
    with Server(app_that_greets(function)) as server:
        for query in ("?token=member-1", "?token=my-guest-1", ""):
            async with Bench(server).client(f"/ws{query}") as client:
                await client.stays_connected()


def app_that_greets(function: Any) -> FastAPI:
    """Return an app whose `/ws` has `function` greet a client, and then listens to it."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket, _: Annotated[Any, Depends(function)]) -> None:
        while websocket.client_state.name == websocket.application_state.name == "CONNECTED":
            await websocket.receive()

    return app


@BEARER.rule(
    "Authorization: Bearer t opens the door, and the credential is t",
    hint="a parameter authorization: Annotated[str | None, Header()], then partition(' ')",
    essential=True,
)
async def bearer_opens(dependency: Any) -> None:
    with Server(app_that_depends(dependency)) as server:
        async with Bench(server).client("/ws", authorization="Bearer t1") as client:
            await client.hears("t1")


@BEARER.rule(
    "no header at all: refused with 403",
    hint="it is None then: look before you take it apart, and raise WebSocketException(1008)",
)
async def bearer_refuses_nothing(dependency: Any) -> None:
    with Server(app_that_depends(dependency)) as server:
        await Bench(server).is_refused("/ws")


@BEARER.rule(
    "Authorization: Basic dDE6, another scheme: refused with 403", hint="compare the first word"
)
async def bearer_refuses_basic(dependency: Any) -> None:
    with Server(app_that_depends(dependency)) as server:
        await Bench(server).is_refused("/ws", authorization="Basic dDE6")


@BEARER.rule(
    "Authorization: Bearer, with nothing behind it: refused with 403",
    hint="an empty credential counts as none",
)
async def bearer_refuses_empty(dependency: Any) -> None:
    with Server(app_that_depends(dependency)) as server:
        await Bench(server).is_refused("/ws", authorization="Bearer ")


def app_that_depends(dependency: Any) -> FastAPI:
    """Return an app whose `/ws` sends what `dependency` returned."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(
        websocket: WebSocket, credential: Annotated[Any, Depends(dependency)]
    ) -> None:
        await websocket.accept()
        await websocket.send_text(str(credential))

    return app


# --- 03 chat --------------------------------------------------------------------------------------


@JOINED.rule(
    "those who are there hear 'Client #… joined the chat'",
    hint="broadcast before connect, or the newcomer hears it too",
    essential=True,
)
async def joined_is_told(bench: Bench) -> None:
    async with bench.client("/ws/201") as first, bench.client("/ws/202"):
        while (got := await first.next_message()) != "Client #202 joined the chat":
            if got != "Client #201 joined the chat":  # of itself: the next rule's concern
                raise Wrong("'Client #202 joined the chat'", shorten(got))


@JOINED.rule("the newcomer does not hear of itself", hint="broadcast before connect")
async def newcomer_hears_nothing(bench: Bench) -> None:
    async with bench.client("/ws/203"), bench.client("/ws/204") as newcomer:
        await newcomer.send("hello")
        while (got := await newcomer.next_message()) != "Client #204 says: hello":
            if got != "You wrote: hello":  # which a chat may send first
                raise Wrong("'Client #204 says: hello'", shorten(got))


@WHISPER.rule(
    "whisper('psst', 302) reaches client 302",
    hint="websocket.path_params['client_id'] is the id with which a member came, as text: '302'",
    essential=True,
)
async def whisper_arrives(manager: Any) -> None:
    with Server(app_that_whispers(manager)) as server:
        bench = Bench(server)
        async with bench.client("/ws/301") as one, bench.client("/ws/302") as other:
            await one.send("302 psst")
            await other.hears("psst")


@WHISPER.rule("nobody else hears it", hint="send only where the id is the one asked for")
async def whisper_stays_private(manager: Any) -> None:
    with Server(app_that_whispers(manager)) as server:
        bench = Bench(server)
        async with bench.client("/ws/303") as one, bench.client("/ws/304") as other:
            await one.send("304 psst")
            await other.hears("psst")
            await other.send("303 got it")
            await one.hears("got it")


@WHISPER.rule("both of two clients with one id hear it", hint="go through all members")
async def whisper_reaches_both(manager: Any) -> None:
    with Server(app_that_whispers(manager)) as server:
        bench = Bench(server)
        async with bench.client("/ws/305") as one, bench.client("/ws/305") as other:
            await one.send("305 psst")
            await one.hears("psst")
            await other.hears("psst")


@WHISPER.rule(
    "a dead member stops nobody",
    hint="go through a copy, catch what broadcast catches, and drop the dead one",
)
async def whisper_survives_the_dead(manager: Any) -> None:
    app = app_that_whispers(manager)
    with Server(app) as server:
        bench = Bench(server)
        async with bench.client("/ws/307") as dead:
            await dead.send("308 this one is forgotten by its handler")
            await dead.is_closed_with(4000)
        async with bench.client("/ws/307") as one, bench.client("/ws/309") as other:
            await other.send("307 still there?")
            await one.hears("still there?")
            await other.send("309 me too")
            await other.hears("me too")


def app_that_whispers(manager_class: type[ConnectionManager]) -> FastAPI:
    """Return a chat in which the text `302 psst` whispers `psst` to client 302."""
    app, manager = FastAPI(), manager_class()

    @app.websocket("/ws/{client_id}")
    async def endpoint(websocket: WebSocket, client_id: int) -> None:
        await manager.connect(websocket)
        try:
            while True:
                to, _, text = (await websocket.receive_text()).partition(" ")
                if to == "308":
                    await websocket.close(4000)
                    manager.active_connections.append(websocket)  # and so it stays there
                await manager.whisper(text, int(to))  # type: ignore[attr-defined]
        except WebSocketDisconnect:
            pass
        finally:
            manager.disconnect(websocket)

    return app


# --- 04 when it breaks ----------------------------------------------------------------------------


@CURSOR_LOG.rule(
    "while nothing is dropped, read gives what is there, the next cursor and False",
    hint="(the messages from the cursor on, the place after the last one, False)",
    essential=True,
)
async def cursor_log_reads(log_class: Any) -> None:
    log = filled(log_class, "abc")
    expect(log.read(0), (["a", "b", "c"], 3, False))
    expect(log.read(2), (["c"], 3, False))
    expect(log.read(3), ([], 3, False))


@CURSOR_LOG.rule(
    "after the oldest were dropped, places still count from 0",
    hint="the message at a place is self.messages[place - self.first]",
)
async def cursor_log_keeps_places(log_class: Any) -> None:
    log = filled(log_class, "abcde")
    expect(log.read(3), (["d", "e"], 5, False))
    expect(log.read(2), (["c", "d", "e"], 5, False))


@CURSOR_LOG.rule(
    "a cursor that has fallen off gets what is left, and True",
    hint="it has fallen off where it is smaller than self.first; begin there instead",
)
async def cursor_log_tells_of_a_loss(log_class: Any) -> None:
    log = filled(log_class, "abcde")
    expect(log.read(1), (["c", "d", "e"], 5, True))
    expect(log.read(0), (["c", "d", "e"], 5, True))


def filled(log_class: Any, messages: str) -> Any:
    """Return a log of the 3 last of `messages`."""
    log = log_class(3)
    for message in messages:
        log.append(message)
    return log


@PATIENCE.rule(
    "who takes nothing is gone within a second",
    hint="the room looks every eighth of its patience: patience × 9/8 is a second at most",
    essential=True,
)
async def patience_ends(room: Any) -> None:
    await is_cut_off_within(1.0, room, gulp=0)


@PATIENCE.rule(
    "who takes 250 bytes every half second stays",
    hint="patience is longer than half a second, and patience × min_rate at most one gulp",
)
async def patience_lasts(room: Any) -> None:
    seconds = await asyncio.to_thread(seconds_until_cut_off, room, 250)
    if seconds is not None:
        raise Wrong("to be kept", f"cut off after {seconds:.1f} s")


@PATIENCE.rule(
    "who takes one byte every half second is gone within a second",
    hint="patience × min_rate is more than what comes to a byte or two",
)
async def patience_is_not_fooled(room: Any) -> None:
    await is_cut_off_within(1.0, room, gulp=1)


async def is_cut_off_within(limit: float, room: Any, gulp: int) -> None:
    """Expect `room` to cut off a client that takes `gulp` bytes every half second."""
    seconds = await asyncio.to_thread(seconds_until_cut_off, room, gulp)
    if seconds is None or seconds > limit:
        came = "still there after a minute" if seconds is None else f"after {seconds:.1f} s"
        raise Wrong(f"to be cut off within {limit:.0f} s", came)


def seconds_until_cut_off(room: Room, gulp: int) -> float | None:
    """Return after how long a room like `room` cuts off a client, or None if not in a minute.

    The client's connection is full, and every half second it takes `gulp` bytes of what waits. The
    seconds are counted and not waited for.
    """

    async def run() -> float | None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, CountedTime)
        line = FullLine(loop)
        like = Room(limit=room.limit, patience=room.patience, min_rate=room.min_rate)
        like.join(WebSocket(line.scope, no_receive, no_send))
        await like.publish("What it does not take.")
        for step in range(1, 1201):
            await asyncio.sleep(0)  # what is due now
            await asyncio.sleep(0)
            loop.now = step * 0.05
            line.taken = gulp * (step // 10)
            if line.ended:
                return (step - 1) * 0.05
        return None

    with asyncio.Runner(loop_factory=CountedTime) as runner:
        return runner.run(run())


class CountedTime(asyncio.SelectorEventLoop):
    """An event loop in which it is as late as `now` says."""

    now = 0.0

    def time(self) -> float:
        return self.now


class FullLine(Line):
    """A connection that is full at once and stays so."""

    __slots__ = ("scope", "taken")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop, asyncio.Event())
        self.writable.set()
        self.taken = 0
        self.scope = {"type": "websocket", "extensions": {EXTENSION: {"line": self}}}

    def write(self, frames: bytes) -> None:
        self.writable.clear()
        self.pause()

    def progress(self) -> int:
        return self.taken

    def abort(self) -> None:
        self.end()


async def no_receive() -> Message:
    raise AssertionError("nothing is received")


async def no_send(message: Message) -> None:
    raise AssertionError("nothing is sent but by the line")


# --- 05 fan out -----------------------------------------------------------------------------------


@ENCODE.rule(
    "'Hello' becomes 81 05 and its five bytes",
    hint="bytes((0x81, len(payload))) + payload",
    essential=True,
)
async def encode_hello(encode: Any) -> None:
    expect_frame(encode, "Hello", "81 05")


@ENCODE.rule("0 and 125 bytes: the second byte is the length", hint="125 is below 126, and so is 0")
async def encode_short(encode: Any) -> None:
    expect_frame(encode, "", "81 00")
    expect_frame(encode, "x" * 125, "81 7d")


@ENCODE.rule(
    "126 and 65,535 bytes: the second byte is 126, then the length in two bytes",
    hint="struct.pack('!BBH', 0x81, 126, size) makes those four bytes",
)
async def encode_medium(encode: Any) -> None:
    expect_frame(encode, "x" * 126, "81 7e 00 7e")
    expect_frame(encode, "x" * 65535, "81 7e ff ff")


@ENCODE.rule(
    "65,536 bytes: the second byte is 127, then the length in eight bytes",
    hint="struct.pack('!BBQ', 0x81, 127, size)",
)
async def encode_long(encode: Any) -> None:
    expect_frame(encode, "x" * 65536, "81 7f 00 00 00 00 00 01 00 00")


@ENCODE.rule(
    "the length counts bytes, and not characters",
    hint="text.encode() comes first, and len() is of that",
)
async def encode_counts_bytes(encode: Any) -> None:
    expect_frame(encode, "Straße", "81 07")
    expect_frame(encode, "ß" * 63, "81 7e 00 7e")


def expect_frame(encode: Any, text: str, header: str) -> None:
    """Raise `Wrong` unless `encode(text)` is the bytes of `header` and then those of `text`."""
    got, begins, payload = encode(text), bytes.fromhex(header), text.encode()
    if not isinstance(got, bytes):
        raise Wrong("bytes", shorten(got))
    if got != begins + payload:
        came = f"{got[: len(begins)].hex(' ')} … ({len(got)} bytes in all)"
        raise Wrong(f"{header} and {len(payload)} bytes of text", came)


@ONCE_A_TURN.rule(
    "what is published reaches each member",
    hint="for member in self.members: member.write(…)",
    essential=True,
)
async def batch_arrives(batcher_class: Any) -> None:
    members, batcher = batch(batcher_class)
    batcher.publish(b"one")
    await asyncio.sleep(0)  # a turn of the event loop
    expect([b"".join(member) for member in members], [b"one"] * 3)


@ONCE_A_TURN.rule(
    "nothing is written before publish has returned",
    hint="publish only notes the frame, and asyncio.get_running_loop().call_soon(self.flush)",
)
async def batch_waits(batcher_class: Any) -> None:
    members, batcher = batch(batcher_class)
    batcher.publish(b"one")
    expect(members, [[], [], []])


@ONCE_A_TURN.rule(
    "three frames of one turn are one write, in their order", hint="b''.join(self.frames)"
)
async def batch_joins(batcher_class: Any) -> None:
    members, batcher = batch(batcher_class)
    for frame in (b"one ", b"two ", b"three"):
        batcher.publish(frame)
    await asyncio.sleep(0)
    expect(members[0], [b"one two three"])


@ONCE_A_TURN.rule(
    "the event loop is asked for one flush a turn, not for three",
    hint="remember that one is scheduled, and ask only if none is",
)
async def batch_schedules_once(batcher_class: Any) -> None:
    _, batcher = batch(batcher_class)
    loop: Any = asyncio.get_running_loop()
    asked: list[object] = []
    call_soon = loop.call_soon

    def count(callback: object, *args: Any, **options: Any) -> Any:
        asked.append(callback)
        return call_soon(callback, *args, **options)

    loop.call_soon = count
    try:
        for frame in (b"one", b"two", b"three"):
            batcher.publish(frame)
    finally:
        del loop.call_soon
    if len(asked) != 1:
        raise Wrong("one call of call_soon", len(asked))


@ONCE_A_TURN.rule(
    "the next turn writes what is new, and nothing twice",
    hint="flush forgets what it has written, and that it was scheduled",
)
async def batch_begins_again(batcher_class: Any) -> None:
    members, batcher = batch(batcher_class)
    for frame in (b"one", b"two"):
        batcher.publish(frame)
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    expect(members[2], [b"one", b"two"])


class Writes(list[bytes]):
    """A member, which keeps each write."""

    def write(self, data: bytes) -> None:
        self.append(bytes(data))


def batch(batcher_class: Any) -> tuple[list[Writes], Any]:
    """Return three members, and a batcher that writes to them."""
    members = [Writes() for _ in range(3)]
    return members, batcher_class(members)
