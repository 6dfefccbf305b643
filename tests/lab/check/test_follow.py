"""`check.follow` knows a handler that only sends from those that nearly do."""

import asyncio
import contextlib

import anyio
import pytest
from answers import expect_accepted, expect_rejected
from fastapi import WebSocketDisconnect

from chatlib import Room
from chatlib.lab import check

ARRIVES = "each item of the queue goes to the client, in order, an empty text too"
THROWN_AWAY = "what the client says is thrown away, text or bytes, and the feed goes on"
RETURNS = "it returns when the client has left, though nothing is in the queue"
TAKES_NOTHING = "after the client has left, it takes nothing more from the queue"
NO_TASK = "it leaves no task behind"
RAISES_NOTHING = "a send that fails before the client is known to have left: it raises nothing"


async def send_all(websocket, queue):
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await websocket.send_text(await queue.get())


async def until_gone(websocket):
    while (await websocket.receive())["type"] != "websocket.disconnect":
        pass


async def as_handed_out(websocket, queue):
    while True:
        await websocket.send_text(await queue.get())


async def sends_one(websocket, queue):
    await websocket.send_text(await queue.get())
    await until_gone(websocket)


async def receives_first(websocket, queue):
    while (await websocket.receive())["type"] != "websocket.disconnect":
        await websocket.send_text(await queue.get())


async def stops_at_an_empty_text(websocket, queue):
    async def send():
        while text := await queue.get():
            await websocket.send_text(text)

    sending = asyncio.create_task(send())
    await until_gone(websocket)
    sending.cancel()


async def sends_bytes(websocket, queue):
    async def send():
        while True:
            await websocket.send_bytes((await queue.get()).encode())

    sending = asyncio.create_task(send())
    await until_gone(websocket)
    sending.cancel()


async def accepts_again(websocket, queue):
    await websocket.accept()
    await as_handed_out(websocket, queue)


async def forgets_to_await(websocket, queue):
    async def send():
        while True:
            websocket.send_text(await queue.get())

    sending = asyncio.create_task(send())
    await until_gone(websocket)
    sending.cancel()


def no_coroutine(websocket, queue):
    asyncio.create_task(send_all(websocket, queue))  # noqa: RUF006


async def returns_at_once(websocket, queue):
    no_coroutine(websocket, queue)


async def receives_once(websocket, queue):
    sending = asyncio.create_task(send_all(websocket, queue))
    await websocket.receive()
    sending.cancel()


async def takes_text_alone(websocket, queue):
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_all(websocket, queue))
        async for _ in websocket.iter_text():
            pass
        sending.cancel()


async def answers(websocket, queue):
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_all(websocket, queue))
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            await websocket.send_text(f"you said {message.get('text')}")
        sending.cancel()


async def closes_who_talks(websocket, queue):
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_all(websocket, queue))
        if (await websocket.receive())["type"] != "websocket.disconnect":
            await websocket.close(1003)
            await until_gone(websocket)
        sending.cancel()


async def looks_at_the_state(websocket, queue):
    while websocket.client_state.name == "CONNECTED":
        await websocket.send_text(await queue.get())


async def polls_the_state(websocket, queue):
    while websocket.client_state.name == "CONNECTED":
        with contextlib.suppress(TimeoutError):
            await websocket.send_text(await asyncio.wait_for(queue.get(), 0.01))


async def joins_the_sender(websocket, queue):
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(send_all(websocket, queue))
        tasks.create_task(until_gone(websocket))


async def lets_it_escape(websocket, queue):
    sending = asyncio.create_task(send_all(websocket, queue))
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])
    finally:
        sending.cancel()


async def catches_without_a_star(websocket, queue):
    async def listen():
        await until_gone(websocket)
        raise WebSocketDisconnect

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send_all(websocket, queue))
            tasks.create_task(listen())
    except WebSocketDisconnect:
        pass


async def awaits_what_it_cancelled(websocket, queue):
    sending = asyncio.create_task(send_all(websocket, queue))
    await until_gone(websocket)
    sending.cancel()
    await sending


async def gathers(websocket, queue):
    async def listen():
        await until_gone(websocket)
        raise WebSocketDisconnect

    with contextlib.suppress(WebSocketDisconnect):
        await asyncio.gather(send_all(websocket, queue), listen())


async def forgets_the_pending(websocket, queue):
    both = [asyncio.create_task(job) for job in (send_all(websocket, queue), until_gone(websocket))]
    await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)


async def cancels_after_one_more(websocket, queue):
    gone = asyncio.Event()

    async def send():
        while not gone.is_set():
            text = await queue.get()
            if not gone.is_set():
                await websocket.send_text(text)

    sending = asyncio.create_task(send())
    await until_gone(websocket)
    gone.set()
    return sending.get_name()


