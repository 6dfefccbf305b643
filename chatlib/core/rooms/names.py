"""The names of people and rooms in the protocol `chatlib.rooms.1`."""

import re
import unicodedata

NAME_CHARACTERS = 40
ROOM_PATTERN = r"^[a-z0-9][a-z0-9._-]{0,63}$"
MINE = "@me"  # the inbox of the token's name


def expect_person(name: str) -> str:
    """Return `name`; `ValueError` if it cannot be the name of a person."""
    fits = 0 < len(name) <= NAME_CHARACTERS and name.isprintable() and name == name.strip()
    if not fits or name.startswith("@") or not unicodedata.is_normalized("NFC", name):
        raise ValueError(
            f"expected a name of 1 to {NAME_CHARACTERS} printable characters that does not begin "
            f"with @, begins and ends with no space, and is in Unicode's form NFC; got {name!r:.60}"
        )
    return name


def expect_room(room: str) -> str:
    """Return `room`; `ValueError` if it cannot be the name of a room."""
    if not re.fullmatch(ROOM_PATTERN, room):
        raise ValueError(
            f"expected a room such as lobby: 1 to 64 of a-z, 0-9, '.', '_' and '-', the first a "
            f"letter or digit; or {MINE}; got {room!r:.80}"
        )
    return room
