"""uvicorn's WebSocket protocol with a recorder between it and its transport."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

from chatlib.lab.wire import Event, Wire


class RecordingTransport:
    """A transport that shows a `Wire` what is written to it, and is otherwise the one inside."""

    def __init__(self, transport: Any, wire: Wire) -> None:
        self._transport = transport
        self._wire = wire

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._transport.is_closing():  # or it would go nowhere
            self._wire.sent(bytes(data))
        self._transport.write(data)

    def writelines(self, lines: Iterable[bytes]) -> None:
        self.write(b"".join(lines))

    def close(self) -> None:
        self._wire.dropped = True
        self._transport.close()

    def abort(self) -> None:
        self._wire.dropped = True
        self._transport.abort()


def recording_protocol(
    emit: Callable[[Event], None], base: Callable[..., Any]
) -> type[asyncio.Protocol]:
    """Return `base`, a WebSocket protocol of uvicorn's, with a `Wire` on each of its connections.

    `emit` is called in the server's thread, for each event and in the order in which they happen,
    before the server acts on what came and before what it writes leaves.
    """
    opened = 0

    class RecordingProtocol(cast(type[Any], base)):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            nonlocal opened
            opened += 1
            self.wire = Wire(opened, emit, self.config.ws_max_size)
            super().connection_made(RecordingTransport(transport, self.wire))

        def data_received(self, data: bytes) -> None:
            self.wire.received(data)
            super().data_received(data)

        def connection_lost(self, exc: Exception | None) -> None:
            self.wire.lost()
            super().connection_lost(exc)

        async def send(self, message: Any) -> None:
            if message["type"] == "websocket.close":
                self.wire.raised = message.get("code", 1000)
            await super().send(message)

    return RecordingProtocol
