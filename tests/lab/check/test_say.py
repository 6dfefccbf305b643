"""`check.say` tells right answers from wrong ones."""

import asyncio
import contextlib
import functools
import gc
import warnings

import pytest
import websockets
import websockets.sync.client
from answers import expect_accepted, expect_rejected

from chatlib.lab import check

RETURNS = "say(url, 'hello') returns the two messages that come back"
SENDS = "it sends the text once, as it is, to the address it is given"
CAME = "what it returns is what came, whatever that is"
HANGS_UP = "it hangs up when it has them"

kept = []  # connections that nobody closes, and the collector would


async def stub(url, text):
    return []


async def never_connects(url, text):
    return [f"You wrote: {text}", f"Client #{url.rpartition('/')[2]} says: {text}"]


async def makes_the_messages(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        await client.recv()
        await client.recv()
    return [f"You wrote: {text}", f"Client #{url.rpartition('/')[2]} says: {text}"]


async def makes_the_second(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        first = await client.recv()
        await client.recv()
    return [first, f"Client #{url.rpartition('/')[2]} says: {text}"]


async def sends_twice(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        await client.send(text)
        return [await client.recv(), await client.recv()]


async def strips(url, text):
    async with websockets.connect(url) as client:
        await client.send(text.strip())
        return [await client.recv(), await client.recv()]


async def always_says_hello(url, text):
    async with websockets.connect(url) as client:
        await client.send("hello")
        return [await client.recv(), await client.recv()]


async def always_goes_to_seven(url, text):
    async with websockets.connect(url.rpartition("/")[0] + "/7") as client:
        await client.send(text)
        return [await client.recv(), await client.recv()]


async def stays(url, text):
    client = await websockets.connect(url)
    kept.append(client)
    await client.send(text)
    return [await client.recv(), await client.recv()]


async def receives_once(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        return [await client.recv()]


async def returns_a_text(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        return await client.recv()


async def returns_a_pair(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        return await client.recv(), await client.recv()


async def in_the_wrong_order(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        return [await client.recv(), await client.recv()][::-1]


async def prints(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        [await client.recv(), await client.recv()]


async def yields(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        yield await client.recv()
        yield await client.recv()


async def waits_for_a_third(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        return [await client.recv() for _ in range(3)]


async def forgets_await_before_send(url, text):
    async with websockets.connect(url) as client:
        client.send(text)
        return [await client.recv(), await client.recv()]


async def forgets_await_before_recv(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        return [client.recv(), client.recv()]


async def forgets_to_connect(url, text):
    client = websockets.connect(url)
    await client.send(text)


async def with_alone(url, text):
    with websockets.connect(url) as client:
        await client.send(text)


async def awaits_too_much(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        return await [await client.recv(), await client.recv()]


async def takes_one(url):
    return []


async def does_not_catch(url, text):
    raise ConnectionError("no luck")


async def leaves_python(url, text):
    raise SystemExit


class Sayer:
    async def __call__(self, url, text):
        async with websockets.connect(url) as client:
            await client.send(text)
            return [await client.recv(), await client.recv()]


async def strips_what_comes(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        return [(await client.recv()).strip(), (await client.recv()).strip()]


async def takes_all_that_comes(url, text):
    messages = []
    async with websockets.connect(url) as client:
        await client.send(text)
        with contextlib.suppress(TimeoutError):
            while True:
                messages.append(await asyncio.wait_for(client.recv(), 0.2))
    return messages


async def repeats_the_first(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        return [await client.recv()] * 2


async def takes_bytes(url, text):
    async with websockets.connect(url) as client:
        await client.send(text)
        return [await client.recv(decode=False), await client.recv(decode=False)]


async def keeps_one_connection(url, text, connected=[]):  # noqa: B006 - that is the mistake
    if not connected:
        connected.append(await websockets.connect(url))
    await connected[0].send(text)
    return [await connected[0].recv(), await connected[0].recv()]


async def keeps_one_list(url, text, messages=[]):  # noqa: B006 - that is the mistake
    async with websockets.connect(url) as client:
        await client.send(text)
        messages += [await client.recv(), await client.recv()]
    return messages


async def sends_bytes(url, text):
    async with websockets.connect(url) as client:
        await client.send(text.encode())
        return [await client.recv(), await client.recv()]


WRONG = {
    "the stub": (stub, RETURNS, "got: [], and nobody connected"),
    "it never connects": (never_connects, SENDS, "none came"),
    "it makes the messages itself": (makes_the_messages, CAME, "do not make the messages"),
    "it makes one of them itself": (makes_the_second, CAME, "do not make the messages"),
    "it sends twice": (sends_twice, SENDS, "got: ['', '']"),
    "it sends another text": (strips, SENDS, "naïve ☕ '], got: ['"),
    "it says hello to all": (always_says_hello, SENDS, "expected [''], got: ['hello']"),
    "it goes to one address": (always_goes_to_seven, SENDS, "got: ['/ws/7']"),
    "it stays connected": (stays, HANGS_UP, "still connected 1 s after it returned"),
    "it receives once": (receives_once, RETURNS, "got: ['You wrote: hello']"),
    "it returns no list": (returns_a_text, RETURNS, "a list of two texts, got: 'You"),
    "it returns a tuple": (returns_a_pair, RETURNS, "a list of two texts, got: ('You"),
    "the other order": (in_the_wrong_order, RETURNS, "got: ['Client #7 says: hello', 'You"),
    "it prints": (prints, RETURNS, "without `return`"),
    "it yields": (yields, RETURNS, "yield` nothing"),
    "it waits for a third message": (waits_for_a_third, RETURNS, "recv() for _ in range(3)]"),
    "no await before send": (forgets_await_before_send, RETURNS, "`await` before the call of send"),
    "no await before recv": (forgets_await_before_recv, RETURNS, "you forgot `await`"),
    "no connection": (forgets_to_connect, RETURNS, "the call alone does not"),
    "with for async with": (with_alone, RETURNS, "`async with`, not `with`"),
    "an await too many": (awaits_too_much, RETURNS, "leave that `await` out"),
    "one parameter": (takes_one, RETURNS, "its parameters are (url, text)"),
    "it raises": (does_not_catch, RETURNS, 'test_say.py: raise ConnectionError("no luck")'),
    "it leaves Python": (leaves_python, RETURNS, "your code raised SystemExit"),
    "a class for a function": (Sayer, RETURNS, "an instance: Sayer()"),
    "a result for a function": ([], RETURNS, "without brackets"),
    "it strips what comes": (strips_what_comes, CAME, "do not make the messages"),
    "the first message twice": (repeats_the_first, RETURNS, "each recv() gives one message"),
    "a message as bytes": (takes_bytes, RETURNS, "recv() gives a text"),
    "one connection for all calls": (keeps_one_connection, SENDS, "ConnectionClosed"),
    "one list for all calls": (keeps_one_list, CAME, "got: ['You wrote: hello'"),
    "it takes all that comes": (takes_all_that_comes, CAME, "what somebody else says"),
    "it sends bytes": (sends_bytes, RETURNS, "send the text itself"),
}


async def with_try(url, text):
    client = await websockets.connect(url)
    try:
        await client.send(text)
        messages = []
        while len(messages) < 2:
            messages.append(await client.recv())
        return messages
    finally:
        await client.close()


async def by_iteration(address, what):
    messages = []
    async with websockets.connect(address) as connection:
        await connection.send(what)
        async for message in connection:
            messages.append(message)
            if len(messages) == 2:
                break
    return messages


def plain(url, text):
    with websockets.sync.client.connect(url) as client:
        client.send(text)
        return [client.recv(), client.recv()]


async def with_timeouts(url, text):
    async with websockets.connect(url, open_timeout=30) as client:
        await client.send(text)
        return [await asyncio.wait_for(client.recv(), 30) for _ in range(2)]


async def three_parameters(url, text, count=2):
    async with websockets.connect(url) as client:
        await client.send(text)
        return [await client.recv() for _ in range(count)]


def loop_of_its_own(url, text):
    return asyncio.run(with_try(url, text))


async def in_a_task_group(url, text):
    async with websockets.connect(url) as client, asyncio.TaskGroup() as group:
        receiving = group.create_task(receive_two(client))
        await client.send(text)
    return receiving.result()


async def receive_two(client):
    return [await client.recv(), await client.recv()]


async def blocks_shortly(url, text):
    """`async def` with the client that blocks: not nice, and right."""
    return plain(url, text)


RIGHT = {
    "a task that receives": in_a_task_group,
    "async def, and the client without async": blocks_shortly,
    "try and finally": with_try,
    "async for": by_iteration,
    "def, and the client without async": plain,
    "timeouts": with_timeouts,
    "an instance of a class": Sayer(),
    "a partial": functools.partial(three_parameters, count=2),
    "a lambda": lambda url, text: with_try(url, text),
    "def, and a loop of its own": loop_of_its_own,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name, monkeypatch):
    monkeypatch.setattr("chatlib.lab.check.tools.bench.QUIET_SECONDS", 0.1)  # for one that stays
    answer, rule, words = WRONG[name]
    expect_rejected(check.say(answer), rule, words)
    if kept:
        with warnings.catch_warnings():  # of a connection that was left open, as it was
            warnings.simplefilter("ignore", ResourceWarning)
            kept.clear()
            gc.collect()


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.say(RIGHT[name]))


def test_a_coroutine_in_place_of_the_function_is_said_to_be_one():
    expect_rejected(check.say(stub("ws://127.0.0.1", "hello")), RETURNS, "without brackets")