async def empties_the_queue(websocket, queue):
    sending = asyncio.create_task(send_all(websocket, queue))
    await until_gone(websocket)
    sending.cancel()

    async def drain():
        while True:
            await queue.get()

    asyncio.create_task(drain())  # noqa: RUF006


async def gives_back_what_it_sent(websocket, queue):
    last = None

    async def send():
        nonlocal last
        while True:
            last = await queue.get()
            await websocket.send_text(last)

    sending = asyncio.create_task(send())
    await until_gone(websocket)
    sending.cancel()
    queue.put_nowait(last)


async def receives_after_the_end(websocket, queue):
    sending = asyncio.create_task(send_all(websocket, queue))
    while websocket.application_state.name == "CONNECTED":
        await websocket.receive()
    sending.cancel()


async def leaves_a_heartbeat(websocket, queue):
    async def beat():
        await asyncio.Event().wait()

    beating = asyncio.create_task(beat())
    sending = asyncio.create_task(send_all(websocket, queue))
    await until_gone(websocket)
    sending.cancel()
    return beating.get_name()


async def sends_one_with_the_other(websocket, queue):
    async def send():
        while True:
            text = await queue.get()
            while not queue.empty():
                text += queue.get_nowait()
            await websocket.send_text(text)

    sending = asyncio.create_task(send())
    await until_gone(websocket)
    sending.cancel()


async def sends_no_text_twice(websocket, queue):
    sent = set()

    async def send():
        while True:
            if (text := await queue.get()) not in sent:
                sent.add(text)
                await websocket.send_text(text)

    sending = asyncio.create_task(send())
    await until_gone(websocket)
    sending.cancel()


def changing(change):
    """Return the solution that sends `change(text)` for each text."""

    async def follow(websocket, queue):
        async def send():
            while True:
                await websocket.send_text(change(await queue.get()))

        sending = asyncio.create_task(send())
        await until_gone(websocket)
        sending.cancel()

    return follow


async def greets(websocket, queue):
    await websocket.send_text("welcome")
    await solution(websocket, queue)


async def ends_at_a_word(websocket, queue):
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_all(websocket, queue))
        while (message := await websocket.receive())["type"] != "websocket.disconnect":
            if message.get("text") == "quit":
                break
        sending.cancel()


async def returns_late(websocket, queue):
    await solution(websocket, queue)
    await asyncio.sleep(1)


async def looks_each_second(websocket, queue):
    """It listens for a moment, after it has waited for an item for up to a second."""
    message = asyncio.ensure_future(websocket.receive())
    while True:
        with contextlib.suppress(TimeoutError):
            await websocket.send_text(await asyncio.wait_for(queue.get(), 1))
        while message.done():
            if message.result()["type"] == "websocket.disconnect":
                return
            message = asyncio.ensure_future(websocket.receive())
            await asyncio.sleep(0)


async def returns_at_a_goodbye_alone(websocket, queue):
    sending = asyncio.create_task(send_all(websocket, queue))
    while (await websocket.receive()).get("code") != 1000:
        pass
    sending.cancel()


async def closes_afterwards(websocket, queue):
    await solution(websocket, queue)
    await websocket.close()


async def drains_the_queue(websocket, queue):
    await solution(websocket, queue)
    while not queue.empty():
        queue.get_nowait()


async def empties_the_queue_first(websocket, queue):
    sending = asyncio.create_task(send_all(websocket, queue))
    await until_gone(websocket)
    while not queue.empty():
        await queue.get()
    sending.cancel()


async def says_stop_in_the_queue(websocket, queue):
    await solution(websocket, queue)
    queue.put_nowait("stop")


async def will_not_be_cancelled(websocket, queue):
    async def send():
        while not queue.empty() or not gone.is_set():
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await websocket.send_text(await queue.get())

    gone = asyncio.Event()
    sending = asyncio.create_task(send())
    await until_gone(websocket)
    gone.set()
    sending.cancel()


async def lets_a_failed_send_out(websocket, queue):
    async def send():
        while True:
            await websocket.send_text(await queue.get())

    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send())
        await until_gone(websocket)
        sending.cancel()


async def awaits_a_task_that_has_failed(websocket, queue):
    async def send():
        while True:
            await websocket.send_text(await queue.get())

    sending = asyncio.create_task(send())
    await until_gone(websocket)
    sending.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await sending


async def catches_where_it_receives_alone(websocket, queue):
    item, message = asyncio.ensure_future(queue.get()), asyncio.ensure_future(websocket.receive())
    try:
        while True:
            await asyncio.wait({item, message}, return_when=asyncio.FIRST_COMPLETED)
            if message.done():
                if message.result()["type"] == "websocket.disconnect":
                    return
                message = asyncio.ensure_future(websocket.receive())
            if item.done():
                await websocket.send_text(item.result())
                item = asyncio.ensure_future(queue.get())
    finally:
        item.cancel()
        message.cancel()


