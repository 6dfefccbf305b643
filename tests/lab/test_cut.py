"""A bad network: each rule on bare sockets and on real WebSockets, and what it leaves alone."""

import asyncio
import contextlib
import socket
import struct
import threading
import tracemalloc

import pytest
import websockets
import websockets.sync.client

from chatlib.echo import app as echo
from chatlib.lab import FaultProxy, Server
from chatlib.lab.loopback import ServerError

GUARD_SECONDS = 20.0  # against a hang; it decides nothing
MOST_BYTES = 64 * 1024 * 1024  # more than the kernel takes for two connections on their way


@pytest.fixture(autouse=True)
def nothing_left_behind():
    """No thread of a network outlives its test. Those of other tests' servers are not ours."""
    before = set(threading.enumerate())
    yield
    started = set(threading.enumerate()) - before
    assert [thread.name for thread in started if thread.name.startswith("chatlib")] == []


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(GUARD_SECONDS)
        yield listener


@pytest.fixture
def network(listener):
    with FaultProxy(listener.getsockname()[1]) as network:
        yield network


@pytest.fixture
def join(network, listener):
    """Make a connection through the network; return its two ends."""
    with contextlib.ExitStack() as stack:

        def join():
            client = stack.enter_context(socket.create_connection(("127.0.0.1", network.port)))
            server, _ = listener.accept()
            stack.enter_context(server)
            for end in (client, server):
                end.settimeout(GUARD_SECONDS)
            return client, server

        yield join


def receive(end, size):
    """Return the next `size` bytes, or fewer if it closes."""
    data = b""
    while len(data) < size and (more := end.recv(size - len(data))):
        data += more
    return data


def received_before_a_reset(end):
    """Return what comes until the connection is reset."""
    data = bytearray()
    try:
        while more := end.recv(65536):
            data += more
    except ConnectionResetError:
        return bytes(data)
    raise AssertionError(f"it was closed, not reset, after {data[:100]!r}")


def has_nothing(end):
    """Whether there is nothing to read, not even an end."""
    end.setblocking(False)
    try:
        return not [end.recv(1)]
    except BlockingIOError:
        return True
    finally:
        end.settimeout(GUARD_SECONDS)


def reset(end):
    """Cut the connection from one of its ends."""
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def passes(client, server):
    """Whether data passes in both directions."""
    client.sendall(b"up")
    server.sendall(b"down")
    return receive(server, 2) == b"up" and receive(client, 4) == b"down"


def test_it_forwards_in_both_directions_and_counts(network, join):
    assert (network.connections, network.forwarded) == (0, {"up": 0, "down": 0})
    assert passes(*join())
    assert passes(*join())
    assert network.connections == network.open == 2
    assert network.forwarded == {"up": 4, "down": 8}


def test_one_side_may_finish_before_the_other(join):
    client, server = join()
    client.sendall(b"all I have")
    client.shutdown(socket.SHUT_WR)
    assert receive(server, 100) == b"all I have"
    server.sendall(b"so here is the answer")
    server.close()
    assert receive(client, 100) == b"so here is the answer"


@pytest.mark.parametrize("side", [0, 1])
def test_a_reset_passes(join, side):
    ends = join()
    reset(ends[side])
    assert received_before_a_reset(ends[1 - side]) == b""


def test_without_a_server_a_client_is_reset(network, listener):
    listener.close()
    with pytest.raises(ConnectionResetError):  # it may come before the client has looked
        connect_and_receive(network)


def connect_and_receive(network):
    with socket.create_connection(("127.0.0.1", network.port), GUARD_SECONDS) as client:
        client.recv(1)


def test_a_stalled_network_forwards_nothing_until_it_is_healed(network, join):
    client, server = join()
    rule = network.stall()
    client.sendall(b"up")
    rule.wait()
    server.sendall(b"down")
    assert has_nothing(server)
    assert has_nothing(client)
    network.heal()
    assert receive(server, 2) == b"up"
    assert receive(client, 4) == b"down"


def test_a_new_connection_stalls_too(network, join):
    rule = network.stall()
    client, server = join()
    client.sendall(b"up")
    rule.wait()
    assert has_nothing(server)


