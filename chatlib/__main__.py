"""Run one of the finished apps: `python -m chatlib chat --port 8000`.

`python -m chatlib course FOLDER` copies the notebooks of the course into a folder of yours.
"""

import argparse
import asyncio
import functools
import gc
import importlib
import os
import secrets
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import uvicorn
from uvicorn.config import LOG_LEVELS

from chatlib import course
from chatlib.core.arguments import (
    descriptor,
    from_environment,
    origin,
    port_number,
    root_path,
    seconds,
    worker_count,
)
from chatlib.core.guard import MAX_MESSAGE_BYTES
from chatlib.core.listening import expect_free_path, expect_free_port, expect_socket
from chatlib.core.metrics.folder import fresh_folder
from chatlib.core.ops.stopping import VARIABLE as DRAIN
from chatlib.core.ops.stopping import drain_from_environment
from chatlib.core.origins import VARIABLE, origins_from_environment
from chatlib.core.version import version
from chatlib.stores import store_at
from chatlib.stores.address import shown

STOP_SECONDS = 5  # how long handlers may take to end; uvicorn's default is: as long as they like
# How long a worker may take to start when SIGHUP replaces one, and to show that it is not stuck.
# With uvicorn's 5 a busy machine gives up, and keeps the old one.
START_SECONDS = 15
# After how many new objects the collector goes through these, and how often it goes through more.
# By default it walks a whole crowd again and again while the crowd connects, for nothing: no
# connection to these apps leaves objects that refer to each other.
GC_THRESHOLDS = (10_000, 1000, 1000)


def load(name: str) -> Any:
    """Return the app `name`, in a process that is the app's alone, tuned for a crowd."""
    app = importlib.import_module(f"chatlib.{name}").app
    gc.collect()
    gc.freeze()  # what is there now stays; the collector need not look at it
    gc.set_threshold(*GC_THRESHOLDS)
    return app


STORE, SECRET = "CHATLIB_STORE", "CHATLIB_SECRET"  # where `chatlib.rooms` looks
# What an acknowledged message survives, by how durable a store is.
WORTH = {
    "disk": "an acknowledged message is on the disk",
    "second": "an acknowledged message survives a crash here, and a power cut some seconds later",
    "memory": "an acknowledged message is in memory, and ends with the process that has it",
    "unknown": "nobody knows what an acknowledged message survives",
}


# uvicorn calls one of these in each process that serves.
APPS = {name: functools.partial(load, name) for name in ("echo", "items", "chat", "rooms")}
echo, items, chat, rooms = APPS.values()


def main(argv: Sequence[str] | None = None) -> None:
    """Run the app that the command line names, until Ctrl+C or SIGTERM.

    Exits with 2, and one line on stderr, where it is asked for what cannot be.
    """
    arguments = sys.argv[1:] if argv is None else list(argv)
    if arguments[:1] == ["course"]:
        course.main(Parser(prog="python -m chatlib course", allow_abbrev=False), arguments[1:])
        return
    command = parser()
    given = command.parse_args(arguments)
    port = given.port
    try:
        workers = given.workers or from_environment("WEB_CONCURRENCY", worker_count, 1)
        if given.origin:
            os.environ[VARIABLE] = " ".join(given.origin)  # where workers find it too
        origins_from_environment()
        if given.uds is not None:
            expect_free_path(given.uds)
        elif given.fd is not None:
            expect_socket(given.fd)
        else:
            if port is None:
                port = from_environment("PORT", port_number, 8000)
            expect_free_port(given.host, port)
        if given.app == "rooms":
            os.environ[DRAIN] = str(
                drain_from_environment() if given.drain is None else given.drain
            )
            notes = prepare_rooms(given.store, workers)
        elif given.store is not None:
            raise ValueError(f"--store is for rooms: {given.app} keeps nothing")
        elif given.drain is not None:
            raise ValueError(f"--drain is for rooms: {given.app} has no /readyz")
        elif workers > 1:
            notes = [f"{workers} workers: clients of one do not hear those of another"]
        else:
            notes = []
    except (ValueError, OSError, ImportError) as error:
        command.error(str(error))
    for note in notes:
        print(f"{command.prog}: {note}", file=sys.stderr)
    with fresh_folder(workers if given.app == "rooms" else 1):
        uvicorn.run(
            f"chatlib.__main__:{given.app}",
            factory=True,
            host=given.host,
            port=port,
            uds=given.uds,
            fd=given.fd,
            root_path=given.root_path,
            workers=workers,
            log_level=given.log_level,
            http="chatlib.core.head:TimedHead",
            ws="chatlib.core.fanout:FanoutProtocol",
            ws_max_size=MAX_MESSAGE_BYTES,
            timeout_graceful_shutdown=STOP_SECONDS,
            timeout_worker_healthcheck=START_SECONDS,
        )


