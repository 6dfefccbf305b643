"""A socket on this machine's loopback address, and a way to it past any proxy."""

import os
import socket

HOST = "127.0.0.1"


class ServerError(RuntimeError):
    """The server did not start, or was asked for something after it stopped."""


def listen(port: int) -> socket.socket:
    """Return a socket bound to `port` on 127.0.0.1."""
    sock = socket.socket()
    try:
        if os.name == "posix":  # elsewhere this option would let two servers share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((HOST, port))
    except OSError as error:
        sock.close()
        raise ServerError(
            f"cannot listen at port {port}: {error.strerror}. Leave `port` out for a free one."
        ) from error
    return sock


def except_loopback_from_proxies() -> None:
    """Have this process's clients reach 127.0.0.1 directly when it is set to use a proxy."""
    if any(name.lower().endswith("_proxy") and name.lower() != "no_proxy" for name in os.environ):
        present = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        hosts = [host.strip() for host in present.split(",") if host.strip()]
        hosts += [host for host in (HOST, "localhost") if host not in hosts]
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)
