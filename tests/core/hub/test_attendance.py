"""Who is present: at once where a client said that it leaves, a little later where it was lost."""

import pytest
from joining import in_loop

from chatlib.core.hub import attendance
from chatlib.core.hub.attendance import Attendance
from chatlib.stores.memory import MemoryStore


async def present(*names):
    """Return an attendance with these in the lobby."""
    here = Attendance(MemoryStore())
    for name in names:
        await here.enter("lobby", name)
    return here


@in_loop
@pytest.mark.parametrize("code", [1000, 1001])
async def test_who_says_so_has_left(code):
    here = await present("ana", "ana", "ben")
    await here.leave("lobby", "ana", code)
    assert await here.store.people("lobby") == {"ana": 1, "ben": 1}


@in_loop
@pytest.mark.parametrize("code", [1005, 1006, 1009, 1013, 4401, None])
async def test_who_is_lost_stays_for_a_while(code, monkeypatch):
    monkeypatch.setattr(attendance, "STAYS_SECONDS", 0.01)
    here = await present("ana")
    await here.leave("lobby", "ana", code)
    assert await here.store.people("lobby") == {"ana": 1}
    (leaving,) = here._leaving
    await leaving
    assert await here.store.people("lobby") == {}
    assert not here._leaving


@in_loop
async def test_who_is_lost_as_the_server_stops_is_not_left_behind():
    here = await present("ana", "ben")
    await here.leave("lobby", "ana", None)
    await here.stop()
    assert await here.store.people("lobby") == {"ben": 1}
    await here.leave("lobby", "ben", None)
    assert await here.store.people("lobby") == {}


@in_loop
@pytest.mark.parametrize(("lease", "stay"), [(None, False), (6.0, True)])
async def test_who_is_lost_as_the_server_stops_stays_as_long_as_a_lease_if_there_is_one(
    lease, stay
):
    here = await present("ana", "ben")
    here.store.lease = lease
    await here.leave("lobby", "ana", 1012)
    await here.stop()
    await here.leave("lobby", "ben", 1012)
    assert await here.store.people("lobby") == ({"ana": 1, "ben": 1} if stay else {})


@in_loop
async def test_a_store_that_says_nothing_of_a_lease_has_none(monkeypatch):
    monkeypatch.delattr(MemoryStore, "lease")
    here = await present("ana")
    await here.stop()
    await here.leave("lobby", "ana", None)
    assert await here.store.people("lobby") == {}
