"""Where a server listens, and the way there."""

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

OPEN_SECONDS = 5.0
TINY = 4096  # the receive buffer of a client that reads nothing


@dataclass(frozen=True)
class Place:
    """Where a server listens, and what its clients say of themselves.

    Attributes:
        url: `http://127.0.0.1:8000`, say, or `https://…`, without a path.
        path: of the WebSocket, with its query.
        headers: of each request.
    """

    url: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def authority(self) -> str:
        """Host and port, as they stand in the address."""
        return urlsplit(self.url).netloc

    async def connect(
        self, receive_buffer: int | None = None
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return a bare connection. Raises `OSError`."""
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        host, port = parts.hostname or "", parts.port or (443 if secure else 80)
        sock = None
        if receive_buffer is not None:
            kind = socket.AF_INET6 if ":" in host else socket.AF_INET
            sock = socket.socket(kind)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
            sock.setblocking(False)
            try:
                await asyncio.get_running_loop().sock_connect(sock, (host, port))
            except BaseException:
                sock.close()
                raise
        context = ssl.create_default_context() if secure else None
        name = host if sock is not None and secure else None
        where = {"sock": sock} if sock is not None else {"host": host, "port": port}
        # What nobody reads stays in the kernel, but for this.
        return await asyncio.open_connection(
            **where,
            ssl=context,
            server_hostname=name,
            limit=TINY if receive_buffer else 1 << 16,
        )

    async def get(self, path: str, seconds: float = OPEN_SECONDS) -> tuple[int, str]:
        """Return status and body of `GET path`. Raises `OSError`, `TimeoutError` among them."""
        async with asyncio.timeout(seconds):
            reader, writer = await self.connect()
            try:
                writer.write(self.request(path, {"Connection": "close"}))
                head, _, body = (await reader.read()).partition(b"\r\n\r\n")
                return status_of(head), body.decode(errors="replace")
            finally:
                writer.close()

    def request(self, path: str, more: Mapping[str, str]) -> bytes:
        """Return the head of a request."""
        fields = {"Host": self.authority, **self.headers, **more}
        lines = [f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()


def status_of(head: bytes) -> int:
    """Return the status in the head of an answer, or 0 if it is none."""
    words = head.split(maxsplit=2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else 0
