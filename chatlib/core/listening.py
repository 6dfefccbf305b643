"""Whether a server can listen at an address, found out before it starts."""

import errno
import os
import socket
import stat
from pathlib import Path


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
