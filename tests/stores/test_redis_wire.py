"""The connection on which messages go to Redis."""

import asyncio

import pytest

from chatlib.stores.redis_place import Place
from chatlib.stores.redis_wire import Wire


def test_a_connection_that_was_given_up_is_killed_though_the_first_try_fails(redis, monkeypatch):
    killed = []
    ask = Wire.ask

    async def ask_or_fail(wire, commands):
        if commands[0][:2] == ["CLIENT", "KILL"]:
            killed.append(commands[0][3])
            if len(killed) == 1:
                await wire.drop()
                raise ConnectionError("the network is gone")
        return await ask(wire, commands)

    monkeypatch.setattr(Wire, "ask", ask_or_fail)

    async def run():
        wire = Wire(Place(redis.url, "chatlib", 2.0))
        await wire.connect()
        (given_up,) = await wire.ask([["CLIENT", "ID"]])
        await wire.drop()
        with pytest.raises(ConnectionError):
            await wire.connect()
        await wire.connect()
        assert killed == [given_up, given_up]
        await wire.drop()

    asyncio.run(run())
