"""Ports for servers that cannot be handed a socket."""

import contextlib
import socket

from proxied import wait_until

from chatlib.lab.loopback import HOST, listen


@contextlib.contextmanager
def reserved_port():
    """Give a port of 127.0.0.1 at which nobody listens, and that no other program gets by chance.

    A server can listen there that sets SO_REUSEADDR, as all servers in these tests do.
    """
    with listen(0) as sock:
        yield sock.getsockname()[1]


def wait_until_it_listens(port, process, log):
    """Wait until `process` accepts connections at `port`; `log` is the file that it writes."""

    def listens():
        assert process.poll() is None, log.read_text("utf-8")
        with contextlib.suppress(OSError):
            socket.create_connection((HOST, port), 1.0).close()
            return True
        return False

    wait_until(listens, f"nobody listens at port {port}")
