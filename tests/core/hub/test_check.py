"""Asking a store whether it answers."""

import asyncio

import pytest
from joining import in_loop

from chatlib.core.hub import check
from chatlib.core.hub.check import Check
from chatlib.stores.memory import MemoryStore


class Asked(MemoryStore):
    """A store that answers when a test says so."""

    def __init__(self):
        super().__init__()
        self.times = 0
        self.asked, self.let_go = asyncio.Event(), asyncio.Event()

    async def check(self):
        self.times += 1
        self.asked.set()
        await self.let_go.wait()


@in_loop
async def test_however_many_ask_at_a_time_the_store_is_asked_once():
    store = Asked()
    one = Check(store)
    asking = [asyncio.create_task(one.ask()) for _ in range(20)]
    await store.asked.wait()
    store.let_go.set()
    answers = await asyncio.gather(*asking)
    assert store.times == 1
    assert all(answer.ok for answer in answers)
    await one.ask()
    assert store.times == 2


@in_loop
async def test_who_takes_an_answer_of_a_moment_ago_does_not_ask_again():
    store = Asked()
    store.let_go.set()
    one = Check(store)
    first = await one.ask(within=60)
    assert await one.ask(within=60) is first
    assert store.times == 1
    await one.ask()
    assert store.times == 2


@in_loop
async def test_one_who_asks_and_goes_disturbs_nobody_else():
    store = Asked()
    one = Check(store)
    first, second = (asyncio.create_task(one.ask()) for _ in range(2))
    await store.asked.wait()
    first.cancel()
    store.let_go.set()
    assert (await second).ok
    assert first.cancelled()


@in_loop
async def test_a_store_that_says_nothing_does_not_answer(monkeypatch):
    monkeypatch.setattr(check, "ANSWER_SECONDS", 0.01)
    answer = await Check(Asked()).ask()
    assert (answer.ok, answer.error) == (False, "no answer within 0.01 seconds")


@in_loop
@pytest.mark.parametrize("fault", [TimeoutError(110, "timed out"), asyncio.CancelledError()])
async def test_a_store_that_gives_up_by_itself_cannot_be_used(fault, caplog):
    class Weary(MemoryStore):
        async def check(self):
            raise fault

    answer = await Check(Weary()).ask()
    assert (answer.ok, answer.error) == (False, "the store cannot be used just now")
    assert repr(fault) in caplog.text


@in_loop
async def test_what_is_wrong_with_a_store_is_for_the_log_alone(caplog):
    class Broken(MemoryStore):
        async def check(self):
            raise KeyError("/srv/secret.db")

    answer = await Check(Broken()).ask()
    assert (answer.ok, answer.error) == (False, "the store cannot be used just now")
    assert "/srv/secret.db" in caplog.text
