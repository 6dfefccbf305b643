"""Who is in the rules on whispering: a manager, and clients that the rules play."""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

from starlette.types import Message

from chatlib.lab.check.tools.bench import Wrong, shorten
from chatlib.lab.check.tools.puppet import Puppet, new, settle

HOLD_SECONDS = 0.1  # how long a slow connection holds a message back


class Slow(Puppet):
    """A client whose connection holds the first message back until the next one overtakes it, or
    for a while."""

    def __init__(self, path: str, **path_params: str) -> None:
        super().__init__(path, **path_params)
        self.sends = 0
        self.overtaken = asyncio.Event()

    async def send(self, message: Message) -> None:
        """Take what the app sends, the first message later than the next if that is there."""
        if message["type"] == "websocket.send":
            self.sends += 1
            if self.sends == 1:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(HOLD_SECONDS):
                        await self.overtaken.wait()
            else:
                self.overtaken.set()
        await super().send(message)


class Whisperers:
    """A manager with clients, by their ids."""

    def __init__(self, manager_class: Any) -> None:
        self.manager = new(manager_class)
        self.puppets: dict[int, list[Puppet]] = {}

    @classmethod
    async def in_room(cls, manager_class: Any, *numbers: int) -> "Whisperers":
        """Return a new manager to which clients with these ids have come."""
        room = cls(manager_class)
        for number in numbers:
            await room.comes(number)
        return room

    async def comes(self, number: int, kind: type[Puppet] = Puppet) -> Puppet:
        """Have one more client of this `kind` come, and return it."""
        puppet = kind(f"/ws/{number}", client_id=str(number))
        self.puppets.setdefault(number, []).append(puppet)
        await self.manager.connect(puppet.websocket)
        return puppet

    async def whisper(self, message: str, number: int) -> None:
        """Whisper, and wait until it has arrived."""
        await settle(self.manager.whisper(message, number))

    def expect_heard(self, number: int, *heard: list[str]) -> None:
        """Expect this of the clients with this id."""
        for puppet, texts in zip(self.puppets[number], heard, strict=True):
            self.expect(puppet, number, texts)

    def expect(self, puppet: Puppet, number: int, heard: Sequence[Any]) -> None:
        """Expect `puppet` to have heard this and nothing else."""
        if puppet.heard != heard:
            which = f"client {number}" if len(self.puppets[number]) == 1 else f"a client {number}"
            came = shorten(puppet.heard) if puppet.heard else "nothing"
            raise Wrong(f"{which} to hear {shorten(heard) if heard else 'nothing'}", came)
