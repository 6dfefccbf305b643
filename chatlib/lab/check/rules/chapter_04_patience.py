"""The rules of the second exercise of chapter 04: how patient a room is."""

import asyncio
from typing import Any

from chatlib.core.manager import ConnectionManager
from chatlib.core.patience import Patience
from chatlib.core.room import Room
from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Wrong, shorten
from chatlib.lab.check.tools.full_line import FOR_EVER, WATCHED, seconds_until_cut_off

PATIENCE = Rules()


@PATIENCE.rule(
    "a member that takes nothing is gone within a second",
    hint="the room looks ten times a second: patience and a tenth more are a second at most",
    essential=True,
)
async def patience_ends(room: Any) -> None:
    await is_cut_off_within(1.0, room, portion=0)


@PATIENCE.rule(
    "a member that takes 250 bytes every half second stays",
    hint="patience is longer than half a second, and that time may hold only one portion of 250 "
    "bytes: patience × min_rate is that at most",
)
async def patience_lasts(room: Any) -> None:
    seconds = min(await asyncio.to_thread(seconds_until_cut_off, rules_of(room), 250))
    if seconds < FOR_EVER:
        raise Wrong("to be kept", f"cut off after {seconds:.2f} s")


@PATIENCE.rule(
    "a member that takes one byte every half second is gone within a second",
    hint="patience × min_rate is more than the two bytes that may come in that time",
)
async def patience_is_not_fooled(room: Any) -> None:
    await is_cut_off_within(1.0, room, portion=1)


async def is_cut_off_within(limit: float, room: Any, portion: int) -> None:
    """Expect `room` to cut off a client that takes `portion` bytes every half second."""
    seconds = max(await asyncio.to_thread(seconds_until_cut_off, rules_of(room), portion))
    if seconds > limit:
        came = f"after {seconds:.2f} s" if seconds < FOR_EVER else f"not in {WATCHED:.0f} s"
        raise Wrong(f"to be cut off within {limit:.0f} s", came)


def rules_of(room: Any) -> Patience:
    """Return by which numbers `room`, or the room of a manager, cuts off its members."""
    if isinstance(room, ConnectionManager):
        room = room.room
    if not isinstance(room, Room):
        hint = "`room` is what a call of Room(patience=…, min_rate=…) gives"
        raise Wrong("a room: Room(patience=…, min_rate=…)", shorten(room), hint=hint)
    rules = room._rules
    if (room.patience, room.min_rate) != (rules.patience, rules.min_rate):
        came = "changed afterwards, which the room does not look at"
        raise Wrong("numbers that the room was made with: Room(patience=…, min_rate=…)", came)
    return rules
