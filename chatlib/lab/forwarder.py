"""What carries the data of `FaultProxy`: two pumps for each connection, which ask a rule."""

import asyncio
import os
import socket
import struct
import sys

from chatlib.lab.faults import Direction, Rule

if sys.platform == "linux":
    import fcntl

SIOCOUTQ = 0x5411  # asks how much has been written to a socket and not acknowledged
CHUNK_BYTES = 64 * 1024  # what is held at most, for each connection and direction
LINGER = "hh" if os.name == "nt" else "ii"
RESET, NO_RESET = struct.pack(LINGER, 1, 0), struct.pack(LINGER, 0, 0)


class CutError(Exception):
    """A rule wants a connection cut."""


class Forwarder:
    """Forwards between clients and a server.

    Args:
        target: the address of the server.

    Attributes:
        rule: what may pass just now.
        forwarded: how many bytes have passed.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self.target = target
        self.rule = Rule()
        self.forwarded: dict[Direction, int] = {"up": 0, "down": 0}

    def set(self, rule: Rule) -> None:
        """Have `rule` hold from now on."""
        self.rule.replaced.set()
        self.rule = rule

    async def link(self, client: socket.socket) -> Rule | None:
        """Forward between `client` and the server until both have closed, or one is cut.

        Both are closed then: as they were, or with RST after a cut, and if this is cancelled.

        Returns:
            The rule that cut the connection, if one did.
        """
        loop = asyncio.get_running_loop()
        cut_by: Rule | None = None
        with client, socket.socket() as server:
            for side in (client, server):
                side.setblocking(False)
                side.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            try:
                await loop.sock_connect(server, self.target)
                async with asyncio.TaskGroup() as pumps:
                    pumps.create_task(self._pump(client, server, "up", client))
                    pumps.create_task(self._pump(server, client, "down", client))
                for side in (client, server):
                    side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_RESET)
            except* OSError:
                pass  # one side has cut it, or there is no server: so it is cut on the other one
            except* CutError as cuts:
                cut_by = cuts.exceptions[0].args[0]
        return cut_by

    async def _pump(
        self, source: socket.socket, sink: socket.socket, direction: Direction, link: object
    ) -> None:
        """Forward in one direction of `link`, until `source` has closed.

        Raises:
            OSError: a side has cut the connection.
            CutError: a rule wants it cut. The argument is the rule.
        """
        loop = asyncio.get_running_loop()
        while True:
            data, lost = b"", None
            try:
                data = await loop.sock_recv(source, CHUNK_BYTES)
            except OSError as error:
                lost = error
            while (rule := self.rule).holds(direction):
                rule.has_hit()
                await rule.replaced.wait()
            if lost is not None:
                raise lost
            if not data:
                sink.shutdown(socket.SHUT_WR)
                return
            count = rule.passes(link, direction, data)
            if count is not None and not rule.every:
                self.set(Rule())
            passing = data[:count]
            self.forwarded[direction] += len(passing)  # first: who has received it finds it counted
            await loop.sock_sendall(sink, passing)
            if count is not None:
                await arrived(sink)  # RST discards what is still on its way
                raise CutError(rule)


async def arrived(sink: socket.socket) -> None:
    """Wait until the other end has what was sent to it. Only Linux tells; elsewhere do not wait."""
    waiting = bytearray(4)
    while sys.platform == "linux":
        fcntl.ioctl(sink.fileno(), SIOCOUTQ, waiting)
        if not any(waiting):
            return
        await asyncio.sleep(0.001)
