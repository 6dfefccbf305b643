"""What the mended manager does where the one that everybody copies slips."""

import asyncio

import pytest
from fastapi import WebSocketDisconnect

from chatlib.lab.plain import MendedManager, PlainManager


class Member:
    """What the manager needs of a WebSocket, without a network, to break in given ways."""

    def __init__(self, error=None, then=lambda: None):
        self.error, self.then, self.got = error, then, []

    async def accept(self):
        pass

    async def send_text(self, text):
        if self.error is not None:
            raise self.error
        self.got.append(text)
        self.then()


def broadcast_to(*members, text="hello"):
    async def run():
        for member in members:
            await manager.connect(member)
        await manager.broadcast(text)

    manager = MendedManager()
    asyncio.run(run())
    return manager


@pytest.mark.parametrize("error", [WebSocketDisconnect(1006), RuntimeError("closed")])
def test_a_dead_member_stops_nobody_and_is_dropped(error):
    first, dead, last = Member(), Member(error), Member()
    manager = broadcast_to(first, dead, last)
    assert first.got == last.got == ["hello"]
    assert manager.active_connections == [first, last]


def test_a_member_that_leaves_during_a_broadcast_makes_it_skip_nobody():
    manager = MendedManager()
    leaver = Member(then=lambda: manager.disconnect(leaver))
    second, third = Member(), Member()

    async def run():
        for member in (leaver, second, third):
            await manager.connect(member)
        await manager.broadcast("hello")

    asyncio.run(run())
    assert [member.got for member in (leaver, second, third)] == [["hello"]] * 3
    assert manager.active_connections == [second, third]


def test_a_member_that_comes_during_a_broadcast_is_not_sent_it():
    late = Member()
    manager = MendedManager()
    first = Member(then=lambda: manager.active_connections.append(late))

    async def run():
        await manager.connect(first)
        await manager.broadcast("hello")

    asyncio.run(run())
    assert late.got == []
    assert manager.active_connections == [first, late]


def test_disconnect_is_harmless_twice_and_for_a_stranger():
    manager = broadcast_to(member := Member())
    manager.disconnect(member)
    manager.disconnect(member)
    manager.disconnect(Member())
    assert manager.active_connections == []


def test_a_mistake_of_the_apps_own_is_not_hidden():
    with pytest.raises(ValueError, match="not a disconnection"):
        broadcast_to(Member(ValueError("not a disconnection")))


def test_the_plain_manager_slips_on_each_of_these():
    """Or the chapters would show what is not so."""

    async def run():
        manager = PlainManager()
        leaver, skipped = Member(then=lambda: manager.disconnect(leaver)), Member()
        dead, unreached = Member(WebSocketDisconnect(1006)), Member()
        for member in (leaver, skipped, dead, unreached):
            await manager.connect(member)
        with pytest.raises(WebSocketDisconnect):
            await manager.broadcast("hello")
        with pytest.raises(ValueError, match="not in list"):
            manager.disconnect(leaver)
        return leaver.got, skipped.got, unreached.got

    assert asyncio.run(run()) == (["hello"], [], [])
