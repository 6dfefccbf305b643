"""A recorder of what crosses between clients and a server, drawn as a sequence diagram."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from chatlib.lab import mermaid, rooms
from chatlib.lab.serve import Server
from chatlib.lab.wire import Event
from chatlib.lab.words import close_name, count, elided, quoted, shortened, width

SERVER = "server"
TEXT_CHARACTERS = 120  # of a message, in the text
TEXT_STEPS = 200
MERMAID_STEPS = 50  # what Mermaid draws is at most 50,000 characters long
MERMAID_CLIENTS = 6  # with more, the letters are too small in a window of 800 pixels


class Step(NamedTuple):
    """One line of the drawing."""

    client: str
    to_server: bool
    what: str
    note: str
    broken: bool


class Trace:
    """What crossed between each client and the server, in order, until `stop()`.

    `trace()` makes one. It is a context manager, which stops it. Jupyter draws it as a sequence
    diagram, with what is long cut and few clients; its repr is all of it in plain text.

    All that a client has received is in the trace by then. What a client has sent may be on its way
    still: receive the answer first, or, when all clients have left, `await server.settled()`.
    """

    def __init__(
        self, server: Server, names: Mapping[str, str] | None, title: str, pings: bool
    ) -> None:
        self.title = shortened(title.strip())
        self._server = server
        self._names = None if names is None else dict(names)
        self._pings = pings
        self._events: list[Event] = []
        server.observers.append(self._observe)

    @property
    def events(self) -> tuple[Event, ...]:
        """The events that are shown."""
        return tuple(self._events)

    @property
    def text(self) -> str:
        """The drawing in plain text, with a line for each thing that crossed."""
        _, steps = self._steps()
        widest = max((width(step.client) for step in steps), default=0)
        lines = [self.title, ""] if self.title else []
        for step in steps[:TEXT_STEPS]:
            end = "x" if step.broken else "▶" if step.to_server else "◀"
            arrow = f"──{end}" if step.to_server else f"{end}──"
            lead = f"{step.client}{' ' * (widest - width(step.client))} {arrow} {SERVER}   "
            lines.append(lead + step.what)
            if step.note:
                lines.append(" " * width(lead) + f"({step.note})")
        lines += [f"({remark})" for remark in self._remarks(len(steps) - TEXT_STEPS)]
        return "\n".join(lines)

    @property
    def mermaid(self) -> str:
        """The drawing as a Mermaid sequence diagram, with a description for screen readers."""
        clients, crossed = self._steps()
        clients, left_out = clients[:MERMAID_CLIENTS], clients[MERMAID_CLIENTS:]
        steps = [step for step in crossed if step.client in clients][:MERMAID_STEPS]
        remarks = self._remarks(len(crossed) - len(steps), len(left_out))
        ids = {client: f"client{number}" for number, client in enumerate(clients, 1)}
        spoken = ". ".join([*map(in_words, steps), *remarks])
        title = (
            self.title or f"What crossed between {', '.join(clients) or 'clients'} and the server"
        )
        lines = [mermaid.directive(), "sequenceDiagram"]
        lines += [f"accTitle: {mermaid.escape(title)}", f"accDescr: {mermaid.escape(spoken)}"]
        if self.title:
            lines.append(f"title: {mermaid.escape(self.title)}")
        lines.append(f"participant {SERVER}")  # at the edge: nobody stands on both sides of it
        lines += [f"participant {ids[name]} as {mermaid.name(name)}" for name in clients]
        for step in steps:
            client, arrow = ids[step.client], "-x" if step.broken else "->>"
            ends = (client, SERVER) if step.to_server else (SERVER, client)
            lines.append(f"{arrow.join(ends)}: {mermaid.label(step.what)}")
            if step.note:
                lines.append(f"Note over {SERVER},{client}: {mermaid.note(step.note)}")
        lines += [f"Note over {SERVER}: {mermaid.note(remark)}" for remark in remarks]
        return "\n    ".join(lines) + "\n"

    def stop(self) -> None:
        """Record nothing from now on. Harmless if it has stopped already."""
        if self._observe in self._server.observers:
            self._server.observers.remove(self._observe)

    def __enter__(self) -> "Trace":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        return self.text

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"text/plain": self.text, "text/vnd.mermaid": self.mermaid}

    def _observe(self, event: Event) -> None:
        """Keep `event` if it is to be shown. The server's thread calls it."""
        if event.kind in {"ping", "pong"} and not self._pings:
            return
        if self._names is None or name_of(event.path, self._names) is not None:
            self._events.append(event)

    def _steps(self) -> tuple[list[str], list[Step]]:
        """Return the clients, in the order in which they stand, and what crossed."""
        events = self.events
        clients = clients_of(events, self._names)
        steps = [
            Step(
                clients[event.connection],
                event.to_server,
                describe(event),
                note_on(event),
                broken=event.kind in {"lost", "bad"},
            )
            for event in events
        ]
        return list(clients.values()), steps

    def _remarks(self, left_out: int, clients: int = 0) -> list[str]:
        if left_out > 0:
            others = f" with {count(clients, 'other client')} too: print the trace"
            return [f"and {left_out:,} more{others if clients else ''}"]
        if self._events:
            return []
        where = f" on {' or '.join(map(shortened, self._names))}" if self._names else ""
        return [f"nothing has crossed yet{where}"]


