"""A server with one room and one sender: what `python -m benchmarks.bad_members` measures.

It prints the port that it listens at, and then does as it is told on stdin: `go` starts the
sender, `stats` prints what the room says of itself. It ends with its stdin, and after `--life`
seconds in any case.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time

import uvloop
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import ASGIApp
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchmarks.bad_clients import GIVE_UP_SECONDS
from benchmarks.process import Process
from benchmarks.servers import FANOUT, on_hypercorn, on_uvicorn
from chatlib import Room

TEXT = "x" * 1000
SETTLE_SECONDS = 0.5
TURN = 4096  # messages after which the sender lets others run, if `publish` did not


def app_of(room: Room) -> ASGIApp:
    """Return an app whose clients are all members of `room`. What they say is read and dropped."""

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        room.join(websocket)
        try:
            while True:
                await websocket.receive_text()
        except WebSocketDisconnect:
            pass
        finally:
            room.leave(websocket)

    return Starlette(routes=[WebSocketRoute("/ws", endpoint)])


async def flood(room: Room) -> None:
    """Publish as fast as the room lets it."""
    while True:
        for _ in range(TURN):
            await room.publish(TEXT)
        await asyncio.sleep(0)  # a room that nobody is in takes everything at once


async def pace(room: Room, rate: int) -> None:
    """Publish `rate` bytes a second, and what was held up as soon as that is possible."""
    began, sent = time.monotonic(), 0
    while True:
        while sent < (time.monotonic() - began) * rate:
            await room.publish(TEXT)
            sent += len(TEXT)
        await asyncio.sleep(0.002)


def obey(room: Room, loop: asyncio.AbstractEventLoop, rate: int) -> None:
    """Do what stdin says. It runs in a thread, so that it answers even if the loop does not."""
    sending = []

    def start() -> None:
        sending.append(loop.create_task(pace(room, rate) if rate else flood(room)))

    for line in sys.stdin:
        if line == "go\n":
            loop.call_soon_threadsafe(start)
        else:
            stats = room.stats
            print(json.dumps([stats.members, dict(stats.evicted), stats.waiting]), flush=True)
    os._exit(0)


async def serve(room: Room, name: str, sock: socket.socket, rate: int) -> None:
    """Serve `room` at `sock` with the server called `name`, until the process ends."""
    loop = asyncio.get_running_loop()
    threading.Thread(target=obey, args=(room, loop, rate), daemon=True).start()
    if name == "hypercorn":
        await on_hypercorn(app_of(room))(sock)
    else:
        ws = FANOUT if name == "chatlib" else "websockets-sansio"
        await on_uvicorn(app_of(room), ws)(sock)


class Server(Process):
    """This module as a process of its own, until the end of a `with`."""

    def __init__(self, life: float, *arguments: str) -> None:
        module = [sys.executable, "-m", "benchmarks.bad_server", f"--life={life:.0f}"]
        super().__init__([*module, *arguments])

    def stats(self) -> tuple[int, dict[str, int], int]:
        """Return the room's `members`, `evicted` and `waiting`."""
        self.tell("stats")
        return tuple(json.loads(self.answer()))

    def expect(self, members: int) -> None:
        """Wait until so many are in the room, and a little more, so that all is quiet."""
        deadline = time.monotonic() + GIVE_UP_SECONDS
        while (here := self.stats()[0]) != members:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{here} members are in the room instead of {members}")
            time.sleep(0.02)
        time.sleep(SETTLE_SECONDS)


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bad_server", description=__doc__)
    parser.add_argument("name", choices=["chatlib", "uvicorn", "hypercorn"])
    parser.add_argument("--rate", type=int, default=0, help="bytes a second; 0: all it can")
    parser.add_argument("--room", type=json.loads, default={}, help="the room's options, as JSON")
    parser.add_argument("--send-buffer", type=int, help="of the listening socket, in bytes")
    parser.add_argument("--life", type=int, default=60, help="seconds after which it ends anyway")
    options = parser.parse_args()
    signal.alarm(options.life)
    sock = socket.socket()
    if options.send_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, options.send_buffer)
    sock.bind(("127.0.0.1", 0))
    sock.listen(2048)
    print(sock.getsockname()[1], flush=True)
    uvloop.run(serve(Room(**options.room), options.name, sock, options.rate))


if __name__ == "__main__":
    main()
