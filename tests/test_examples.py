"""The examples: small apps on the hub, as a newcomer writes them, on servers and bad networks."""

import asyncio
import contextlib
import http.client
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import websockets

from chatlib.lab import FaultProxy
from chatlib.stores import Cursor

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "tests/examples"
GUARD_SECONDS = 60.0  # against a hang; it decides nothing
BACK_SECONDS = 0.02  # how long a client waits before it comes back


class Worker:
    """A process that serves `orders`; a context manager.

    Args:
        store: its address.
        options: of uvicorn.
    """

    def __init__(self, store, *options):
        self.environ = {**os.environ, "ORDERS_STORE": store, "PYTHONPATH": str(ROOT)}
        self.options = options
        self.port = 0

    def start(self):
        """Start it, at the same port as before."""
        command = [sys.executable, "-m", "uvicorn", "orders:app", "--app-dir", str(FOLDER)]
        self.process = subprocess.Popen(
            [*command, "--port", str(self.port), "--no-access-log", *self.options],
            env=self.environ,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.log = []
        for line in self.process.stderr:
            self.log.append(line)
            if running := re.search(r"running on http://127\.0\.0\.1:(\d+)", line):
                self.port = int(running[1])
                return
        raise AssertionError("".join(self.log))

    def kill(self):
        """Kill it; return what it has logged."""
        self.process.kill()
        return self.ended()

    def stop(self):
        """Stop it as a supervisor does; return what it has logged."""
        self.process.terminate()
        return self.ended()

    def ended(self):
        return "".join(self.log) + self.process.communicate(timeout=GUARD_SECONDS)[1]

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc_info):
        if self.process.poll() is None:
            self.kill()
        self.process.stderr.close()


