"""The rooms on a real server, and clients of them, whose tokens the tests sign themselves."""

import asyncio
import contextlib
import json

import httpx2
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from chatlib.core.rooms.identity import Tokens
from chatlib.lab.serve import Server
from chatlib.rooms import create_app

GUARD_SECONDS = 30.0
SECRET = "a secret that is known to all tests"
TOKENS = Tokens(SECRET)
SUBPROTOCOL = "chatlib.rooms.1"


class Guest:
    """A client of a room, and what it was told and not asked for yet."""

    def __init__(self, connection):
        self.connection = connection
        self.told = []
        self.seen = []  # all frames, for tests of the protocol
        self.keys = 0

    async def next(self, kind, **fields):
        """Return the next frame of a kind that has these fields."""
        while True:
            for frame in self.told:
                if frame["type"] == kind and fields.items() <= frame.items():
                    self.told.remove(frame)
                    return frame
            await self.hear()

    async def hear(self):
        """Take in one more frame."""
        frame = json.loads(await self.connection.recv())
        self.told.append(frame)
        self.seen.append(frame)

    async def send(self, frame):
        """Send a frame: text as it is, anything else as JSON."""
        text = frame if isinstance(frame, str | bytes) else json.dumps(frame, ensure_ascii=False)
        await self.connection.send(text)

    async def say(self, text, key=None, **more):
        """Say something; return the key."""
        self.keys += 1
        key = key or f"m{self.keys}"
        await self.send({"type": "say", "key": key, "text": text, **more})
        return key

    async def said(self, text, key=None, **more):
        """Say something; return the acknowledgement, or the error, that comes for it."""
        return await self.answer(await self.say(text, key, **more))

    async def answer(self, key):
        """Return the acknowledgement, or the error, that comes for a key."""
        while True:
            for frame in self.told:
                if frame["type"] in {"ack", "error"} and frame.get("key") == key:
                    self.told.remove(frame)
                    return frame
            await self.hear()

    async def refused(self, frame):
        """Send a frame, and return the error that comes for it."""
        await self.send(frame)
        return await self.next("error")

    async def messages(self, number):
        """Return the next messages."""
        return [await self.next("message") for _ in range(number)]

    async def texts(self, number):
        """Return what the next messages say."""
        return [message["text"] for message in await self.messages(number)]

    async def sees(self, *names):
        """Wait until it has been told that these are the people."""
        while self.people != set(names):
            told = await self.next("people")
            self.people = self.people - set(told["left"]) | set(told["joined"])

    async def closed(self):
        """Return the code with which the server closes, and the reason."""
        try:
            while True:
                await self.hear()
        except ConnectionClosed as end:
            return (end.rcvd.code, end.rcvd.reason) if end.rcvd is not None else (1006, "")

    async def leave(self):
        """Close the connection, and wait until that is done."""
        await self.connection.close()


class House:
    """A server with rooms, and its clients."""

    def __init__(self, server, app):
        self.server = server
        self.app = app
        self.hub, self.rooms = app.state.hub, app.state.rooms
        self.open = []
        self.http = httpx2.AsyncClient(base_url=server.http_url(""), trust_env=False, verify=False)

    async def knock(self, path, name=None, *, token=None, headers=None, **options):
        """Connect to a room, and take nothing in yet."""
        headers = dict(headers or {})
        if token is None and name is not None:
            token = TOKENS.sign(name, 3600)
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        options.setdefault("subprotocols", [SUBPROTOCOL])
        url = self.server.ws_url(f"/rooms/{path}")
        connection = await connect(url, additional_headers=headers, proxy=None, **options)
        guest = Guest(connection)
        self.open.append(guest)
        return guest

    async def join(self, path, name, **options):
        """Connect to a room, and take in the welcome."""
        guest = await self.knock(path, name, **options)
        guest.welcome = await guest.next("welcome")
        guest.people = set(guest.welcome["people"] or ())
        return guest

    async def refusal(self, path, name=None, **options):
        """Return the code and reason with which a connection is closed that tells nothing."""
        guest = await self.knock(path, name, **options)
        end = await guest.closed()
        assert guest.seen == []
        return end

    async def get(self, path, name=None, **options):
        return await self.http.get(path, headers=bearer(name), **options)

    async def post(self, path, body, name=None, **headers):
        return await self.http.post(path, json=body, headers=bearer(name) | headers)

    def health(self):
        """Return how many connections there are, and rooms."""
        entrance = self.app.state.entrance
        return {"members": entrance.open.total(), "rooms": len(self.hub.rooms)}

    async def call(self, coroutine):
        """Run `coroutine` in the event loop of the server."""
        return await asyncio.wrap_future(
            asyncio.run_coroutine_threadsafe(coroutine, self.server.loop)
        )

    async def until(self, condition):
        """Wait until `condition()`, looked at in the event loop of the server, is true."""

        async def wait():
            while not condition():  # noqa: ASYNC110 — what it looks at sets no event
                await asyncio.sleep(0.005)

        await self.call(wait())

    async def end(self):
        await self.http.aclose()
        for guest in self.open:
            guest.connection.transport.abort()  # there may be more than it would read
            await guest.connection.wait_closed()


def bearer(name):
    return {} if name is None else {"Authorization": f"Bearer {TOKENS.sign(name, 3600)}"}


@contextlib.asynccontextmanager
async def open_house(store="memory:", *, server=None, **options):
    """Serve rooms, with `server` for the options of uvicorn, and the rest for `create_app`."""
    app = create_app(store, **{"secret": SECRET, **options})
    with Server(app, **(server or {})) as running:
        house = House(running, app)
        try:
            yield house
        finally:
            await house.end()


def play(scenario, *stores, **options):
    """Run `scenario(house, …)`, with a house for each store."""

    async def run():
        async with asyncio.timeout(GUARD_SECONDS), contextlib.AsyncExitStack() as stack:
            houses = [
                await stack.enter_async_context(open_house(store, **options))
                for store in stores or ["memory:"]
            ]
            await scenario(*houses)

    asyncio.run(run())
