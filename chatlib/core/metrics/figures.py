"""The figures that `/metrics` gives: their names, what they mean, and where they are read.

Nothing here needs prometheus-client, and nothing is kept in step: each is read where the hub counts
it anyway, when somebody asks. None has the name of a room or of a person: those come from clients,
who could make as many series as they like.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from chatlib.core.hub.hub import Hub
from chatlib.core.hub.ledger import HubStats
from chatlib.core.metrics.sources import Sources
from chatlib.core.metrics.traffic import Traffic
from chatlib.core.times import Times
from chatlib.stores.store import Store

Several = Literal["livesum", "livemin", "livemax"]


@dataclass(frozen=True)
class Figure:
    """A metric.

    Attributes:
        name: as Prometheus has it.
        help: what it means.
        kind: what it is. A counter only grows.
        labels: their names.
        several: what is told of a gauge where several processes have one: those of dead ones are
            left out. Counters and histograms are added up, with those of dead processes.
    """

    name: str
    help: str
    kind: Literal["counter", "gauge", "histogram"] = "gauge"
    labels: tuple[str, ...] = ()
    several: Several = "livesum"


Values = Mapping[tuple[str, ...], float]  # by the values of the labels


def counter(name: str, help: str, *labels: str) -> Figure:  # noqa: A002 - as Prometheus calls it
    """Return a metric that only grows."""
    return Figure(name, help, "counter", labels)


PROCESSES = Figure("chatlib_processes", "Processes that serve the app.")
TIMESTAMP = Figure(
    "chatlib_figures_timestamp_seconds",
    "When these figures were written, in Unix time: those of the process that wrote its own first.",
    several="livemin",
)
CONNECTIONS = Figure("chatlib_connections", "WebSockets that are open.")
ACCEPTED = counter("chatlib_connections_accepted_total", "WebSockets that were accepted.")
CLOSED = counter(
    "chatlib_connections_closed_total",
    "WebSockets that have ended, by the close code that the app sent or was told; 1006: none.",
    "code",
)
REFUSED = counter(
    "chatlib_handshakes_refused_total", "Handshakes that the app answered with no WebSocket."
)
ROOMS = Figure(
    "chatlib_rooms",
    "Rooms that somebody hears; one that is heard through two processes counts twice.",
)
MEMBERS = Figure("chatlib_members", "Connections in rooms; one that is in two rooms counts twice.")
LARGEST = Figure(
    "chatlib_largest_room_members",
    "Connections in the room that has most of them in one process.",
    several="livemax",
)
FAST = Figure(
    "chatlib_members_fast",
    "Members to whom ready frames are written, past the server's send.",
)
JOINED = counter("chatlib_members_joined_total", "Connections that have joined a room.")
LEFT = counter(
    "chatlib_members_left_total", "Members that are in their room no more; those cut off too."
)
BEHIND = Figure("chatlib_members_behind", "Members for whom something waits to be written.")
WAITING = Figure("chatlib_waiting_bytes", "Bytes of all rooms that wait to be written to a member.")
DELIVERIES = counter(
    "chatlib_deliveries_total",
    "Frames that rooms have written to members, each counted for each member.",
)
DELIVERED = counter("chatlib_delivered_bytes_total", "Bytes that rooms have written to members.")
WAITS = Figure(
    "chatlib_delivery_duration_seconds",
    "How long messages waited in a process until they were handed to the connection of a member: "
    "of each write the oldest one.",
    "histogram",
)
EVICTIONS = counter(
    "chatlib_evictions_total",
    "Members that rooms have cut off: stalled took nothing, slow took too little, blocked was in "
    "an event loop that did not run.",
    "reason",
)
APPENDS = counter(
    "chatlib_appends_total",
    "Messages that were to be kept: kept, there before (again), not kept, or unsure, which may be "
    "kept.",
    "outcome",
)
TIMES = Figure(
    "chatlib_append_duration_seconds",
    "How long it took until the store said what became of a message.",
    "histogram",
)
JOINS = counter(
    "chatlib_joins_total",
    "Joins of a room, by what became of what the client had missed; new: it had no cursor.",
    "history",
)
REPAIRS = counter(
    "chatlib_repairs_total",
    "Times that a room read from the store what it had not been told of, or had no place for.",
)
LAG = Figure(
    "chatlib_feed_lag_messages",
    "Messages that the store had and a process had not yet given to its members, in all rooms, "
    "when it last looked: once a beat.",
)
UP = Figure("chatlib_store_up", "Whether the store answers each process.", several="livemin")
STORE = Figure(
    "chatlib_store_info",
    "Which store it is, and what a message that is kept survives.",
    labels=("kind", "durable"),
    several="livemax",
)

OUTCOMES = ("kept", "again", "not_kept", "unsure")
REASONS = ("stalled", "slow", "blocked")
HISTORIES = ("new", "complete", "trimmed", "diverged")


def kind_of(store: Store) -> str:
    """Return what a store is called: `sqlite`, say."""
    return type(store).__name__.removesuffix("Store").lower()


def figures_of(sources: Sources, traffic: Traffic, up: bool) -> dict[Figure, Values | Times]:
    """Return all figures of this process, as they are now.

    A label's value that has not come up yet is there with 0: Prometheus does not see a counter
    grow that begins with 1.

    Args:
        sources: the hub and the rooms.
        traffic: the connections of their app.
        up: whether the store of the hub answers.
    """
    look = sources.look()
    stats = look.all
    figures: dict[Figure, Values | Times] = {
        PROCESSES: one(1),
        TIMESTAMP: one(time.time()),
        CONNECTIONS: one(traffic.open),
        ACCEPTED: one(traffic.accepted),
        CLOSED: {(code,): number for code, number in dict(traffic.closed).items()},
        REFUSED: one(traffic.refused),
        ROOMS: one(look.rooms),
        MEMBERS: one(stats.members),
        LARGEST: one(look.largest),
        FAST: one(stats.fast),
        JOINED: one(stats.joined),
        LEFT: one(stats.left),
        BEHIND: one(stats.behind),
        WAITING: one(stats.waiting_bytes),
        DELIVERIES: one(stats.delivered),
        DELIVERED: one(stats.sent_bytes),
        WAITS: stats.times,
        EVICTIONS: by(REASONS, stats.evicted),
    }
    if sources.hub is not None and look.hub is not None:
        figures |= figures_of_hub(sources.hub, look.hub, up)
    return figures


def figures_of_hub(hub: Hub, stats: HubStats, up: bool) -> dict[Figure, Values | Times]:
    """Return the figures that only a hub has."""
    appends, store = hub.appends, hub.store
    return {
        APPENDS: by(OUTCOMES, appends.outcomes),
        TIMES: appends.times.copy(),
        JOINS: by(HISTORIES, stats.joins),
        REPAIRS: one(stats.repairs),
        LAG: one(stats.lag),
        UP: one(up),
        STORE: {(kind_of(store), store.durable): 1},
    }


def one(value: float) -> Values:
    """Return the value of a metric without labels."""
    return {(): value}


def by(known: tuple[str, ...], values: Mapping[str, int]) -> Values:
    """Return the values of a metric with one label."""
    return {(label,): values.get(label, 0) for label in known}