@pytest.mark.parametrize("direction", ["up", "down"])
def test_one_direction_can_be_stalled_alone(network, join, direction):
    sender, receiver = join() if direction == "up" else reversed(join())
    rule = network.stall(direction)
    sender.sendall(b"held")
    rule.wait()
    receiver.sendall(b"passes")
    assert receive(sender, 6) == b"passes"
    assert has_nothing(receiver)


@pytest.mark.parametrize("leave", [socket.socket.close, reset])
def test_a_stalled_network_does_not_tell_that_a_side_has_left(network, join, leave):
    client, server = join()
    rule = network.stall()
    leave(client)
    rule.wait()
    assert has_nothing(server)
    network.heal()
    with contextlib.suppress(ConnectionResetError):
        assert receive(server, 1) == b""


def test_what_is_held_back_is_put_to_the_next_rule(network, join):
    client, server = join()
    stalled = network.stall()
    client.sendall(b"0123456789")
    stalled.wait()
    network.cut_after(4, "up").wait()
    assert received_before_a_reset(server) == b"0123"


@pytest.mark.parametrize("stalled", [True, False], ids=["stalled", "not read"])
def test_a_side_that_sends_is_stopped_and_nothing_piles_up(network, join, stalled):
    client, server = join()
    if stalled:
        network.stall()
    block = bytes(range(256)) * 256
    tracemalloc.start()
    server.settimeout(0.5)  # no longer: nobody reads, so there is no more room, and never will be
    sent = 0
    with contextlib.suppress(TimeoutError):
        while sent < MOST_BYTES:
            sent += server.send(block[sent % 256 :])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert sent < MOST_BYTES
    assert peak < 1024 * 1024
    network.heal()
    got = receive(client, sent)
    assert got == (block * (sent // len(block) + 1))[:sent]


def test_cut_resets_both_sides_of_all_connections_and_no_new_one(network, join):
    pairs = [join(), join()]
    network.cut()
    assert network.open == 0
    for end in (end for pair in pairs for end in pair):
        assert received_before_a_reset(end) == b""
    assert passes(*join())


def test_cut_ends_a_stalled_connection_and_the_stall_stays(network, join):
    client, server = join()
    rule = network.stall()
    client.sendall(b"held")
    rule.wait()
    network.cut()
    assert received_before_a_reset(server) == b""
    assert "stalled (both)" in repr(network)


@pytest.mark.parametrize("direction", ["up", "down"])
@pytest.mark.parametrize("count", [0, 1, 100, 300_000])
def test_cut_after_lets_exactly_so_many_bytes_pass(network, join, direction, count):
    sender, receiver = join() if direction == "up" else reversed(join())
    rule = network.cut_after(count, direction)
    sending = threading.Thread(target=send_what_goes, args=(sender, bytes(500_000)))
    sending.start()
    assert receive_until_cut(receiver, rule) == count
    sending.join()


def send_what_goes(end, data):
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        end.sendall(data)


def receive_until_cut(end, rule):
    """Return how many bytes come, once the rule has hit."""
    size = len(received_before_a_reset(end))
    rule.wait()
    return size


def test_the_count_begins_when_the_rule_is_set(network, join):
    client, server = join()
    assert passes(client, server)
    network.cut_after(3, "down")
    server.sendall(b"0123456789")
    assert received_before_a_reset(client) == b"012"
    assert received_before_a_reset(server) == b""


def test_the_other_direction_does_not_count(network, join):
    client, server = join()
    network.cut_after(3, "down")
    client.sendall(b"0123456789")
    assert receive(server, 10) == b"0123456789"
    server.sendall(b"01")
    assert receive(client, 2) == b"01"


def test_the_first_connection_that_gets_there_is_cut_and_the_rule_ends(network, join):
    (one, _), (other, answering) = join(), join()
    rule = network.cut_after(5, "up")
    other.sendall(b"0123456789")
    rule.wait()
    assert received_before_a_reset(answering) == b"01234"
    one.sendall(b"0123456789")
    assert passes(*join())
    assert network.forwarded["up"] == 5 + 10 + 2


def test_every_connection_can_be_cut_until_it_is_healed(network, join):
    rule = network.cut_after(5, "up", every=True)
    for _ in range(3):
        client, server = join()
        client.sendall(b"0123456789")
        assert received_before_a_reset(server) == b"01234"
    rule.wait()
    network.heal()
    assert passes(*join())


def test_cut_reply_lets_the_request_through(network, join):
    client, server = join()
    rule = network.cut_reply()
    server.sendall(b"no reply: nothing was asked")
    assert receive(client, 27) == b"no reply: nothing was asked"
    client.sendall(b"request")
    assert receive(server, 7) == b"request"
    server.sendall(b"reply")
    rule.wait()
    assert received_before_a_reset(client) == b""
    assert received_before_a_reset(server) == b""
    assert passes(*join())


def test_cut_reply_finds_a_reply_among_other_things_and_in_pieces(network, join):
    client, server = join()
    rule = network.cut_reply(b"ACK")
    client.sendall(b"request")
    assert receive(server, 7) == b"request"
    for piece in (b"A", b"ACA", b"C"):
        server.sendall(piece)
        assert receive(client, len(piece)) == piece
    server.sendall(b"K 17")
    rule.wait()
    assert received_before_a_reset(client) == b""


def test_what_comes_before_the_reply_passes(network, join):
    client, server = join()
    network.cut_reply(b"ACK")
    client.sendall(b"request")
    receive(server, 7)
    server.sendall(b"news, ACK, news")
    assert received_before_a_reset(client) == b"news, "


def test_cut_reply_finds_the_request_among_others_and_in_pieces(network, join):
    client, server = join()
    rule = network.cut_reply(to=b"KEEP")
    for piece in (b"ask", b"KE"):
        client.sendall(piece)
        assert receive(server, len(piece)) == piece
        server.sendall(b"reply")
        assert receive(client, 5) == b"reply"
    client.sendall(b"EP")
    assert receive(server, 2) == b"EP"
    server.sendall(b"reply")
    rule.wait()
    assert received_before_a_reset(client) == b""


def test_refuse_refuses_new_connections_alone(network, join):
    pair = join()
    network.refuse()
    network.refuse()
    for _ in range(3):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", network.port), GUARD_SECONDS)
    assert passes(*pair)
    network.heal()
    assert passes(*join())


def test_who_stops_waiting_for_a_hit_leaves_the_rule_alone(network, join):
    client, _ = join()
    rule = network.stall()

    async def body():
        waiting = asyncio.create_task(rule.hit())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        client.sendall(b"x")
        await asyncio.wait_for(rule.hit(), GUARD_SECONDS)

    asyncio.run(body())


def test_a_rule_that_has_not_hit_says_so(network):
    with pytest.raises(TimeoutError):
        network.cut_after(1).wait(0)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda network: network.stall("left"), "one of up, down, both, got 'left'"),
        (lambda network: network.cut_after(1, "both"), "one of up, down, got 'both'"),
        (lambda network: network.cut_after(-1), "from 0 on, got -1"),
    ],
)
def test_a_rule_that_cannot_be_is_refused_and_changes_nothing(network, join, call, message):
    with pytest.raises(ValueError, match=message):
        call(network)
    assert passes(*join())


