"""The rooms app on uvicorn, at a port: what the storm starts, kills and stops.

It prints its port once it serves, and ends with its stdin.
"""

import argparse
import gc
import os
import sys
import threading
from typing import Any

import uvicorn

from chatlib.__main__ import GC_THRESHOLDS
from chatlib.core.rooms.talk import Limits
from chatlib.lab.cut import bound
from chatlib.lab.loopback import HOST, listen
from chatlib.rooms import create_app
from chatlib.stores import store_at
from chatlib.stores.retention import Retention

FANOUT = "chatlib.core.fanout:FanoutProtocol"
SECRET = "a secret of the storm, which all workers know"
NO_LIMITS = Limits(messages=1_000_000, connections_per_name=10_000)
RETRY_MILLISECONDS = 500


class Server(uvicorn.Server):
    """uvicorn, which prints its port once it serves."""

    async def startup(self, *args: Any, **kwargs: Any) -> None:
        await super().startup(*args, **kwargs)
        assert self.servers
        gc.collect()  # as `python -m chatlib` does
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)
        print(self.servers[0].sockets[0].getsockname()[1], flush=True)


def end_with_stdin() -> None:
    """End this process with the one that has started it."""
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Serve as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.storm.worker", description=__doc__)
    parser.add_argument("store", help="its address")
    parser.add_argument("--host", default=HOST)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--keep", type=int, default=1_000_000, help="messages of a room")
    parser.add_argument("--beat", type=float, default=1.0, help="seconds")
    parser.add_argument("--log", help="the file to which errors go")
    options = parser.parse_args()
    if options.log:
        os.dup2(os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    threading.Thread(target=end_with_stdin, daemon=True).start()
    store = store_at(options.store, retention=Retention(messages=options.keep))
    app = create_app(
        store, secret=SECRET, limits=NO_LIMITS, beat=options.beat, retry=RETRY_MILLISECONDS
    )
    sock = bound(options.port) if options.host == HOST else listen(options.port, options.host)
    config = uvicorn.Config(app, ws=FANOUT, log_level="warning", timeout_graceful_shutdown=1)
    Server(config).run(sockets=[sock])


if __name__ == "__main__":
    main()
