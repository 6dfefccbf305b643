"""How browsers write the origin of a page (RFC 6454, section 6; WHATWG URL), and which is the same.

An origin that is written in any other way matches nothing, and nothing says so. So what stands in a
list of origins is held against what a browser would send.
"""

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}
OF_A_PAGE = {"ws": "http", "wss": "https"}
# One machine by three names. A server at 127.0.0.1 is opened as localhost all the time. Cookies
# take no notice of the port, so a program at another port of this machine gets the visitor's
# anyway: to let in a page of the same port at another of these names gives nothing away.
LOOPBACK = {"localhost", "127.0.0.1", "::1"}


def expect_sendable(origins: Iterable[str]) -> frozenset[str]:
    """Return `origins` as a set, once each of them is one that a browser can send, or `"*"`.

    Raises:
        TypeError: it is no collection of strings.
        ValueError: no browser sends one of them. It says what to write instead.
    """
    if not isinstance(origins, Iterable) or (isinstance(origins, str) and origins != "*"):
        raise TypeError(f"origins is a collection of strings, or '*'; got {origins!r}")
    checked = frozenset(origins)
    for origin in checked:
        if not isinstance(origin, str):
            raise TypeError(
                f"origins is a collection of strings, or '*'; one of them is {origin!r}"
            )
        if origin != "*":
            expect_one(origin)
    return checked


def expect_one(origin: str) -> None:
    """Raise a ValueError, which says what to write, unless a browser can send `origin`."""
    try:
        sent = as_sent(origin)
        remedy = f"write {sent!r}"
    except ValueError as error:
        sent, remedy = None, str(error)
    if sent != origin:
        raise ValueError(
            "a browser sends an origin as a scheme, a host in small ASCII letters and, unless it "
            f"is the scheme's own, a port; it never sends {origin!r}: {remedy}"
        )


def as_sent(address: str) -> str:
    """Return the origin that a browser sends for a page at `address`.

    Raises:
        ValueError: there is none. It says what is wrong.
    """
    text = address.strip()
    if not text:
        raise ValueError("leave it out, it is empty")
    if text.lower() == "null":  # of a sandboxed frame, and of a file in Firefox
        return "null"
    if "*" in text:
        raise ValueError("a star stands alone, for every origin; else name each origin in full")
    if re.search(r"[\s,;]", text):
        raise ValueError("write several origins as several strings, ['https://…', 'https://…']")
    scheme, mark, rest = text.partition("://")
    if not mark:
        raise ValueError("start with https:// or http://, as in 'https://example.com'")
    scheme = OF_A_PAGE.get(scheme.lower(), scheme.lower())
    if not re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme):
        raise ValueError(f"{scheme!r} is no scheme; write 'https://example.com', say")
    if scheme == "file":
        return "file://"
    parts = urlsplit(f"{scheme}://{rest}".replace("\\", "/"))  # as browsers do
    if scheme in DEFAULT_PORTS:
        if parts.port == 0:
            raise ValueError("no browser opens port 0")
        port = "" if parts.port in {None, DEFAULT_PORTS[scheme]} else f":{parts.port}"
        return f"{scheme}://{written_host(parts.hostname or '')}{port}"
    host = parts.netloc.rpartition("@")[2]
    if not host or not host.isascii():
        raise ValueError(f"write what follows {scheme}:// as it stands in the Origin header")
    return f"{scheme}://{host}"  # of an app or an extension, whose capitals stay as they are


def written_host(host: str) -> str:
    """Return the host of a web page as browsers write it, with brackets if it is IPv6."""
    if ":" in host:
        address = ipaddress.IPv6Address(host)
        if address.scope_id:
            raise ValueError("no browser opens an address with a zone, %…")
        if address.ipv4_mapped:  # which Python 3.13 writes with dots
            return f"[::ffff:{int(address) >> 16 & 0xFFFF:x}:{int(address) & 0xFFFF:x}]"
        return f"[{address.compressed}]"
    if not host.isascii():
        try:
            coded = host.encode("idna")
            if coded.decode("idna") != host:
                raise UnicodeError  # browsers keep letters that Python's codec changes
        except UnicodeError:
            raise ValueError("write the host in punycode, xn--…") from None
        host = coded.decode()
    if not re.fullmatch(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*\.?", host):
        raise ValueError(f"{host!r} is no host name; write 'https://example.com', say")
    name = host.removesuffix(".")
    if re.fullmatch(r"\d+|0x[0-9a-f]*", name.rpartition(".")[2]):  # IPv4, which has short forms
        try:
            return socket.inet_ntoa(socket.inet_aton(name))
        except OSError:
            raise ValueError(f"{host!r} is no IPv4 address") from None
    return host


def difference(origin: str, host: str) -> str:
    """Return in what an `Origin` header differs from a `Host` header: `""`, `"port"` or `"host"`.

    The scheme is left out: behind a proxy that ends TLS the app sees http where the browser has
    https. But an origin that is no web site's has no host of the kind: an app or an extension may
    choose any name.
    """
    try:
        page, server = urlsplit(origin), urlsplit(f"//{host}")
        default = DEFAULT_PORTS.get(page.scheme)
        same_port = (page.port or default) == (server.port or default)
    except ValueError:  # a port that is no number, a broken IPv6 address
        return "host"
    names = {page.hostname, server.hostname}
    if default is None or page.hostname is None or not (len(names) == 1 or names <= LOOPBACK):
        return "host"
    return "" if same_port else "port"


def is_same(origin: str, host: str) -> bool:
    """Return whether an `Origin` header names the same host and port as a `Host` header."""
    return not difference(origin, host)