def test_new_connections_can_be_forwarded_to_another_server(network, join):
    client, server = join()
    with socket.create_server(("127.0.0.1", 0)) as other:
        other.settimeout(GUARD_SECONDS)
        network.forward_to(other.getsockname()[1])
        with socket.create_connection(("127.0.0.1", network.port)) as later:
            end, _ = other.accept()
            with end:
                later.sendall(b"to the other one")
                assert receive(end, 16) == b"to the other one"
    client.sendall(b"as before")
    assert receive(server, 9) == b"as before"


def test_a_page_comes_through_it(network):
    page = network.show("/chat", height=300)
    assert page.url == f"http://127.0.0.1:{network.port}/chat"
    assert page.height == 300


def test_it_says_what_it_does(network):
    target = repr(network).split(",")[0]
    assert repr(network) == f"{target}, all passes, 0 open>"
    network.stall("up")
    assert repr(network) == f"{target}, stalled (up), 0 open>"
    network.cut_after(3)
    assert repr(network) == f"{target}, cut after 3 bytes down, 0 open>"
    network.cut_reply(b"ack")
    assert repr(network) == f"{target}, cut the reply containing b'ack', 0 open>"
    network.stop()
    assert repr(network) == "<network: stopped>"


def test_a_stop_cuts_all_and_the_network_says_that_it_has_stopped(network, join):
    client, server = join()
    network.stop()
    network.stop()
    assert received_before_a_reset(client) == received_before_a_reset(server) == b""
    with pytest.raises(ServerError, match="has stopped"):
        network.stall()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", network.port), GUARD_SECONDS)


