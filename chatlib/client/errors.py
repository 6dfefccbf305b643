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
        super().__init__(
            f"it is not known whether the message with the key {key!r} is kept: say it again with "
            "this key to find out"
        )
        self.key = key


class IncompleteHistoryError(RoomError):
    """Messages are missing in this place. Iterate again for those that follow.

    Attributes:
        history: `"trimmed"`: the messages after `before`, up to `after`, are no longer kept.
            `"diverged"`: the server no longer has the history up to `before`. It has lost the end
            of it, or has another one. So others may not have what you have read.
        before: the cursor behind the last message before this place.
        after: the cursor that the next message follows.
    """

    def __init__(self, history: str, before: Cursor, after: Cursor) -> None:
        if history == "trimmed":
            text = f"messages {before.id + 1} to {after.id} are no longer kept"
        else:
            text = f"the server no longer has the history up to {before}: forget what you have read"
        super().__init__(f"{text}. Iterate again for what follows {after}")
        self.history = history
        self.before = str(before)
        self.after = str(after)


class BreachError(Exception):
    """The server sent what it should not, or not what it should."""
