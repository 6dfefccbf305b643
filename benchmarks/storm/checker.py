"""Whether the records of all clients and the log agree: the invariants of the protocol.

Each breach is a line that begins with the name of the invariant: *order*, *silence*, *prefix*,
*once*, *kept*, *same*, *answer*, *refusal* or *presence*.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from benchmarks.storm.evidence import Evidence, Kept, Reset
from benchmarks.storm.records import (
    Acked,
    Beat,
    Closed,
    Heard,
    Opened,
    Record,
    Refused,
    Said,
    Welcomed,
)
from chatlib.stores.store import START, Cursor

PASSING = {"try_again", "unsure"}  # errors that a fault excuses
EXCUSED = {1000, 1001, 1005, 1006, 1011, 1012, 1013}  # close codes that a fault excuses
CHANGED = 4409


@dataclass
class Segment:
    """What a client heard since it was last told that something is missing."""

    start: Cursor = START
    heard: list[Heard] = field(default_factory=list)

    @property
    def place(self) -> Cursor:
        """The cursor behind the last message."""
        return Cursor(self.heard[-1].id, self.heard[-1].tag) if self.heard else self.start


def breaches(evidence: Evidence) -> list[str]:
    """Return what is wrong; nothing if all is well."""
    found: list[str] = []
    links = Links()
    found += log_breaches(evidence, links)
    for record in evidence.records:
        segment = Segment()
        found += way_breaches(record, evidence.told, segment, links)
        found += end_breaches(record, evidence, segment)
        found += answer_breaches(record, evidence)
    return found


class Links:
    """Which message each one follows, by all who have it: one id and tag have one history."""

    def __init__(self) -> None:
        self._known: dict[Cursor, tuple[Cursor, str, str, str]] = {}

    def breach(self, who: str, before: Cursor, message: Heard | Kept) -> Iterator[str]:
        """Add a message; give what is wrong if another client has it otherwise."""
        place = Cursor(message.id, message.tag)
        link = (before, message.key, message.sender, who)
        known = self._known.setdefault(place, link)
        if known[:3] != link[:3]:
            yield (
                f"prefix: {place} is {message.key} of {message.sender} after {before} for {who}, "
                f"and {known[1]} of {known[2]} after {known[0]} for {known[3]}"
            )


def log_breaches(evidence: Evidence, links: Links) -> Iterator[str]:
    """Give what is wrong with the log itself."""
    log = evidence.log
    for before, message in itertools.pairwise(log):
        if message.id != before.id + 1:
            yield f"order: the log has {message.id} after {before.id}"
        else:
            yield from links.breach("the log", Cursor(before.id, before.tag), message)
    yield from doubles("the log", log, evidence)
    if log and log[0].id != 1 and evidence.keeps is None:
        yield f"silence: the log begins with {log[0].id}"
    for record in evidence.records:
        if record.in_order:
            turn = {event.key: number for number, event in enumerate(said_first(record))}
            kept = [message.key for message in log if message.sender == record.name]
            for one, two in itertools.pairwise(kept):
                if turn.get(two, 0) < turn.get(one, 0):
                    yield f"order: {record.name} said {two} before {one}; the log has {one} first"


def doubles(who: str, messages: Sequence[Heard | Kept], evidence: Evidence) -> Iterator[str]:
    """Give which messages are there more than once."""
    places: dict[tuple[str, str], int] = {}
    for message in messages:
        before = places.get((message.sender, message.key))
        if before is not None and not evidence.forgot(before, message.id):
            yield f"once: {who} has {message.key} of {message.sender} as {before} and {message.id}"
        places[message.sender, message.key] = message.id


def said_first(record: Record) -> Iterator[Said]:
    """Give the first time that each message was said."""
    return (event for event in record.events if isinstance(event, Said) and not event.again)


def way_breaches(record: Record, told: bool, segment: Segment, links: Links) -> Iterator[str]:
    """Follow what a client got, event by event, into `segment`; give what is wrong."""
    name, asked, welcomed = record.name, None, True
    for event in record.events:
        place = segment.place
        match event:
            case Opened():
                asked, welcomed = event.after, False
            case Welcomed():
                if welcomed:
                    yield f"order: {name} got a second welcome"
                welcomed = True
                yield from welcome_breaches(name, event, asked, told)
                if event.history != "complete":
                    segment.start, segment.heard = event.after, []
            case Heard():
                if event.id == place.id + 1:
                    yield from links.breach(name, place, event)
                elif event.id > place.id:
                    yield f"silence: {name} got {event.id} after {place.id}, and was told nothing"
                else:
                    yield f"order: {name} got {event.id} after {place.id}"
                if not welcomed:
                    yield f"order: {name} got {event.id} before the welcome"
                segment.heard.append(event)
            case Beat() if event.head != place.id:
                yield f"silence: the beat said {event.head}, and {name} had got {place.id}"
            case Closed() if event.code not in EXCUSED and not (told and event.code == CHANGED):
                yield f"refusal: {name} was closed with {event.code} {event.reason}"
            case Refused() if event.code not in PASSING:
                yield f"refusal: {name} got the error {event.code} for {event.key}"


def welcome_breaches(
    name: str, welcome: Welcomed, asked: Cursor | None, told: bool
) -> Iterator[str]:
    """Give what is wrong with a welcome."""
    if welcome.history == "complete" and welcome.after != asked:
        yield f"silence: {name} asked after {asked}, was told complete, and got {welcome.after}"
    if welcome.history == "new" and asked is not None:
        yield f"silence: {name} asked after {asked}, and was taken for new"
    if welcome.history in ("trimmed", "diverged") and not told:
        yield f"silence: {name} asked after {asked}, and was told {welcome.history}: why?"


def end_breaches(record: Record, evidence: Evidence, segment: Segment) -> Iterator[str]:
    """Compare what a client has at the end with the log."""
    name, log, place = record.name, evidence.log, segment.place
    yield from doubles(name, segment.heard, evidence)
    kept = {message.id: message for message in log}
    for heard in segment.heard:
        mine = heard[1:]
        if heard.id in kept and mine != tuple(kept[heard.id]):
            if not (record.left and evidence.resets):  # it may have seen what was lost later
                yield f"same: {name} has {mine}, the log has {tuple(kept[heard.id])}"
            break
    if log and not record.left:
        if place.id < log[-1].id:
            yield f"silence: {name} has messages up to {place.id}, the log up to {log[-1].id}"
        elif place.id > log[-1].id:
            yield f"same: {name} has messages up to {place.id}, the log only up to {log[-1].id}"


def answer_breaches(record: Record, evidence: Evidence) -> Iterator[str]:
    """Compare the acknowledgements that a client got with the log."""
    name, log = record.name, evidence.log
    kept = {message.id: message for message in log}
    first = log[0].id if log else 1
    said: set[str] = set()
    acked: dict[str, Acked] = {}
    for event in record.events:
        if isinstance(event, Said):
            said.add(event.key)
        if not isinstance(event, Acked):
            continue
        key, place = event.key, Cursor(event.id, event.tag)
        if key not in said:
            yield f"kept: {name} got an acknowledgement of {key}, which was not said"
        before = acked.get(key)
        if before is not None and not event.again and not excused(before, event, evidence):
            yield f"once: {key} of {name} was new as {before.id}, and again as {place}"
        acked[key] = event
        if lost(event, evidence.resets) or (evidence.keeps is not None and event.id < first):
            continue
        there = kept.get(event.id)
        if there is None or there != (event.id, event.tag, key, name):
            yield f"kept: {key} of {name} was acknowledged as {place}; there the log has {there}"
    if not record.left and (open_keys := said - acked.keys()):
        yield f"answer: {name} got none for {', '.join(sorted(open_keys))}"


def excused(before: Acked, ack: Acked, evidence: Evidence) -> bool:
    """Return whether a message may be new although it was kept `before`."""
    return lost(before, evidence.resets, ack.at) or evidence.forgot(before.id, ack.id)


def lost(ack: Acked, resets: Sequence[Reset], until: float = float("inf")) -> bool:
    """Return whether the store was made to lose what it had acknowledged."""
    return any(reset.lost(ack, until) for reset in resets)


def presence_breaches(records: Iterable[Record], present: frozenset[str]) -> Iterator[str]:
    """Give who was told of others than those who are there, by all that they were told."""
    for record in records:
        if record.people != present:
            missing, ghosts = present - record.people, record.people - present
            yield f"presence: {record.name} misses {sorted(missing)} and sees {sorted(ghosts)}"
