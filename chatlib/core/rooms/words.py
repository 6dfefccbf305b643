"""What the page of the protocol says besides what the models say."""

from chatlib.core.rooms.exchange import BEFORE
from chatlib.core.rooms.names import MINE, NAME_CHARACTERS, ROOM_PATTERN
from chatlib.core.rooms.protocol import FRAME_BYTES, KEY_PATTERN, SUBPROTOCOL, TEXT_CHARACTERS

INTRODUCTION = f"""\
Each frame is a text message of the WebSocket with one JSON object; its `type` says which. In what
you send, a field that is not listed here is an error. In what you get, ignore it.

A room is a log: its messages have the ids 1, 2, 3 … without gaps, in one order for all. Open a
WebSocket at `/rooms/lobby` to hear and to speak; `/rooms/{MINE}` is your own inbox.

Say who you are by a token: in the cookie `session`, in the header `Authorization: Bearer …`, or as
a second subprotocol, `token.…`, beside `{SUBPROTOCOL}`. Never in the address, which is logged.

Keep the last `id` and `tag` that you have heard, as the cursor `{BEFORE}`. When you come back,
`?after={BEFORE}` brings all that you missed, or says that it cannot. Without a cursor,
`?last=50` brings the newest messages, from 0 to 200.

Give each message a key of your own, and keep it until its `ack` comes or you hear it yourself.
After a lost connection send it again, with the same key: it is in the room once. Wait for one `ack`
before you send the next message, and their order stays.

If no frame comes for `beat` and ten seconds more, the connection is dead: come back. If an id is
not one more than the last, you have missed something: come back with your cursor."""

MEASURES = {
    "a frame": f"What you send is at most {FRAME_BYTES:,} bytes of UTF-8, or what `max` in the "
    "welcome says. A bigger one closes the connection with 1009.",
    "`text`": f"1 to {TEXT_CHARACTERS:,} characters (Unicode code points) in a `say`. A longer "
    "one gets the error `too_long`.",
    "a room": f"`{ROOM_PATTERN.strip('^$')}`, or `{MINE}`.",
    "`key`": f"`{KEY_PATTERN.strip('^$')}`.",
    "a name": f"1 to {NAME_CHARACTERS} printable characters in Unicode's form NFC. It does not "
    "begin with `@`, and does not begin or end with a space.",
    "`beat`, `wait`": "Seconds, with a fraction or without.",
    "`at`": "Milliseconds since the beginning of 1970 in UTC. 0: the time is not known.",
    "`retry` in `welcome`": "Milliseconds. After 1012, wait a random part of them.",
    "`retry` in `error`": "No time, but `true` or `false`: whether to send the same again, with "
    "the same key. `wait` says when.",
}

LEFT_OUT = {
    "Several rooms on one socket": "a slow room would hold up the others, and a cursor would be a "
    "table. HTTP/2 and a proxy make a second socket cheap.",
    "Edits and deletes": "they are further kinds of message in the same log: whoever reads it from "
    "the beginning sees what became of each.",
    "Receipts of reading": "one cursor for each reader and room, kept where your users are.",
    "Binary frames": "a picture belongs on an HTTP server, and its address in a message.",
    "Acknowledgements from clients": "TCP has brought what the next cursor says it has.",
}
