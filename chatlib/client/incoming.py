"""What a server tells a client, frame by frame, held against what it has told before."""

import json
from collections.abc import Callable
from dataclasses import dataclass

from chatlib.client.errors import BreachError
from chatlib.client.outbox import Outbox
from chatlib.client.unread import Message, Unread
from chatlib.core.rooms import protocol
from chatlib.core.rooms.protocol import (
    DOWN,
    SUBPROTOCOL,
    Ack,
    Beat,
    Down,
    Error,
    People,
    Typing,
    Welcome,
)
from chatlib.stores.store import Cursor

MODELS = {model.__name__.lower(): model for model in DOWN}


@dataclass(frozen=True, slots=True)
class Lost:
    """There is no connection just now.

    Attributes:
        reason: in words.
        seconds: until the next try; None: there will be none, and the room has ended.
    """

    reason: str
    seconds: float | None


Event = Welcome | People | Typing | Lost


def ignore(event: Event) -> None:
    """Do nothing."""


class Incoming:
    """Takes the frames of one connection after the other.

    Args:
        unread: gets the messages.
        outbox: gets the answers to what was said.
        tell: gets what else there is.

    Attributes:
        welcome: the newest one.
        people: the names of those present; None if they are many.
        count: how many are present.
    """

    def __init__(
        self,
        unread: Unread,
        outbox: Outbox,
        tell: Callable[[Welcome | People | Typing], None],
    ) -> None:
        self._unread = unread
        self._outbox = outbox
        self._tell = tell
        self._place = Cursor(0, "")  # of the newest message that came over this connection
        self.welcome: Welcome | None = None
        self.people: frozenset[str] | None = frozenset()
        self.count = 0

    def begin(self, text: str | bytes, after: Cursor | None) -> Welcome:
        """Take the first frame of a connection that was asked for what follows `after`.

        Raises:
            BreachError: it is no welcome, or does not fit.
        """
        welcome = read(text)
        if not isinstance(welcome, Welcome):
            raise BreachError(f"expected a welcome, got {text[:80]!r}")
        place = cursor_in(welcome.after)
        fits = {"complete": place == after, "new": after is None}
        if not fits.get(welcome.history, after is not None):
            raise BreachError(f"asked for what follows {after}, got {text[:200]!r}")
        self._unread.go_on(welcome.history, place)
        self._place = place
        self.welcome = welcome
        self.people = None if welcome.people is None else frozenset(welcome.people)
        self.count = welcome.count
        self._tell(welcome)
        return welcome

    def take(self, text: str | bytes) -> None:
        """Take another frame. One of an unknown type is ignored: there may be more one day.

        Raises:
            BreachError: it is none, or something was missed before it.
        """
        match read(text):
            case protocol.Message() as message:
                if message.id != self._place.id + 1:
                    raise BreachError(f"got message {message.id} after {self._place.id}")
                self._place = Cursor(message.id, message.tag)
                self._unread.put(Message.of(message))
            case Beat(head=head):
                if head != self._place.id:
                    raise BreachError(f"got message {self._place.id} last, and {head} is newest")
            case Ack() | Error() as answer:
                self._outbox.take(answer)
            case People() as people:
                known = (self.people or frozenset()) - {*people.left} | {*people.joined}
                self.people = known if len(known) == people.count else None
                self.count = people.count
                self._tell(people)
            case Typing() as typing:
                if self.welcome is not None and typing.sender != self.welcome.you:
                    self._tell(typing)


def read(text: str | bytes) -> Down | None:
    """Return the frame in `text`; None if it is of a type that is not known here.

    Raises:
        BreachError: it is no frame.
    """
    try:
        frame = json.loads(text)
        model = MODELS.get(frame["type"])
        return None if model is None else model.model_validate(frame)
    except (ValueError, TypeError, KeyError) as error:  # a ValidationError is a ValueError
        raise BreachError(f"expected a frame of {SUBPROTOCOL}, got {text[:80]!r}") from error


def cursor_in(text: str) -> Cursor:
    """Return the cursor that a server wrote; `BreachError` if it is none."""
    try:
        return Cursor.parse(text)
    except ValueError as error:
        raise BreachError(str(error)) from error