def test_many_connections_at_once(network, join):
    pairs = [join() for _ in range(100)]
    assert all(passes(*pair) for pair in pairs)
    rule = network.stall()
    for client, _ in pairs:
        client.sendall(b"x")
    rule.wait()
    network.heal()
    assert all(receive(server, 1) == b"x" for _, server in pairs)
    assert network.open == 100
    network.cut()
    assert all(received_before_a_reset(client) == b"" for client, _ in pairs)


def test_it_prints_nothing(network, join, capfd, caplog):
    for act in (network.heal, network.cut, network.stall, network.refuse):
        join()
        act()
    network.heal()
    client, server = join()
    reset(client)
    received_before_a_reset(server)
    network.stop()
    assert capfd.readouterr() == ("", "")
    assert caplog.records == []


def through_a_network(body):
    """Run `body(network, server)` as a cell does: in an event loop that runs already."""

    async def cell():
        async with asyncio.timeout(GUARD_SECONDS):
            with Server(echo) as server, FaultProxy(server) as network:
                await body(network, server)
            assert server.log.errors == []

    asyncio.run(cell())


def test_a_websocket_that_stalls_goes_on_when_the_network_is_healed():
    async def body(network, server):
        async with websockets.connect(network.ws_url(), proxy=None) as client:
            rule = network.stall()
            await client.send("hello")
            await rule.hit()
            network.heal()
            assert await client.recv() == "Message text was: hello"

    through_a_network(body)


def test_a_websocket_that_is_cut_ends_without_a_close_frame():
    async def body(network, server):
        async with websockets.connect(network.ws_url(), proxy=None) as client:
            await client.send("hello")
            await client.recv()
            network.cut()
            with pytest.raises(websockets.ConnectionClosedError):
                await client.recv()
            assert client.close_code == 1006
        await server.settled()  # its handler has been told too

    through_a_network(body)


def test_a_handshake_can_be_cut_at_any_byte():
    async def body(network, server):
        for count in (0, 10, 100):
            rule = network.cut_after(count)
            with pytest.raises((OSError, websockets.InvalidMessage)):
                await websockets.connect(network.ws_url(), proxy=None)
            await rule.hit()
        async with websockets.connect(network.ws_url(), proxy=None) as client:
            await client.send("hello")
            assert await client.recv() == "Message text was: hello"

    through_a_network(body)


def test_a_reply_that_is_cut_off_was_given_nevertheless():
    async def body(network, server):
        said = []
        server.observers.append(lambda event: said.append((event.to_server, event.payload)))
        async with websockets.connect(network.ws_url(), proxy=None, compression=None) as client:
            rule = network.cut_reply(b"two")
            await client.send("one")
            assert await client.recv() == "Message text was: one"
            await client.send("two")
            await rule.hit()
            with pytest.raises(websockets.ConnectionClosedError):
                await client.recv()
        await server.settled()
        assert (False, "Message text was: two") in said

    through_a_network(body)


def test_a_client_comes_back_by_itself_once_it_is_not_refused():
    async def body(network, server):
        client = await websockets.connect(network.ws_url(), proxy=None)
        network.refuse()
        network.cut()
        with pytest.raises(websockets.ConnectionClosedError):
            await client.recv()
        with pytest.raises(ConnectionRefusedError):
            await websockets.connect(network.ws_url(), proxy=None)
        network.heal()
        async with websockets.connect(network.ws_url(), proxy=None) as client:
            await client.send("hello")
            assert await client.recv() == "Message text was: hello"

    through_a_network(body)


def test_it_is_an_asynchronous_context_manager_too():
    async def cell():
        with Server(echo) as server:
            async with (
                FaultProxy(server.port) as network,
                websockets.connect(network.ws_url(), proxy=None) as client,
            ):
                await client.send("hello")
                assert await client.recv() == "Message text was: hello"

    asyncio.run(cell())


def test_a_connection_that_is_cut_before_anything_was_done_for_it_is_closed(network, listener):
    """Its task may not have begun."""
    with contextlib.ExitStack() as stack:
        for _ in range(200):
            address = ("127.0.0.1", network.port)
            stack.enter_context(socket.create_connection(address, GUARD_SECONDS))
            network.cut()
        network.stop()
    assert network.open == 0
