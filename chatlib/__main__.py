"""Run one of the finished apps: `python -m chatlib chat --port 8000`.

`python -m chatlib course FOLDER` copies the notebooks of the course into a folder of yours.
"""

import argparse
import errno
import functools
import gc
import importlib
import os
import socket
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
from uvicorn.config import LOG_LEVELS

from chatlib import course
from chatlib.core.browsers import expect_sendable
from chatlib.core.guard import MAX_MESSAGE_BYTES
from chatlib.core.origins import VARIABLE, origins_from_environment

STOP_SECONDS = 5  # how long handlers may take to end; uvicorn's default is: as long as they like
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


# uvicorn calls one of these in each process that serves.
APPS = {name: functools.partial(load, name) for name in ("echo", "items", "chat")}
echo, items, chat = APPS.values()


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
    except ValueError as error:
        command.error(str(error))
    if workers > 1:
        note = f"{workers} workers: clients of one do not hear those of another"
        print(f"{command.prog}: {note}", file=sys.stderr)
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
    )


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line; `--help` tells the usage."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\n")


def parser() -> Parser:
    """Return the parser of the command line."""
    parser = Parser(prog="python -m chatlib", description=__doc__, allow_abbrev=False)
    parser.add_argument("app", choices=APPS)
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
        help="processes; default: $WEB_CONCURRENCY, else 1. Each has rooms of its own: clients of "
        "two workers do not hear each other",
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


def whole_number(least: int, most: int, text: str) -> int:
    """Return the number that `text` writes, from `least` to `most`."""
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"expected a number from {least} to {most}, got {text!r}")
    return int(text)


port_number = functools.partial(whole_number, 0, 65535)
worker_count = functools.partial(whole_number, 1, 1000)
descriptor = functools.partial(whole_number, 0, 2**31 - 1)


def from_environment(name: str, kind: Callable[[str], int], default: int) -> int:
    """Return what the variable `name` says, or `default` if it is not set, or empty."""
    text = os.environ.get(name)
    try:
        return kind(text) if text else default
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"${name}: {error}") from None


def root_path(text: str) -> str:
    """Return `text` if a path can follow it."""
    if text and (not text.startswith("/") or text.endswith("/")):
        raise argparse.ArgumentTypeError(
            f"expected a path that begins with / and does not end so, such as /chat; got {text!r}"
        )
    return text


def origin(text: str) -> str:
    """Return `text` if it is an origin."""
    try:
        expect_sendable([text])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def expect_free_port(host: str, port: int) -> None:
    """Raise `ValueError` if nobody can listen there. uvicorn says so late, and not where."""
    if not host:
        raise ValueError("--host is empty; 0.0.0.0 is every address of this machine")
    try:
        for family, kind, protocol, _, address in socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        ):
            with socket.socket(family, kind, protocol) as sock:
                if os.name == "posix":  # as uvicorn does; elsewhere two would share the port
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                sock.bind(address)
    except UnicodeError:  # its words are about the encoding of names
        raise ValueError(
            f"cannot listen at {host!r}: expected an address of this machine, such as 127.0.0.1, "
            "or a name of it, such as localhost"
        ) from None
    except OSError as error:
        why = f"cannot listen at port {port} of {host!r}: {error.strerror}"
        other = "; --port 0 takes any free one" if error.errno == errno.EADDRINUSE else ""
        raise ValueError(why + other) from None


def expect_free_path(path: str) -> None:
    """Raise `ValueError` if nobody can listen there; remove a socket that a dead server left."""
    try:
        if taken(path):
            raise OSError(None, "a server listens there already")
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(path)
        Path(path).unlink()
    except OSError as error:
        raise ValueError(f"cannot listen at {path!r}: {error.strerror or error}") from None


def taken(path: str) -> bool:
    """Return whether a server listens at the Unix socket `path`; remove a socket without one."""
    try:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(path)
        return True
    except FileNotFoundError:
        return False
    except ConnectionRefusedError:
        if Path(path).is_socket():
            Path(path).unlink()
        return False


def expect_socket(fd: int) -> None:
    """Raise `ValueError` if no socket is open as `fd`."""
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode):
            return
        what = "it is no socket"
    except OSError as error:
        what = str(error.strerror)
    raise ValueError(f"cannot listen at the descriptor {fd}: {what}")


if __name__ == "__main__":
    main()