def post(port, path, body=None, key=None):
    """Return the status and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GUARD_SECONDS)
    headers = {"Content-Type": "application/json"} | ({"Idempotency-Key": key} if key else {})
    with contextlib.closing(connection):
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


class Follower:
    """A client that keeps its cursor and comes back, as the page does."""

    def __init__(self, network):
        self.network = network
        self.cursor = None
        self.heard = []
        self.welcomes = []
        self.connections = 0
        self.told = asyncio.Condition()
        self.task = asyncio.create_task(self.run())

    async def run(self):
        while True:
            query = f"?after={self.cursor}" if self.cursor else ""
            with contextlib.suppress(OSError, websockets.WebSocketException):
                async with websockets.connect(
                    self.network.ws_url(f"/orders{query}"), proxy=None, close_timeout=1
                ) as connection:
                    self.connections += 1
                    async for text in connection:
                        await self.take(json.loads(text))
            await asyncio.sleep(BACK_SECONDS)

    async def take(self, frame):
        async with self.told:
            if frame["type"] == "welcome":
                self.welcomes.append(frame["history"])
            elif frame["type"] == "message":
                self.cursor = f"{frame['id']}.{frame['tag']}"
                self.heard.append((frame["id"], frame["data"]))
            self.told.notify_all()

    async def until(self, condition):
        """Wait until `condition()`, which is looked at with each frame."""
        async with self.told:
            await self.told.wait_for(condition)

    async def hears(self, number):
        """Wait until it has heard of the order with this id."""
        await self.until(lambda: self.heard and self.heard[-1][0] >= number)


class Shop:
    """Two workers on one file, a bad network before each, and what was ordered and acknowledged."""

    def __init__(self, one, other, networks):
        self.workers = (one, other)
        self.networks = networks
        self.acknowledged = {}
        self.keys = 0

    async def order(self, *, port=None, path="/orders"):
        """Order something, and once more with the same key until it is acknowledged; return its id.

        Without a port: at the worker that is never killed.
        """
        self.keys += 1
        key, item = f"key-{self.keys}", f"item-{self.keys}"
        while True:
            try:
                status, answer = await asyncio.to_thread(
                    post, port or self.workers[1].port, path, {"item": item}, key
                )
            except (OSError, http.client.HTTPException):
                await asyncio.sleep(BACK_SECONDS)
                continue
            assert status == 201, answer
            self.acknowledged[answer["id"]] = {"item": item, "table": 0}
            return answer["id"]


def in_a_shop(tmp_path, scenario):
    """Run `scenario(shop)`; both workers have to stop without a word of an error.

    One is uvicorn as it comes, which is told once that it is slow; the other takes ready frames.
    """
    store = f"sqlite:///{tmp_path}/orders.db"

    async def run():
        async with asyncio.timeout(GUARD_SECONDS):
            with (
                Worker(store) as one,
                Worker(store, "--ws", "chatlib.core.fanout:FanoutProtocol") as other,
                FaultProxy(one) as network,
                FaultProxy(other) as second,
            ):
                await scenario(Shop(one, other, (network, second)))
                for worker in (one, other):
                    expect_clean(await asyncio.to_thread(worker.stop))

    asyncio.run(run())


def expect_clean(log):
    """There is no word of an error in what a worker has logged."""
    log = log.replace("WARNING:  This server does not take ready frames", "")
    assert not re.search("ERROR|Traceback|WARNING", log), log


@contextlib.asynccontextmanager
async def following(shop, number):
    """Have so many followers at each worker; each has heard an order."""
    followers = [Follower(network) for network in shop.networks for _ in range(number)]
    try:
        for follower in followers:
            await follower.until(lambda follower=follower: follower.welcomes)
        first = await shop.order()
        for follower in followers:
            await follower.hears(first)
        yield followers
    finally:
        for follower in followers:
            follower.task.cancel()
        await asyncio.wait([follower.task for follower in followers])


def expect_all(shop, followers):
    """Each has heard all that was acknowledged, once, in order, and nothing is missing between."""
    for follower in followers:
        ids = [number for number, _ in follower.heard]
        assert ids == [*range(ids[0], ids[0] + len(ids))]
        heard = dict(follower.heard)
        expected = {n: data for n, data in shop.acknowledged.items() if n >= ids[0]}
        assert {n: data for n, data in heard.items() if n in expected} == expected
        assert set(follower.welcomes[1:]) <= {"complete"}


@pytest.mark.parametrize("example", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_the_types_of_the_hub_can_be_followed(example):
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", str(example)]
    checked = subprocess.run(mypy, capture_output=True, text=True, cwd=ROOT, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_way_to_order_reaches_the_dashboards_of_both_workers(tmp_path):
    async def scenario(shop):
        async with following(shop, 1) as followers:
            number = await shop.order()
            await shop.order(path="/phone-orders", port=shop.workers[0].port)
            status, _ = await asyncio.to_thread(
                post, shop.workers[0].port, f"/orders/{number}/cook"
            )
            assert status == 202
            for follower in followers:
                await follower.hears(number + 2)
            script = await asyncio.create_subprocess_exec(
                sys.executable,
                str(FOLDER / "orders.py"),
                "tea",
                "cake",
                env=shop.workers[0].environ,
                stdout=subprocess.PIPE,
            )
            printed, _ = await script.communicate()
            assert printed.decode().splitlines() == [
                f"tea: order {number + 3}",
                f"cake: order {number + 4}",
            ]
            for follower in followers:
                await follower.hears(number + 4)
                assert [data for _, data in follower.heard[-3:]] == [
                    {"ready": number},
                    {"item": "tea", "table": 0},
                    {"item": "cake", "table": 0},
                ]
            expect_all(shop, followers)

    in_a_shop(tmp_path, scenario)


def test_an_order_whose_answer_is_cut_off_is_kept_once(tmp_path):
    async def scenario(shop):
        async with following(shop, 1) as followers:
            for path in ("/orders", "/phone-orders"):
                shop.networks[0].cut()  # the follower comes back, and says nothing from then on
                back = followers[0].connections + 1
                await followers[0].until(lambda back=back: len(followers[0].welcomes) >= back)
                rule = shop.networks[0].cut_reply(b"HTTP/1.1 201")
                number = await shop.order(port=shop.networks[0].port, path=path)
                await rule.hit()
                for follower in followers:
                    await follower.hears(number)
            status, again = await asyncio.to_thread(
                post, shop.workers[1].port, "/orders", {"item": "?"}, f"key-{shop.keys}"
            )
            assert (status, again) == (201, {"id": number, "again": True})
            expect_all(shop, followers)

    in_a_shop(tmp_path, scenario)


def test_dashboards_miss_nothing_on_a_bad_network(tmp_path):
    async def scenario(shop):
        async with following(shop, 3) as followers:
            stop = asyncio.Event()

            async def order_all_the_time():
                while not stop.is_set():
                    await shop.order()

            ordering = [asyncio.create_task(order_all_the_time()) for _ in range(3)]
            for turn in range(4):
                for network in shop.networks:
                    await network.cut_after(turn * 150).hit()
                    await network.cut_after(2000 + turn).hit()
                    await network.stall("down").hit()
                    network.cut()  # nobody has been told
                    network.heal()
                    network.refuse()
                    network.cut()
                    number = await shop.order()
                    network.heal()
                    for follower in followers:
                        await follower.hears(number)
            stop.set()
            await asyncio.gather(*ordering)
            last = await shop.order()
            for follower in followers:
                await follower.hears(last)
            expect_all(shop, followers)
            assert all(follower.connections > 4 for follower in followers)

    in_a_shop(tmp_path, scenario)


@pytest.mark.parametrize("end", [Worker.kill, Worker.stop], ids=["killed", "stopped"])
def test_dashboards_miss_nothing_when_their_worker_ends_and_is_started_again(tmp_path, end):
    async def scenario(shop):
        async with following(shop, 3) as followers:
            for _ in range(2):
                async with asyncio.TaskGroup() as ordering:  # at the worker that ends, too
                    for _ in range(5):
                        ordering.create_task(shop.order(port=shop.workers[0].port))
                    expect_clean(await asyncio.to_thread(end, shop.workers[0]))
                    for _ in range(30):  # more than a newcomer gets
                        await shop.order()
                    await asyncio.to_thread(shop.workers[0].start)
                last = await shop.order(port=shop.workers[0].port)
                for follower in followers:
                    await follower.hears(last)
            expect_all(shop, followers)

    in_a_shop(tmp_path, scenario)


def test_a_cursor_that_is_none_is_refused_with_the_reason(tmp_path):
    async def scenario(shop):
        for network in shop.networks:
            url = network.ws_url("/orders?after=yesterday")
            async with websockets.connect(url, proxy=None) as client:
                with pytest.raises(websockets.ConnectionClosedError, match="expected a cursor"):
                    await client.recv()
                assert client.close_code == 1008

    in_a_shop(tmp_path, scenario)


def test_a_cursor_of_another_history_is_told(tmp_path):
    async def scenario(shop):
        await shop.order()
        for network in shop.networks:
            url = network.ws_url(f"/orders?after={Cursor(1, '0123abcd')}")
            async with websockets.connect(url, proxy=None) as client:
                assert json.loads(await client.recv())["history"] == "diverged"
                assert json.loads(await client.recv())["data"]["item"] == "item-1"

    in_a_shop(tmp_path, scenario)
