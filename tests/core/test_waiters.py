"""Waiting for what another thread may bring about."""

import asyncio
import threading

import pytest

from chatlib.core.waiters import Waiters, wake


def test_who_waits_goes_on_when_another_thread_wakes_it():
    async def wait():
        waiter = waiters.add()
        waking = threading.Thread(target=lambda: [wake(one) for one in waiters.take_all()])
        waking.start()
        async with asyncio.timeout(10):
            await waiters.wait(waiter)
        waking.join()

    waiters = Waiters()
    asyncio.run(wait())
    assert len(waiters) == 0


def test_who_is_cancelled_waits_no_more():
    async def wait():
        task = asyncio.create_task(waiters.wait(waiters.add()))
        await asyncio.sleep(0)
        assert len(waiters) == 1
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    waiters = Waiters()
    asyncio.run(wait())
    assert len(waiters) == 0


def test_waking_one_whose_loop_has_closed_is_harmless():
    async def leave():
        return waiters.add()

    waiters = Waiters()
    wake(asyncio.run(leave()))
