"""uvicorn with `BoundedReading`: what clients send costs little, and is seen while nobody asks."""

import asyncio
import socket
import struct
import sys
import zlib

import pytest
from live import BINARY, CLOSE, CONT, OFFER, PING, PONG, TEXT, frame

from chatlib.core.reading import FRAMES_A_TURN, OVERHEAD, READ_AHEAD, BoundedReading

SMALL = 16 * 1024
BOMB = 65_000
NORMAL = struct.pack("!H", 1000)


class Watched(BoundedReading):
    """A `BoundedReading` that notes the pongs, the most that was unread, and the pauses."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.pongs = []
        self.most_bytes = self.most_messages = self.pauses = 0

    def handle_pong(self, event):
        self.pongs.append(bytes(event.data))
        super().handle_pong(event)

    def send_receive_event_to_app(self):
        super().send_receive_event_to_app()
        messages = [item for item in self.queue._queue if item["type"] == "websocket.receive"]
        self.most_messages = max(self.most_messages, len(messages))
        self.most_bytes = max(self.most_bytes, sum(map(payload_size, messages)))

    def parse(self):
        before = self.read_paused
        super().parse()
        self.pauses += self.read_paused and not before


def payload_size(message):
    return len(message.get("text") or message.get("bytes") or b"")


class Handler:
    """An app that accepts, and receives nothing before `go_on`; then it keeps all it gets.

    Once it has got "last" it says "done". With `close` it closes instead of receiving.
    """

    def __init__(self, close=False):
        self.close = close
        self.got = []
        self.go_on = asyncio.Event()

    async def __call__(self, scope, receive, send):
        if scope["type"] == "lifespan":
            return
        await receive()
        await send({"type": "websocket.accept"})
        await self.go_on.wait()
        if self.close:
            await send({"type": "websocket.close", "code": 4000})
            return
        while (message := await receive())["type"] == "websocket.receive":
            self.got.append(message)
            if message.get("text") == "last":
                await send({"type": "websocket.send", "text": "done"})
        self.got.append(message)

    @property
    def payloads(self):
        return [m.get("text", m.get("bytes")) for m in self.got if m["type"] == "websocket.receive"]

    @property
    def ended(self):
        return bool(self.got) and self.got[-1]["type"] == "websocket.disconnect"


@pytest.fixture(params=["asyncio", "uvloop"])
def busy(request, serve, raw):
    """Serve a `Handler` on each loop: return it, the server, a client, and its protocol."""

    def start(close=False, headers="", receive_buffer=None, **options):
        handler = Handler(close)
        server = serve(handler, ws=Watched, loop=request.param, **options)
        client = raw(server, headers=headers, receive_buffer=receive_buffer)
        (protocol,) = server.uvicorn.server_state.connections
        return handler, server, client, protocol

    return start


def go_on(handler, server):
    server.loop.call_soon_threadsafe(handler.go_on.set)


def hear_done(client):
    """Wait until the handler has got "last"; a client that offers compression hears it so."""
    assert client.frame() in {(0x80 | TEXT, b"done"), (0xC0 | TEXT, deflate(b"done"))}


def errors(server):
    return [line for line in server.log if line.level not in {"INFO", "DEBUG"}]


def deflate(data):
    """Return `data` compressed as RFC 7692 asks."""
    compressor = zlib.compressobj(9, wbits=-12)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


# How much waits.


def test_a_read_full_of_compressed_messages_is_inflated_as_the_handler_receives(busy):
    handler, server, client, protocol = busy(headers=OFFER)
    bomb = frame(deflate(b"0" * BOMB), BINARY, rsv=0x40)
    count = 200_000 // len(bomb)
    client.socket.sendall(bomb * count + frame("last"))
    server.until(lambda: protocol.read_paused)
    go_on(handler, server)
    hear_done(client)
    assert handler.payloads == [b"0" * BOMB] * count + ["last"]
    assert protocol.most_bytes < READ_AHEAD + BOMB


def test_messages_of_nothing_count_for_what_they_cost(busy):
    handler, server, client, protocol = busy()
    client.socket.sendall(frame("") * 40_000 + frame("last"))
    server.until(lambda: protocol.read_paused)
    go_on(handler, server)
    hear_done(client)
    assert handler.payloads == [""] * 40_000 + ["last"]
    assert protocol.most_messages == READ_AHEAD // OVERHEAD


@pytest.mark.parametrize(("kind", "payload"), [("text", "x" * 100), ("bytes", bytes(100))])
def test_a_queued_message_costs_what_it_is_counted_for(kind, payload):
    message = {"type": "websocket.receive", kind: payload}
    assert sys.getsizeof(message) + sys.getsizeof(payload) <= OVERHEAD + len(payload)


def test_ten_thousand_messages_keep_their_order_over_many_pauses(busy):
    handler, server, client, protocol = busy()
    texts = [f"{number} {'x' * (number % 200)}" for number in range(10_000)]
    client.socket.sendall(b"".join(map(frame, texts)))
    server.until(lambda: protocol.read_paused)
    go_on(handler, server)
    client.send("last")
    hear_done(client)
    assert handler.payloads == [*texts, "last"]
    assert protocol.pauses > 1
    assert (protocol.unread, protocol.read_paused) == (0, False)


def test_reading_goes_on_once_the_handler_has_received_half(busy):
    _, server, client, protocol = busy()
    client.socket.sendall(frame("x" * 1000) * 200)
    server.until(lambda: protocol.read_paused)
    unread = protocol.queue.qsize()

    async def receive_half():
        for _ in range(unread - unread // 2):
            await protocol.receive()

    server.run(receive_half())
    server.until(lambda: protocol.queue.qsize() == unread)


def test_a_message_larger_than_what_may_wait_comes_through(busy):
    handler, server, client, _ = busy()
    go_on(handler, server)
    for _ in range(3):
        client.send(b"x" * 1_000_000, BINARY)
    client.send("last")
    hear_done(client)
    assert handler.payloads == [b"x" * 1_000_000] * 3 + ["last"]


# What is seen while the handler does not receive.


def test_a_pong_is_seen_behind_an_unread_message(busy):
    _, server, client, protocol = busy()
    client.send("unread")
    server.until(lambda: protocol.queue.qsize())
    client.send("here", PONG)
    server.until(lambda: protocol.pongs)
    assert (protocol.pongs, protocol.queue.qsize()) == ([b"here"], 1)


def test_a_close_is_answered_behind_an_unread_message(busy):
    handler, server, client, protocol = busy()
    client.send("unread")
    server.until(lambda: protocol.queue.qsize())
    client.send(NORMAL, CLOSE)
    assert client.closed() == 1000
    go_on(handler, server)
    server.until(lambda: handler.ended)
    assert handler.payloads == ["unread"]


def test_the_end_of_a_client_is_seen_behind_an_unread_message(busy):
    handler, server, client, protocol = busy()
    client.send("unread")
    server.until(lambda: protocol.queue.qsize())
    client.socket.shutdown(socket.SHUT_WR)
    server.until(lambda: not server.uvicorn.server_state.connections)
    go_on(handler, server)
    server.until(lambda: handler.ended)
    assert handler.payloads == ["unread"]


# Fragments.


@pytest.mark.parametrize("piece", [b"", b"x"])
def test_two_hundred_thousand_fragments_cost_a_few_times_their_payload(busy, piece):
    handler, server, client, protocol = busy()
    client.send("", TEXT, fin=False)
    client.socket.sendall(frame(piece, CONT, fin=False) * 200_000)
    client.send("all of them?", PING)
    assert client.frame() == (0x80 | PONG, b"all of them?")
    (collected,) = protocol.frames
    assert sys.getsizeof(collected) <= 100 + 2 * 200_000 * len(piece)
    client.send("!", CONT)
    client.send("last")
    go_on(handler, server)
    hear_done(client)
    assert handler.payloads == [piece.decode() * 200_000 + "!", "last"]


def test_fragments_of_bytes_are_handed_over_as_bytes(busy):
    handler, server, client, _ = busy()
    go_on(handler, server)
    client.send(b"a", BINARY, fin=False)
    client.send(b"b", CONT)
    client.send("last")
    hear_done(client)
    assert handler.got[0] == {"type": "websocket.receive", "bytes": b"ab"}
    assert type(handler.got[0]["bytes"]) is bytes


def test_fragments_a_byte_at_a_time_with_pings_between_are_one_message(busy):
    handler, server, client, _ = busy()
    euro = "€".encode()
    whole = frame(euro[:1], TEXT, fin=False) + frame("1", PING) + frame("", CONT, fin=False)
    whole += frame(euro[1:2], CONT, fin=False) + frame("2", PING) + frame(euro[2:], CONT)
    client.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in whole + frame("last"):
        client.socket.sendall(bytes([byte]))
    assert [client.frame() for _ in range(2)] == [(0x80 | PONG, b"1"), (0x80 | PONG, b"2")]
    go_on(handler, server)
    hear_done(client)
    assert handler.payloads == ["€", "last"]


def test_fragments_between_which_the_parser_is_held_are_one_message(busy):
    handler, server, client, protocol = busy()
    pieces = frame("a", TEXT, fin=False) + frame("b", CONT, fin=False) + frame("c", CONT)
    client.socket.sendall(pieces * 5000)
    server.until(lambda: protocol.read_paused)
    go_on(handler, server)
    client.send("last")
    hear_done(client)
    assert handler.payloads == ["abc"] * 5000 + ["last"]


@pytest.mark.parametrize("headers", ["", OFFER])
@pytest.mark.parametrize(("size", "closed"), [(1000, False), (1001, True)])
def test_a_message_in_fragments_may_be_as_large_as_any_other(busy, headers, size, closed):
    handler, server, client, _ = busy(headers=headers, ws_max_size=1000)
    go_on(handler, server)
    for number in range(size):
        client.send("x", CONT if number else TEXT, fin=False)
    client.send("", CONT)
    if closed:
        assert client.closed() == 1009
        server.until(lambda: handler.ended)
        assert handler.got[-1]["code"] == 1009
    else:
        client.send("last")
        hear_done(client)
        assert handler.payloads == ["x" * 1000, "last"]


# Pings.


def test_for_pongs_that_nobody_reads_one_is_kept_and_it_is_the_latest(busy):
    handler, server, client, protocol = busy(send_buffer=SMALL, receive_buffer=SMALL)
    go_on(handler, server)
    pings = [struct.pack("!I", number) + bytes(121) for number in range(40_000)]
    client.socket.sendall(b"".join(frame(ping, PING) for ping in pings))
    client.send("all of them")
    server.until(lambda: handler.got)
    assert protocol.transport.get_write_buffer_size() < 2 * 65_536
    answers = []
    while not answers or answers[-1] != pings[-1]:
        first, payload = client.frame()
        assert first == 0x80 | PONG
        answers.append(payload)
    assert answers == sorted(set(answers))
    client.send("and now?", PING)
    assert client.frame() == (0x80 | PONG, b"and now?")
    assert protocol.late_pong == b""


def test_a_close_behind_pings_whose_pongs_nobody_reads_is_answered(busy):
    handler, server, client, protocol = busy(send_buffer=SMALL, receive_buffer=SMALL)
    go_on(handler, server)
    client.socket.sendall(frame(bytes(125), PING) * 40_000)
    server.until(lambda: protocol.late_pong)
    client.socket.sendall(frame("", PING) + frame(NORMAL, CLOSE))
    assert client.closed() == 1000
    assert client.frame() is None


# The end.


def test_a_close_by_the_app_is_over_once_the_answer_behind_unparsed_messages_is_seen(busy):
    handler, server, client, protocol = busy(close=True)
    client.socket.sendall(frame("") * 2000 + frame(struct.pack("!H", 4000), CLOSE))
    server.until(lambda: protocol.read_paused)
    assert protocol.conn.close_rcvd is None
    go_on(handler, server)
    assert client.closed() == 4000
    assert client.frame() is None
    server.until(lambda: not server.uvicorn.server_state.connections)
    assert protocol.conn.close_rcvd.code == 4000  # and so it was not uvicorn's timer
    assert protocol.most_messages == READ_AHEAD // OVERHEAD  # what came after is for nobody
    assert errors(server) == []


def test_what_is_unparsed_when_the_connection_is_lost_stays_so(busy):
    handler, server, client, protocol = busy()
    client.socket.sendall(frame("") * 300 + frame("", masked=False))
    server.until(lambda: protocol.read_paused)
    unread = protocol.queue.qsize()
    server.loop.call_soon_threadsafe(protocol.transport.abort)
    server.until(lambda: not server.uvicorn.server_state.connections)
    go_on(handler, server)
    server.until(lambda: handler.ended)
    assert handler.payloads == [""] * unread
    assert handler.got[-1]["code"] == 1005
    assert protocol.queue.empty()
    assert protocol.conn.parser_exc is None


def test_a_broken_frame_behind_unread_messages_closes_after_them(busy):
    handler, server, client, protocol = busy()
    client.socket.sendall(frame("") * 2000)
    server.until(lambda: protocol.read_paused)
    client.send("", masked=False)
    go_on(handler, server)
    assert client.closed() == 1002
    server.until(lambda: handler.ended)
    assert len(handler.payloads) >= protocol.most_messages
    assert handler.got[-1]["code"] == 1002
    assert errors(server) == []


@pytest.mark.parametrize("fragments", [1, 2])
def test_text_that_is_not_utf_8_is_1007_and_the_last_that_is_handled(busy, fragments):
    handler, server, client, _ = busy()
    bad = frame(b"\xff") if fragments == 1 else frame("€".encode()[:2], fin=False) + frame("", CONT)
    client.socket.sendall(frame("good") + bad + frame("late") + frame("late", PING))
    assert client.closed() == 1007
    go_on(handler, server)
    server.until(lambda: handler.ended)
    assert handler.payloads == ["good"]
    assert handler.got[-1] == {
        "type": "websocket.disconnect",
        "code": 1007,
        "reason": "text that is not UTF-8",
    }
    assert errors(server) == []


class Turns(BoundedReading):
    """A `BoundedReading` that notes the most frames of one kind that it parsed in one turn."""

    most = in_turn = handled = 0

    def note(self):
        if not self.in_turn:
            self.loop.call_soon(self.end_turn)
        self.in_turn += 1
        Turns.handled += 1
        Turns.most = max(Turns.most, self.in_turn)

    def end_turn(self):
        self.in_turn = 0

    def handle_ping(self):
        self.note()
        super().handle_ping()

    def handle_cont(self, event):
        self.note()
        super().handle_cont(event)


def test_two_that_wait_to_receive_each_get_a_message_though_one_before_them_gave_up(serve, raw):
    waiting, got = [], []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "websocket.accept"})
        waiting.extend(asyncio.create_task(receive()) for _ in range(3))
        await asyncio.sleep(0)
        waiting[0].cancel()
        got.extend([(await one)["text"] for one in waiting[1:]])

    server = serve(app, ws=BoundedReading)
    client = raw(server)
    server.until(lambda: waiting and waiting[0].cancelled())
    client.socket.sendall(frame("first") + frame("second"))
    server.until(lambda: got)
    assert got == ["first", "second"]


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
@pytest.mark.parametrize("what", ["pings", "empty fragments"])
def test_a_flood_of_frames_that_ask_nothing_of_the_handler_leaves_others_their_turns(
    serve, raw, loop, what
):
    Turns.most = Turns.handled = 0
    server = serve(Handler(), ws=Turns, loop=loop)
    client, count = raw(server), 20 * FRAMES_A_TURN
    one = frame("", PING) if what == "pings" else frame(b"", CONT, fin=False)
    client.socket.sendall(frame(b"", BINARY, fin=False) + one * count)
    server.until(lambda: Turns.handled == count)
    assert Turns.most <= FRAMES_A_TURN + 1
