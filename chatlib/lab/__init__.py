"""The instruments of the notebooks: serve an app, see what passed, check your own code."""

from chatlib.lab import check
from chatlib.lab.cut import FaultProxy
from chatlib.lab.frames import Anatomy, anatomy
from chatlib.lab.highlight import source
from chatlib.lab.loopback import ServerError
from chatlib.lab.serve import Server, serve
from chatlib.lab.trace import Trace, trace

__all__ = [
    "Anatomy",
    "FaultProxy",
    "Server",
    "ServerError",
    "Trace",
    "anatomy",
    "check",
    "serve",
    "source",
    "trace",
]