async def sends_again_and_again(websocket, queue):
    async def send():
        while True:
            text = await queue.get()
            with contextlib.suppress(WebSocketDisconnect):
                await websocket.send_text(text)
                continue
            await websocket.send_text(text)

    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send())
        await until_gone(websocket)
        sending.cancel()


WRONG = {
    "as handed out": (as_handed_out, RETURNS, "listen meanwhile, and end both"),
    "sends one": (sends_one, ARRIVES, "nothing within"),
    "receives first": (receives_first, ARRIVES, "nothing within"),
    "stops at an empty text": (stops_at_an_empty_text, ARRIVES, "''"),
    "sends bytes": (sends_bytes, ARRIVES, "b'one'"),
    "accepts again": (accepts_again, ARRIVES, "follow raised RuntimeError"),
    "forgets to await": (forgets_to_await, ARRIVES, "send_text"),
    "no coroutine function": (no_coroutine, ARRIVES, "write `async def`"),
    "returns at once": (returns_at_once, ARRIVES, "follow returned"),
    "one text for two items": (sends_one_with_the_other, ARRIVES, "got: 'one"),
    "no text twice": (sends_no_text_twice, ARRIVES, "the item 'one', got: nothing within"),
    "without the space around it": (changing(str.strip), ARRIVES, "' two\\n', got: 'two'"),
    "a hundred characters of each": (changing(lambda text: text[:100]), ARRIVES, "(3002 char"),
    "a greeting first": (greets, ARRIVES, "got: 'welcome'"),
    "no function": (None, ARRIVES, "a function that takes (websocket, queue), got: None"),
    "ends at a word": (
        ends_at_a_word,
        THROWN_AWAY,
        "after the client has said 'quit', got: follow",
    ),
    "receives once": (receives_once, THROWN_AWAY, "follow returned"),
    "takes text alone": (takes_text_alone, THROWN_AWAY, "follow raised"),
    "answers": (answers, THROWN_AWAY, "you said hello"),
    "closes who talks": (closes_who_talks, THROWN_AWAY, "takes whatever comes"),
    "returns a second late": (returns_late, RETURNS, "it runs on after the client has left"),
    "looks each second": (looks_each_second, RETURNS, "it runs on after the client has left"),
    "returns at a goodbye alone": (returns_at_a_goodbye_alone, RETURNS, "Cannot call"),
    "closes what is closed": (closes_afterwards, RETURNS, "follow raised"),
    "looks at the state": (looks_at_the_state, RETURNS, "it runs on after the client has left"),
    "polls the state": (polls_the_state, RETURNS, "it runs on after the client has left"),
    "joins the sender": (
        joins_the_sender,
        RETURNS,
        "A TaskGroup ends the others only on an error",
    ),
    "lets it escape": (lets_it_escape, RETURNS, "follow raised WebSocketDisconnect"),
    "catches without a star": (catches_without_a_star, RETURNS, "follow raised ExceptionGroup"),
    "awaits what it cancelled": (awaits_what_it_cancelled, RETURNS, "follow raised CancelledError"),
    "receives after the end": (receives_after_the_end, RETURNS, "Cannot call"),
    "gathers": (gathers, TAKES_NOTHING, "1 in the queue"),
    "forgets the pending": (forgets_the_pending, TAKES_NOTHING, "1 in the queue"),
    "cancels after one more": (cancels_after_one_more, TAKES_NOTHING, "1 in the queue"),
    "empties the queue": (empties_the_queue, TAKES_NOTHING, "0 in the queue"),
    "gives back what it sent": (gives_back_what_it_sent, TAKES_NOTHING, "3 in the queue"),
    "drains the queue": (drains_the_queue, TAKES_NOTHING, "0 in the queue"),
    "empties the queue first": (empties_the_queue_first, TAKES_NOTHING, "0 in the queue"),
    "says stop in the queue": (says_stop_in_the_queue, TAKES_NOTHING, "3 in the queue"),
    "will not be cancelled": (will_not_be_cancelled, TAKES_NOTHING, "in the queue"),
    "leaves a heartbeat": (leaves_a_heartbeat, NO_TASK, "1, still running"),
    "lets a failed send out": (lets_a_failed_send_out, RAISES_NOTHING, "raised ExceptionGroup"),
    "awaits a task that has failed": (
        awaits_a_task_that_has_failed,
        RAISES_NOTHING,
        "follow raised WebSocketDisconnect after a send has failed",
    ),
    "in one task, and catches nothing": (
        catches_where_it_receives_alone,
        RAISES_NOTHING,
        "catch WebSocketDisconnect around send_text",
    ),
    "sends again after a failure": (sends_again_and_again, RAISES_NOTHING, "ExceptionGroup"),
}


