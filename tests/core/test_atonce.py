"""A coroutine that runs at once as far as it can, and then in a task."""

import asyncio
import contextlib
import contextvars
import gc

import pytest
from joining import in_loop, turn

from chatlib.core.atonce import AtOnce


@in_loop
async def test_work_that_need_not_wait_is_done_at_once():
    done = []

    async def work():
        done.append("begun")
        await asyncio.Event().wait() if not done else None
        done.append("ended")

    at_once = AtOnce(asyncio.get_running_loop())
    at_once.run(work())
    assert done == ["begun", "ended"]
    assert not at_once.busy
    at_once.stop()


@in_loop
async def test_work_that_waits_goes_on_when_what_it_waits_for_is_there():
    steps, events = [], [asyncio.Event(), asyncio.Event()]

    async def work():
        for number, event in enumerate(events):
            steps.append(number)
            await event.wait()
        steps.append("ended")

    at_once = AtOnce(asyncio.get_running_loop())
    at_once.run(work())
    assert (steps, at_once.busy) == ([0], True)
    events[0].set()
    await turn()
    assert (steps, at_once.busy) == ([0, 1], True)
    events[1].set()
    await turn()
    assert (steps, at_once.busy) == ([0, 1, "ended"], False)
    at_once.stop()


@in_loop
async def test_one_work_after_the_other_runs_on_one_task():
    tasks = []

    async def work(event):
        tasks.append(asyncio.current_task())
        await event.wait()
        tasks.append(asyncio.current_task())

    at_once = AtOnce(asyncio.get_running_loop())
    for _ in range(3):
        event = asyncio.Event()
        at_once.run(work(event))
        event.set()
        await turn()
    assert len(tasks) == 6
    assert len(set(tasks)) == 1
    assert asyncio.current_task() not in tasks
    at_once.stop()


@in_loop
async def test_a_task_that_sleeps_for_no_time_lets_others_run_meanwhile():
    order = []

    async def work():
        order.append("before")
        await asyncio.sleep(0)
        order.append("after")

    at_once = AtOnce(asyncio.get_running_loop())
    at_once.run(work())
    order.append("meanwhile")
    await turn()
    assert order == ["before", "meanwhile", "after"]
    at_once.stop()


@in_loop
async def test_a_time_out_in_the_work_ends_what_it_should():
    ended = asyncio.Event()

    async def work():
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            ended.set()

    at_once = AtOnce(asyncio.get_running_loop())
    at_once.run(work())
    await ended.wait()
    await turn()
    assert not at_once.busy
    at_once.run(work())  # and the task is still there for the next
    ended.clear()
    await ended.wait()
    at_once.stop()


@in_loop
async def test_a_time_out_cancels_what_the_work_waits_for():
    at_once, cancelled = AtOnce(asyncio.get_running_loop()), []

    async def long():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def work(task):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0):
                await task

    for number in (1, 2):
        task = asyncio.create_task(long())
        await turn()
        at_once.run(work(task))
        while at_once.busy:  # noqa: ASYNC110 — it sets no event
            await asyncio.sleep(0)
        assert len(cancelled) == number
    at_once.stop()


@in_loop
async def test_a_context_variable_that_the_work_sets_is_its_own_to_the_end():
    variable, reset = contextvars.ContextVar("variable", default="outside"), []

    async def work():
        token = variable.set("inside")
        await asyncio.sleep(0)
        variable.reset(token)
        reset.append(variable.get())

    at_once = AtOnce(asyncio.get_running_loop())
    at_once.run(work())
    assert variable.get() == "outside"
    await turn()
    assert reset == ["outside"]
    at_once.stop()


@in_loop
async def test_work_that_is_cancelled_by_itself_leaves_the_next_undisturbed():
    done = []

    async def cancelled():
        raise asyncio.CancelledError

    async def work():
        await asyncio.sleep(0)
        done.append(True)

    at_once = AtOnce(asyncio.get_running_loop())
    at_once.run(cancelled())
    at_once.run(work())
    await turn()
    assert (done, at_once.busy) == ([True], False)
    at_once.stop()


@in_loop
async def test_the_error_of_what_it_waits_for_is_raised_in_the_work():
    waited = asyncio.get_running_loop().create_future()
    caught = []

    async def work():
        try:
            await waited
        except OSError as error:
            caught.append(error)

    at_once = AtOnce(asyncio.get_running_loop())
    at_once.run(work())
    waited.set_exception(OSError("broken"))
    await turn()
    assert [str(error) for error in caught] == ["broken"]
    at_once.stop()


@pytest.mark.parametrize("turns", [0, 3])
@in_loop
async def test_work_is_cancelled_where_it_waits_and_may_wait_for_its_end(turns):
    left = []

    async def work():
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.sleep(0)
            left.append(True)
            raise

    at_once = AtOnce(asyncio.get_running_loop())
    at_once.run(work())
    for _ in range(turns):  # before it goes on in its task, and after
        await asyncio.sleep(0)
    at_once.stop()
    await turn()
    assert left == [True]


@in_loop
async def test_the_task_that_calls_it_is_the_current_one_again_afterwards():
    async def work():
        await asyncio.sleep(0)

    me = asyncio.current_task()
    at_once = AtOnce(asyncio.get_running_loop())
    at_once.run(work())
    assert asyncio.current_task() is me
    at_once.stop()


@in_loop
async def test_one_that_nobody_stops_is_collected_without_a_word():
    complaints = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, what: complaints.append(what))

    async def work():
        await asyncio.sleep(0)

    tasks = len(asyncio.all_tasks())
    AtOnce(asyncio.get_running_loop()).run(work())
    await turn()
    gc.collect()
    assert len(asyncio.all_tasks()) == tasks
    assert complaints == []
