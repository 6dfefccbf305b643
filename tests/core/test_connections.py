"""`active_connections`: a list, as far as anybody uses it, that is a view on a room."""

import asyncio
import copy
import functools

import pytest
from fastapi import WebSocket

from chatlib import Room
from chatlib.core.connections import Connections


def on_a_loop(test):
    """Run the coroutine function `test`, which takes nothing, in an event loop of its own."""

    @functools.wraps(test)
    def run():
        asyncio.run(test())

    return run


def fresh():
    """Return a WebSocket that nobody has accepted, on a server that takes whatever is sent."""

    async def receive():
        return {"type": "websocket.connect"}

    async def send(message):
        pass

    return WebSocket({"type": "websocket", "headers": []}, receive, send)


async def accepted(count):
    """Return `count` WebSockets that have been accepted."""
    websockets = [fresh() for _ in range(count)]
    for websocket in websockets:
        await websocket.accept()
    return websockets


async def members(count):
    """Return the connections of a new room with `count` members, and a list of these."""
    connections, websockets = Connections(Room()), await accepted(count)
    for websocket in websockets:
        connections.room.join(websocket)
    return connections, websockets


@on_a_loop
async def test_it_shows_the_room_as_it_is_now():
    connections, (a, b) = await members(2)
    assert list(connections) == [a, b]
    connections.room.leave(a)
    assert list(connections) == [b]


@on_a_loop
async def test_it_reads_as_the_list_would():
    connections, (a, b, c) = await members(3)
    as_list = [a, b, c]
    assert len(connections) == 3
    assert connections
    assert a in connections
    assert fresh() not in connections
    assert (connections[0], connections[-1]) == (a, c)
    assert connections[1:] == [b, c]
    assert connections[::-1] == list(reversed(connections)) == [c, b, a]
    assert (connections.index(b), connections.count(b)) == (1, 1)
    assert sorted(connections, key=id) == sorted(as_list, key=id)
    assert repr(connections) == repr(as_list)
    with pytest.raises(IndexError):
        connections[3]
    with pytest.raises(ValueError, match="not in list"):
        connections.index(a, 1)


@on_a_loop
async def test_it_equals_a_list_of_the_same_and_nothing_else():
    connections, (a, b) = await members(2)
    assert connections == [a, b]
    assert [a, b] == connections
    assert connections == Connections(connections.room)
    assert connections != [b, a]
    assert connections != (a, b)


def test_an_empty_one_is_false():
    assert not Connections(Room())
    assert Connections(Room()) == []


@on_a_loop
async def test_what_is_copied_or_added_up_is_a_list_of_its_own():
    connections, (a, b) = await members(2)
    copies = [connections.copy(), connections[:], connections + [], [] + connections]  # noqa: RUF005
    connections.clear()
    assert copies == [[a, b]] * 4
    assert all(type(each) is list for each in copies)


@on_a_loop
async def test_a_shallow_copy_shows_the_same_room():
    connections, _ = await members(1)
    assert copy.copy(connections).room is connections.room


@on_a_loop
async def test_who_is_appended_joins_the_room_once():
    connections, (a,) = await members(1)
    (b,) = await accepted(1)
    connections.append(b)
    connections.append(b)
    assert connections.room.members == [a, b]


@on_a_loop
async def test_extending_and_inserting_at_the_end_are_appending():
    connections, (a,) = await members(1)
    b, c, d = await accepted(3)
    connections.extend([b])
    connections += [c]
    connections.insert(3, d)
    assert connections == [a, b, c, d]


@on_a_loop
async def test_who_is_not_accepted_cannot_be_appended():
    connections, _ = await members(0)
    with pytest.raises(RuntimeError, match=r"first `await websocket\.accept\(\)`"):
        connections.append(fresh())
    assert not connections


@on_a_loop
async def test_who_is_removed_leaves_the_room():
    connections, (a, _, c, d, e) = await members(5)
    connections.remove(a)
    del connections[0]
    assert connections.pop() is e
    assert connections.pop(0) is c
    assert connections.room.members == [d]
    connections.clear()
    assert connections.room.members == []


@on_a_loop
async def test_a_slice_can_be_deleted():
    connections, (a, _, c, _) = await members(4)
    del connections[1::2]
    assert connections == [a, c]


@on_a_loop
async def test_removing_who_is_not_in_it_is_a_value_error():
    connections, (a,) = await members(1)
    connections.remove(a)
    with pytest.raises(ValueError, match="not among the connections"):
        connections.remove(a)


@on_a_loop
async def test_removing_who_has_gone_is_harmless_though_the_room_has_dropped_it():
    connections, (a,) = await members(1)
    await a.close()
    assert a not in connections
    connections.remove(a)


@on_a_loop
async def test_popping_from_an_empty_one_is_an_index_error():
    connections, _ = await members(0)
    with pytest.raises(IndexError):
        connections.pop()


@on_a_loop
async def test_removing_while_going_through_it_skips_nobody():
    connections, websockets = await members(3)
    seen = []
    for websocket in connections:
        seen.append(websocket)
        connections.remove(websocket)
    assert seen == websockets
    assert not connections


@on_a_loop
async def test_an_item_cannot_be_assigned_and_what_to_write_is_said():
    connections, (a, b) = await members(2)
    for change in (
        lambda: connections.__setitem__(0, b),
        lambda: connections.__setitem__(slice(None), [b]),
        connections.reverse,
    ):
        with pytest.raises(TypeError, match=r"write remove\(one\) and append\(another\)"):
            change()
    assert connections == [a, b]


@on_a_loop
async def test_nobody_can_be_put_before_those_who_came_first():
    connections, (a,) = await members(1)
    (b,) = await accepted(1)
    with pytest.raises(TypeError, match=r"write append\(websocket\)"):
        connections.insert(0, b)
    assert connections == [a]