async def solution(websocket, queue):
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_all(websocket, queue))
        await until_gone(websocket)
        sending.cancel()


async def with_except_star(websocket, queue):
    async def send():
        while True:
            await websocket.send_text(await queue.get())

    async def listen():
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                raise WebSocketDisconnect(message["code"])

    try:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(send())
            tasks.create_task(listen())
    except* WebSocketDisconnect:
        pass


async def with_finally(websocket, queue):
    sending = asyncio.create_task(send_all(websocket, queue))
    try:
        await until_gone(websocket)
    finally:
        sending.cancel()


async def with_wait(websocket, queue):
    both = {asyncio.ensure_future(job(websocket, queue)) for job in (send_all, listen_to)}
    _, pending = await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)


async def listen_to(websocket, _):
    await until_gone(websocket)


async def with_anyio(websocket, queue):
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(send_all, websocket, queue)
        await until_gone(websocket)
        tasks.cancel_scope.cancel()


async def in_one_task(websocket, queue):
    """Waits for whichever comes first, and keeps what it began to wait for."""
    item, message = asyncio.ensure_future(queue.get()), asyncio.ensure_future(websocket.receive())
    while True:
        await asyncio.wait({item, message}, return_when=asyncio.FIRST_COMPLETED)
        if message.done():
            if message.result()["type"] == "websocket.disconnect":
                item.cancel()
                return
            message = asyncio.ensure_future(websocket.receive())
        if item.done():
            with contextlib.suppress(WebSocketDisconnect):
                await websocket.send_text(item.result())
            item = asyncio.ensure_future(queue.get())


async def in_a_room(websocket, queue):
    room = Room()
    room.join(websocket)

    async def publish():
        while True:
            await room.publish(await queue.get())

    publishing = asyncio.create_task(publish())
    await until_gone(websocket)
    publishing.cancel()
    room.leave(websocket)


class Follower:
    async def __call__(self, websocket, queue):
        await solution(websocket, queue)


async def with_match(websocket, queue):
    sending = asyncio.create_task(send_all(websocket, queue))
    try:
        while True:
            match await websocket.receive():
                case {"type": "websocket.disconnect"}:
                    return "done"
    finally:
        sending.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await sending


@contextlib.asynccontextmanager
async def in_the_background(job):
    task = asyncio.create_task(job)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def with_a_context_manager(websocket, queue):
    async with in_the_background(send_all(websocket, queue)):
        await until_gone(websocket)


async def with_an_exit_stack(websocket, queue):
    with contextlib.ExitStack() as stack:
        stack.callback(asyncio.create_task(send_all(websocket, queue)).cancel)
        await until_gone(websocket)


async def sends_itself(websocket, queue):
    """The task of the handler sends, and another one ends it."""
    gone = False

    async def listen():
        nonlocal gone
        await until_gone(websocket)
        gone = sender.cancel()

    sender = asyncio.current_task()
    listening = asyncio.create_task(listen())
    try:
        await send_all(websocket, queue)
    except asyncio.CancelledError:
        if not gone:
            raise
        sender.uncancel()
    finally:
        listening.cancel()


async def receives_texts(websocket, queue):
    """`iter_text` raises for bytes, and is begun again."""
    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send_all(websocket, queue))
        while websocket.client_state.name == "CONNECTED":
            with contextlib.suppress(KeyError):
                async for _ in websocket.iter_text():
                    pass
        sending.cancel()


async def puts_back_what_it_could_not_send(websocket, queue):
    async def send():
        while True:
            text = await queue.get()
            try:
                await websocket.send_text(text)
            except (WebSocketDisconnect, RuntimeError):
                queue.put_nowait(text)
                return

    async with asyncio.TaskGroup() as tasks:
        sending = tasks.create_task(send())
        await until_gone(websocket)
        sending.cancel()


async def looks_now_and_then(websocket, queue):
    """It listens and sends in turns, for a hundredth of a second each."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                text = await queue.get()
            with contextlib.suppress(WebSocketDisconnect):
                await websocket.send_text(text)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.01):
                if (await websocket.receive())["type"] == "websocket.disconnect":
                    return


RIGHT = {
    "the solution": solution,
    "except*": with_except_star,
    "finally": with_finally,
    "asyncio.wait": with_wait,
    "anyio": with_anyio,
    "in one task": in_one_task,
    "a room of one": in_a_room,
    "match": with_match,
    "a context manager": with_a_context_manager,
    "an exit stack": with_an_exit_stack,
    "the handler's task sends": sends_itself,
    "iter_text, again and again": receives_texts,
    "puts back what it could not send": puts_back_what_it_could_not_send,
    "looks now and then": looks_now_and_then,
    "an object that is called": Follower(),
    "no coroutine function, and awaitable": lambda *given: solution(*given),
}


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.follow(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.follow(RIGHT[name]))
