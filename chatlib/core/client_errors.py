"""What may go wrong for a client of a room."""

from chatlib.stores.store import Cursor


class RoomError(Exception):
    """The base of all errors of `chatlib.client`."""


class UnreachableError(RoomError):
    """There is no such server, or it does not speak the protocol. The text says what came."""


class RefusedError(RoomError):
    """The server does not let this client in, and trying again does not help.

    Attributes:
        code: the close code: 1008 for a wrong name of a room, 4403 if one may not be in it.
        reason: what the server said.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"the server refused: {code} {reason}".rstrip())
        self.code = code
        self.reason = reason


class TokenError(RefusedError):
    """The server did not take the token: 4401. Sign in, and join again with the new one."""


class LeftError(RoomError):
    """The room was left: its `async with` block has ended."""


class SayError(RoomError):
    """The server did not keep a message, and will not.

    Attributes:
        code: `"too_long"`, `"not_allowed"`, `"nobody"`, `"bad_message"`.
        text: the server's words.
    """

    def __init__(self, code: str, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.text = text


class UnsureError(RoomError):
    """The room ended before a message was acknowledged: it may be kept, or not.

    To say it again with the same key tells, and makes it so. The cause says why the room ended.

    Attributes:
        key: of the message.
    """

    def __init__(self, key: str) -> None:
        super().__init__(f"nobody knows whether the message {key!r} is kept; say it again with key")
        self.key = key


class IncompleteHistoryError(RoomError):
    """Messages are missing here. Iterate again, and what there is follows.

    Attributes:
        history: `"trimmed"`: what came after `before` is no longer kept, up to `after`.
            `"diverged"`: the history up to `before` is no more. The server has lost its end, or
            has another one. So what was read is not what others read.
        before: the cursor up to which the messages had come.
        after: the cursor that the next messages follow.
    """

    def __init__(self, history: str, before: Cursor, after: Cursor) -> None:
        if history == "trimmed":
            text = f"{after.id - before.id} messages after {before} are no longer kept"
        else:
            text = f"the history up to {before} is no more; forget what was read, and begin anew"
        super().__init__(f"{text}: iterate again for those after {after}")
        self.history = history
        self.before = str(before)
        self.after = str(after)


class BreachError(Exception):
    """The server sent what it should not, or not what it should."""
