"""A WebSocket client that sends whatever it is told, and need not read what comes back."""

import asyncio
import base64
import contextlib
import itertools
import secrets

from websockets.frames import Frame, Opcode

from chatlib.lab.check.readiness.place import OPEN_SECONDS, TINY, Place, status_of

TEXT, BINARY, CONT = Opcode.TEXT, Opcode.BINARY, Opcode.CONT
CLOSE, PING, PONG = Opcode.CLOSE, Opcode.PING, Opcode.PONG
DEFLATE = "permessage-deflate; client_max_window_bits"
LOST = 1006  # what a browser sees where no close frame came


class RefusedError(Exception):
    """The handshake was answered otherwise than with 101, or not at all (`status` 0)."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Caller:
    """One connection; `call` makes it.

    Attributes:
        extensions: what the server has agreed to.
        code: of the close frame that came, 1006 if the stream ended without one, None before.
        messages: what came, text and bytes, and None at the end.
    """

    numbers = itertools.count()

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self.extensions = ""
        self.code: int | None = None
        self.messages: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.ended = asyncio.Event()
        self.pongs: dict[bytes, asyncio.Event] = {}
        self.reading: asyncio.Task[None] | None = None

    def read(self) -> None:
        """Begin to read what comes."""
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        code = None
        with contextlib.suppress(OSError, EOFError):
            while True:
                opcode, payload = await self._frame()
                if opcode == CLOSE and code is None:
                    code = int.from_bytes(payload[:2]) or 1005
                    self.write(payload, CLOSE)
                elif opcode == PING:
                    self.write(payload, PONG)
                elif opcode == PONG and payload in self.pongs:
                    self.pongs.pop(payload).set()
                elif opcode == TEXT:
                    self.messages.put_nowait(payload.decode(errors="replace"))
                elif opcode == BINARY:
                    self.messages.put_nowait(payload)
        self.code = code or LOST
        self.messages.put_nowait(None)
        self.ended.set()
        for waiting in self.pongs.values():
            waiting.set()

    async def _frame(self) -> tuple[int, bytes]:
        first, second = await self.reader.readexactly(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes(await self.reader.readexactly(2 if size == 126 else 8))
        return first & 0x0F, await self.reader.readexactly(size)

    def write(
        self,
        payload: str | bytes,
        opcode: Opcode = TEXT,
        *,
        fin: bool = True,
        deflated: bool = False,
    ) -> None:
        """Write a frame, and wait for nothing."""
        data = payload.encode() if isinstance(payload, str) else payload
        frame = Frame(opcode, data, fin=fin).serialize(mask=True)
        # An extension sets this bit, and a frame of nobody's is not let through with it.
        self.write_raw(bytes((frame[0] | 0x40 * deflated,)) + frame[1:])

    def write_raw(self, data: bytes) -> None:
        """Write what may be no whole frame; nothing, where the connection has ended."""
        if not self.writer.transport.is_closing():
            self.writer.write(data)

    def announce(self, size: int) -> None:
        """Write the head of a text frame of at least 64 KiB, whose mask changes no byte."""
        self.write_raw(bytes((0x80 | TEXT, 0x80 | 127)) + size.to_bytes(8) + bytes(4))

    async def send(self, payload: str | bytes, opcode: Opcode = TEXT, **more: bool) -> None:
        """Write a frame, and wait until the kernel takes it. Nothing is raised at the end."""
        self.write(payload, opcode, **more)
        await self.flush()

    async def flush(self, seconds: float | None = None) -> bool:
        """Wait until the kernel takes what is written, and return whether it does, in time."""
        try:
            async with asyncio.timeout(seconds):
                await self.writer.drain()
        except OSError:
            return False
        return True

    async def pong(self, seconds: float) -> bool:
        """Return whether a ping is answered in time, and the connection has not ended."""
        payload = b"%d" % next(self.numbers)
        came = self.pongs[payload] = asyncio.Event()
        if self.code is not None:
            return False
        await self.send(payload, PING)
        return await happens(came, seconds) and self.code is None

    def forget(self) -> None:
        """Drop what came until now."""
        while not self.messages.empty():
            self.messages.get_nowait()
        if self.ended.is_set():
            self.messages.put_nowait(None)

    async def closed(self, seconds: float) -> int | None:
        """Return with which code it is closed, or None if it is not, in time."""
        await happens(self.ended, seconds)
        return self.code

    async def leave(self) -> None:
        """Close it, politely if it reads."""
        if self.reading is not None and not self.ended.is_set():
            self.write((1000).to_bytes(2), CLOSE)
            await happens(self.ended, 0.5)
        self.abort()

    def abort(self) -> None:
        """Cut the connection."""
        if self.reading is not None:
            self.reading.cancel()
        self.writer.transport.abort()


async def happens(event: asyncio.Event, seconds: float) -> bool:
    """Return whether `event` is set within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True


async def call(
    place: Place,
    *,
    path: str | None = None,
    origin: str | None = None,
    reads: bool = True,
    deflate: bool = False,
) -> Caller:
    """Return a client that was let in.

    Args:
        place: where.
        path: of the WebSocket, if it is not that of `place`.
        origin: of the page that it claims to be.
        reads: whether it reads what comes.
        deflate: whether it offers compression, as browsers do.

    Raises:
        RefusedError: it was not let in.
    """
    key = base64.b64encode(secrets.token_bytes(16)).decode()
    fields = {
        **{"Connection": "Upgrade", "Upgrade": "websocket"},
        **{"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key},
        **({"Sec-WebSocket-Extensions": DEFLATE} if deflate else {}),
        **({"Origin": origin} if origin is not None else {}),
    }
    writer = None
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            reader, writer = await place.connect(None if reads else TINY)
            writer.write(place.request(path or place.path, fields))
            head = await reader.readuntil(b"\r\n\r\n")
    except TimeoutError:
        raise failed(writer, 0, f"no answer within {OPEN_SECONDS:.0f} s") from None
    except (OSError, EOFError, asyncio.LimitOverrunError) as error:
        raise failed(writer, 0, f"no answer ({type(error).__name__})") from None
    except asyncio.CancelledError:
        failed(writer, 0, "cancelled")
        raise
    status = status_of(head)
    if status != 101:
        raise failed(writer, status, f"HTTP {status}")
    caller = Caller(reader, writer)
    for line in head.decode("latin-1").split("\r\n"):
        name, _, value = line.partition(":")
        if name.lower() == "sec-websocket-extensions":
            caller.extensions = value.strip()
    if reads:
        caller.read()
    return caller


def failed(writer: asyncio.StreamWriter | None, status: int, words: str) -> RefusedError:
    """Return the error of a handshake, after the connection is cut."""
    if writer is not None:
        writer.transport.abort()
    return RefusedError(status, words)
