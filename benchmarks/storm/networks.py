"""What is done to a network: to the one between clients and a worker, or a worker and its store."""

import asyncio

from benchmarks.storm.plan import Fault
from chatlib.lab import FaultProxy


async def cut(proxy: FaultProxy) -> None:
    """Cut connections with RST."""
    await asyncio.to_thread(proxy.cut)


async def heal(proxy: FaultProxy) -> None:
    """Have everything forwarded."""
    await asyncio.to_thread(proxy.heal)


async def stall(proxy: FaultProxy, fault: Fault) -> None:
    """Let nothing pass, in one direction or both."""
    direction = ("up", "down", "both")[fault.number % 3]
    await asyncio.to_thread(proxy.stall, direction)
    await asyncio.sleep(fault.seconds)
    await heal(proxy)


async def gone(proxy: FaultProxy, fault: Fault) -> None:
    """Have the network gone: connections are cut, and new ones refused."""
    await asyncio.to_thread(proxy.refuse)
    await cut(proxy)
    await asyncio.sleep(fault.seconds)
    await heal(proxy)


async def cut_after(proxy: FaultProxy, fault: Fault) -> None:
    """Cut a connection in the midst of what it carries."""
    direction = ("up", "down")[fault.number % 2]
    await asyncio.to_thread(proxy.cut_after, fault.number, direction)