def trace(
    server: Server, names: Mapping[str, str] | None = None, *, title: str = "", pings: bool = False
) -> Trace:
    """Record what crosses between clients and `server` from now on.

    Args:
        server: from `serve()`.
        names: the client's name for each request path, as in `{"/ws/1": "Ana"}`, with or without
            a query string. Connections on other paths are then left out, so that what is stored
            never depends on who else is there. Without it all are shown, as `client 1`, `client 2`
            … in the order in which they first appear.
        title: stands above the drawing.
        pings: whether to show pings and pongs.
    """
    return Trace(server, names, title, pings)


def name_of(path: str, names: Mapping[str, str]) -> str | None:
    """Return the name for `path`, as it is or without its query string; None if it has none."""
    return names.get(path, names.get(path.partition("?")[0]))


def clients_of(events: Iterable[Event], names: Mapping[str, str] | None) -> dict[int, str]:
    """Return each connection's client, in the order in which they stand in the drawing."""
    paths = {event.connection: event.path for event in events}
    if names is None:
        return {connection: f"client {n}" for n, connection in enumerate(paths, 1)}
    clients: dict[int, str] = {}
    times: Counter[str] = Counter()
    for connection, path in paths.items():
        name = name_of(path, names) or ""
        times[name] += 1
        again = f" ({times[name]})" if times[name] > 1 else ""
        clients[connection] = (shortened(name.strip()) or "?") + again
    rank = list(names.values())
    order = sorted(
        paths, key=lambda connection: rank.index(name_of(paths[connection], names) or "")
    )
    return {connection: clients[connection] for connection in order}


def describe(event: Event) -> str:
    """Return what crossed, on one short line of printable characters."""
    payload = event.payload
    size = count(len(payload))
    reason = f" {quoted(event.reason, TEXT_CHARACTERS)}" if event.reason else ""
    match event.kind:
        case "request":
            return f"GET {shortened(rooms.without_tags(event.path))} (upgrade)"
        case "accept" | "refuse":
            return f"{shortened(payload)}{reason}"
        case "ping" | "pong":
            return f"{event.kind} ({size})"
        case "close" if event.code is not None:
            name = rooms.CLOSES.get(event.code) if rooms.is_room(event.path) else None
            return f"close {event.code} ({name or close_name(event.code)}){reason}"
        case "close":
            return "close (no code)"
        case "lost":
            return "connection lost" if event.to_server else "connection dropped without a close"
        case "bad":
            return f"broken frame: {shortened(payload)}"
    if isinstance(payload, str):
        if rooms.is_room(event.path) and (told := rooms.in_protocol(payload, event.to_server)):
            return told
        return quoted(payload, TEXT_CHARACTERS)
    return f"{size}: {elided(payload)}" if payload else size


def note_on(event: Event) -> str:
    """Return what the wire does not show of `event`."""
    if event.raised is None:
        return ""
    return f"the app's {event.raised} never left the server"


def in_words(step: Step) -> str:
    """Return a step as a screen reader says it."""
    ends = (step.client, SERVER) if step.to_server else (SERVER, step.client)
    what = mermaid.cut(step.what, mermaid.LABEL_CHARACTERS)
    return f"{' to '.join(ends)}: {what}{f', {step.note}' if step.note else ''}"
