"""Who listens is told in the event loop that it is of."""

import asyncio

from chatlib.stores.ears import Calls, call_all


def test_a_loop_wakes_up_once_for_all_its_calls():
    async def scenario():
        loop = asyncio.get_running_loop()
        made, wakes, done = [], [], asyncio.Event()
        schedule = loop.call_soon_threadsafe
        loop.call_soon_threadsafe = lambda *args: (wakes.append(args[0]), schedule(*args))[1]
        calls = Calls()
        calls.add(loop, made.append, 1)
        calls.add(loop, made.append, 2)
        calls.add(loop, done.set)
        await asyncio.to_thread(calls.send)
        await done.wait()
        assert made == [1, 2]
        assert wakes.count(call_all) == 1

    asyncio.run(scenario())


def test_a_call_that_raises_stops_no_other_and_goes_to_the_exception_handler():
    async def scenario():
        loop = asyncio.get_running_loop()
        made, errors, done = [], [], asyncio.Event()
        loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        calls = Calls()
        calls.add(loop, lambda: made.append(1 / 0))
        calls.add(loop, made.append, 2)
        calls.add(loop, done.set)
        await asyncio.to_thread(calls.send)
        await done.wait()
        assert made == [2]
        assert [type(error) for error in errors] == [ZeroDivisionError]

    asyncio.run(scenario())


def test_a_loop_that_is_closed_is_left_out():
    closed = asyncio.new_event_loop()
    closed.close()

    async def scenario():
        made = []
        calls = Calls()
        calls.add(closed, made.append, "closed")
        calls.add(asyncio.get_running_loop(), made.append, "running")
        calls.send()
        assert made == ["running"]

    asyncio.run(scenario())
