"""The servers that a notebook has, by name: running a cell again replaces the one before."""

import warnings
from typing import Any

from starlette.types import ASGIApp

from chatlib.lab.routes import unheard_handlers
from chatlib.lab.server import Server

__all__ = ["Server", "serve", "server_of"]

_served: dict[str, Server] = {}


def serve(app: ASGIApp, *, port: int = 0, name: str = "server", **options: Any) -> Server:
    """Serve `app` from this notebook, in place of what was served under `name` before.

    The new server is up before the old one is stopped, so a failed start leaves the old one. Use
    another `name` for a server that shall stand beside it. `port`, `host` and `options` are those
    of `Server`, and so is what it raises. A warning names a path that has two different handlers.
    """
    for sentence in unheard_handlers(app):
        warnings.warn(sentence, stacklevel=2)
    old = _served.get(name)
    if old is not None and port == old.port:
        old.stop()  # the one case in which both cannot be up
    _served[name] = server = Server(app, port=port, name=name, **options)
    if old is not None:
        old.stop()
    return server


def server_of(app: ASGIApp) -> Server | None:
    """Return the server by which `serve` serves `app` now, if there is one."""
    return next(
        (server for server in _served.values() if server.app is app and server.running), None
    )