def prepare_rooms(store: str | None, workers: int) -> list[str]:
    """Set the environment in which `chatlib.rooms` starts, here and in each worker.

    Returns what the operator has to know.

    Raises:
        ValueError: there is no such store, or it is not for several workers; or the secret in the
            environment is too short.
        OSError: it cannot be used.
        ImportError: a package is missing.
    """
    address = store or os.environ.get(STORE) or "memory:"
    if workers > 1 and address == "memory:":
        raise ValueError(
            f"memory: is for one process, and there are {workers} workers; "
            "--store sqlite:///chat.db is for any number, and redis://… for several machines"
        )

    from chatlib.core.rooms.identity import (
        Tokens,  # which needs a package that other apps do without
    )

    if secret := os.environ.get(SECRET):
        try:
            Tokens(secret)
        except ValueError as error:
            raise ValueError(f"${SECRET}: {error}") from None

    async def probe() -> str:
        store = store_at(address)
        await store.open()
        await store.close()
        return store.durable

    durable = asyncio.run(probe())
    notes = [f"rooms are kept in {shown(address)}; {WORTH[durable]}"]
    os.environ[STORE] = address
    if not secret:
        os.environ[SECRET] = secrets.token_urlsafe(32)
        notes.append(f"who signs in stays so until this server stops; ${SECRET} makes it last")
    return notes


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line; `--help` tells the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(prog="python -m chatlib", description=__doc__, allow_abbrev=False)
    parser.add_argument("app", choices=APPS)
    parser.add_argument("--version", action="version", version=f"chatlib {version()}")
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s, this machine")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--port", type=port_number, help="default: $PORT, else 8000; 0: any free")
    where.add_argument("--uds", metavar="PATH", help="listen at a Unix socket, and at no port")
    where.add_argument("--fd", type=descriptor, help="listen at a socket that is open already")
    parser.add_argument(
        "--root-path", type=root_path, default="", help="where a proxy shows the app: /chat, say"
    )
    parser.add_argument(
        "--workers",
        type=worker_count,
        help="processes; default: $WEB_CONCURRENCY, else 1. Clients of two workers hear each other "
        "in rooms alone",
    )
    parser.add_argument(
        "--store",
        help="where rooms keep messages: sqlite:///chat.db, say, for any number of workers; "
        "redis://127.0.0.1:6379/0 for those of several machines. "
        f"Default: ${STORE}, else memory:",
    )
    parser.add_argument(
        "--drain",
        type=seconds,
        help="for how many seconds after SIGTERM rooms go on serving, while /readyz says 503. "
        f"Default: ${DRAIN}, else 0",
    )
    parser.add_argument(
        "--origin",
        type=origin,
        action="append",
        help="let in pages of another site: https://example.com, say, or '*' for all; repeatable. "
        f"Default: ${VARIABLE}, with spaces between",
    )
    parser.add_argument("--log-level", choices=LOG_LEVELS, help="default: info")
    return parser


if __name__ == "__main__":
    main()
