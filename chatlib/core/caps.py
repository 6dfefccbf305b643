"""How many connections an app has at once, and how much each of them may send.

Neither of the usual libraries counts the rates: an `aiolimiter` belongs to one event loop, and
`limits` keeps an entry for each byte of its moving window, which threads of its own clear.
"""

import ipaddress
import math
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from chatlib.core.rate import Bucket


@dataclass(frozen=True)
class Limits:
    """The caps of a `Guard`, by the names of its options; None for no cap.

    Raises:
        ValueError: one lets nothing through, or is no number.
    """

    max_connections: int | None = None
    max_connections_per_address: int | None = None
    new_connections_per_second: float | None = None
    messages_per_second: float | None = None
    bytes_per_second: float | None = None
    burst_seconds: float = 1.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value is None and name != "burst_seconds":
                continue
            if not isinstance(value, int | float) or not 0 < value < math.inf:
                what = "seconds" if name == "burst_seconds" else "a number above 0, or None"
                raise ValueError(f"{name} is {what}; got {value!r}")


class Caps:
    """Counts the connections of an app, in whatever threads and event loops they are."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.by_address = limits.max_connections_per_address is not None
        self.lock = threading.Lock()
        self.open = 0
        self.open_from: Counter[str | None] = Counter()
        new = limits.new_connections_per_second
        self.new = Bucket(new, limits.burst_seconds) if new is not None else None

    def enter(self, address: str | None) -> str:
        """Count a connection from `address` and return `""`, or return why it may not come in.

        One that is counted has to `leave`.
        """
        limits = self.limits
        most, most_from = limits.max_connections, limits.max_connections_per_address
        with self.lock:
            if most is not None and self.open >= most:
                return f"too many connections, at most {most}"
            if most_from is not None and self.open_from[address] >= most_from:
                return f"too many connections from one address, at most {most_from}"
            if self.new is not None and not self.new.take():
                most_new = limits.new_connections_per_second
                return f"too many new connections, at most {most_new} per second"
            self.open += 1
            if address:
                self.open_from[address] += 1
        return ""

    def leave(self, address: str | None) -> None:
        """Count a connection from `address` no more."""
        with self.lock:
            self.open -= 1
            if address:
                self.open_from[address] -= 1
                if not self.open_from[address]:
                    del self.open_from[address]  # or else it would stay for good

    def meter(self) -> Callable[[int], str] | None:
        """Return what counts the messages of one connection, or None where nothing is to be.

        It takes the size of a message, and returns `""`, or why the message is too much.
        """
        limits = self.limits
        seconds = limits.burst_seconds
        messages, size = (
            Bucket(rate, seconds) if rate is not None else None
            for rate in (limits.messages_per_second, limits.bytes_per_second)
        )
        if messages is None and size is None:
            return None

        def meter(amount: int) -> str:
            if messages is not None and not messages.take():
                return f"too many messages, at most {limits.messages_per_second} per second"
            if size is not None and not size.take(amount):
                return f"too many bytes, at most {limits.bytes_per_second} per second"
            return ""

        return meter


def address_of(scope: Any) -> str | None:
    """Return the address by which connections are counted, or None where the server has none.

    An IPv6 address counts by its first 64 bits: the rest is for a customer to choose.
    """
    client = scope.get("client")
    if not client or not client[0]:
        return None  # a Unix socket, and no proxy that the server believes
    address: str = client[0]
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address  # a name, such as that of Starlette's TestClient
    if isinstance(ip, ipaddress.IPv4Address):
        return address
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return f"{ipaddress.IPv6Address(int(ip) >> 64 << 64)}/64"
