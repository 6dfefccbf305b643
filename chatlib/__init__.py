"""A chat over WebSockets with FastAPI: the code that the course in `notebooks/` arrives at.

The finished apps are `chatlib.echo`, `chatlib.items` and `chatlib.chat`, and each has an `app`.
What they stand on is in `chatlib.core`, what keeps messages in `chatlib.stores`, and the
instruments of the notebooks are in `chatlib.lab`.
"""

from typing import TYPE_CHECKING

from chatlib.core.guard import Guard
from chatlib.core.hub.hub import Hub
from chatlib.core.hub.publisher import Publisher
from chatlib.core.manager import ConnectionManager
from chatlib.core.messages import receive_text
from chatlib.core.metrics.add import add_metrics
from chatlib.core.ops.add import add_ops
from chatlib.core.redact import redact_logs
from chatlib.core.room import Room

__all__ = [
    "ConnectionManager",
    "Guard",
    "Hub",
    "Publisher",
    "Room",
    "add_metrics",
    "add_ops",
    "receive_text",
    "redact_logs",
]

if TYPE_CHECKING:
    __version__: str
else:  # hidden from type checkers, for which any name would be there otherwise

    def __getattr__(name: str) -> str:
        """Look for the version when somebody asks: that reads a file."""
        if name == "__version__":
            from chatlib.core.version import version

            return version()
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
