"""A socket on this machine's loopback address, and a way to it past any proxy."""

import os
import socket

HOST = "127.0.0.1"


class ServerError(RuntimeError):
    """The server did not start, or was asked for something after it stopped."""


def listen(port: int, host: str = HOST) -> socket.socket:
    """Return a socket bound to `port` of `host`, which is an address or a name of this machine.

    Raises:
        TypeError: the port is no integer.
        ServerError: nobody can listen there.
    """
    if not isinstance(port, int):
        raise TypeError(f"a port is a number, such as 8000; got {port!r}")
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        if os.name == "posix":  # elsewhere this option would let two servers share a port
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
    except (OSError, OverflowError) as error:
        sock.close()
        where = f"port {port}" if host == HOST else f"port {port} of {host!r}"
        what = error.strerror if isinstance(error, OSError) else "ports go from 0 to 65535"
        remedy = " Leave `port` out for a free one." if port else ""
        raise ServerError(f"cannot listen at {where}: {what}.{remedy}") from error
    return sock


def address_of(host: str, port: int) -> str:
    """Return where a client of this machine reaches a server that listens at `host`."""
    host = {"0.0.0.0": HOST, "": HOST, "::": "::1"}.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def except_loopback_from_proxies() -> None:
    """Have this process's clients reach 127.0.0.1 directly when it is set to use a proxy."""
    if any(name.lower().endswith("_proxy") and name.lower() != "no_proxy" for name in os.environ):
        present = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
        hosts = [host.strip() for host in present.split(",") if host.strip()]
        hosts += [host for host in (HOST, "localhost") if host not in hosts]
        os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join(hosts)
