"""The rules of the second exercise of chapter 07: what a client says, until it is acknowledged."""

import itertools
import random
import re
from typing import Any

from chatlib.lab.check.report import Rules
from chatlib.lab.check.tools.bench import Wrong, expect, shorten
from chatlib.lab.check.tools.calling import expect_plain
from chatlib.lab.check.tools.puppet import new

OUTBOX = Rules()

KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
SAYS = "{'key': …, 'text': …}, with a key of 1 to 64 letters and digits, made anew each time"


@OUTBOX.rule("say gives the message to send: its text, and a key for it", hint=SAYS, essential=True)
async def say_gives_a_message(outbox_class: Any) -> None:
    outbox = new(outbox_class)
    for text in ("Hello", "", "Straße\n"):
        say(outbox, text)


@OUTBOX.rule(
    "each message has a key of its own, and so has the same text said twice",
    hint="two people may say 'ok', and one may say it twice: a key is made anew in each say",
    essential=True,
)
async def keys_differ(outbox_class: Any) -> None:
    outbox = new(outbox_class)
    expect_different([say(outbox, text)["key"] for text in ("ok", "ok", "yes", "ok")])


@OUTBOX.rule(
    "two outboxes never make the same key: a page that is opened twice has two",
    hint="a number that counts from 1 is the same in both; take something random",
)
async def outboxes_differ(outbox_class: Any) -> None:
    outboxes = [new(outbox_class) for _ in range(3)]
    keys = [say(outbox, "Hello")["key"] for outbox in outboxes for _ in range(20)]
    expect_different(keys)
    if are_counted(keys):  # by the class or the module: another page counts from 1 as well
        raise Wrong("keys that no other page makes", f"keys that count: {shorten(keys[:3])}")


@OUTBOX.rule(
    "again gives what has no ack: the same messages with the same keys, in order",
    hint="keep in say what it returns, and give that. A new key would make it a new message",
    essential=True,
)
async def again_gives_them(outbox_class: Any) -> None:
    outbox = new(outbox_class)
    expect_again(outbox, [])
    said = [say(outbox, text) for text in ("one", "two", "two", "three")]
    expect_again(outbox, said)
    expect_again(new(outbox_class), [])


@OUTBOX.rule(
    "again changes nothing: if the connection is lost again, it gives the same",
    hint="only an ack takes a message out; and give a new list, not the one that you keep",
    essential=True,
)
async def again_may_come_twice(outbox_class: Any) -> None:
    outbox = new(outbox_class)
    said = [say(outbox, text) for text in ("one", "two")]
    for _ in range(3):
        expect_again(outbox, said)
    given = outbox.again()
    if isinstance(given, list):
        given.clear()
    expect_again(outbox, said)


@OUTBOX.rule(
    "what has its ack is not sent again, and the others are",
    hint="acked takes the message with this key out, wherever it stands, and no other",
    essential=True,
)
async def acked_takes_out(outbox_class: Any) -> None:
    outbox = new(outbox_class)
    said = [say(outbox, text) for text in ("one", "two", "two", "three")]
    for number in (1, 2, 0):
        acked(outbox, said.pop(number)["key"])
        expect_again(outbox, said)


@OUTBOX.rule(
    "an ack that comes twice, or for a key that it does not know, changes nothing",
    hint="what was sent twice is acknowledged twice; the second ack finds nothing to take out",
)
async def acks_may_come_twice(outbox_class: Any) -> None:
    outbox = new(outbox_class)
    said = [say(outbox, text) for text in ("one", "two", "three")]
    for key in (said[1]["key"], said[1]["key"], "an-unknown-key"):
        acked(outbox, key)
    expect_again(outbox, [said[0], said[2]])


@OUTBOX.rule(
    "through a network that loses messages and acks, each is kept once, in order",
    hint="say, acked and again in any order: a key is not used again when its message has its ack",
)
async def through_a_bad_network(outbox_class: Any) -> None:
    chance = random.Random(7)  # always the same
    outbox, kept, connected = new(outbox_class), dict[str, str](), True
    for number in range(100):
        to_send = [say(outbox, f"message {number}")]
        if not connected and chance.random() < 0.5:
            connected, to_send = True, again(outbox)
        for message in to_send if connected else []:
            connected = deliver(outbox, message, kept, chance)
            if not connected:
                break
    for message in again(outbox):
        kept.setdefault(message["key"], message["text"])
    expect_all(list(kept.values()), 100)


def deliver(outbox: Any, message: dict[str, str], kept: dict[str, str], chance: Any) -> bool:
    """Send `message` to a room that keeps it once for its key; return whether the ack came."""
    if chance.random() < 0.2:
        return False
    kept.setdefault(message["key"], message["text"])
    if chance.random() < 0.2:
        return False
    acked(outbox, message["key"])
    return True


def expect_all(texts: list[str], count: int) -> None:
    """Raise `Wrong` unless `texts` are all messages, each once."""
    wanted = [f"message {number}" for number in range(count)]
    lost = [text for text in wanted if text not in texts]
    if lost:
        raise Wrong(f"all {count} messages in the room", f"{len(lost)} are lost: {shorten(lost)}")
    if texts != wanted:
        raise Wrong(f"the {count} messages, each once and in order", shorten(texts))


def say(outbox: Any, text: str) -> dict[str, str]:
    """Have `outbox` say `text`; return the message."""
    message = outbox.say(text)
    expect_plain("say", message)
    if not isinstance(message, dict) or set(message) != {"key", "text"}:
        raise Wrong("a message: {'key': …, 'text': …}", shorten(message))
    expect(message["text"], text)
    key = message["key"]
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise Wrong("a key of 1 to 64 letters, digits, - and _", shorten(key), hint=SAYS)
    return dict(message)


def acked(outbox: Any, key: str) -> None:
    """Tell `outbox` that the message with `key` is kept."""
    expect_plain("acked", outbox.acked(key))


def again(outbox: Any) -> list[dict[str, str]]:
    """Return what `outbox` wants to send again."""
    got = outbox.again()
    expect_plain("again", got)
    if got is None or isinstance(got, dict | str | bytes):
        raise Wrong("a list of messages from again", shorten(got))
    return [dict(message) for message in got]


def expect_again(outbox: Any, messages: list[dict[str, str]]) -> None:
    """Raise `Wrong` unless `outbox` wants to send just `messages` again."""
    got = again(outbox)
    texts = [message["text"] for message in messages]
    if [message.get("text") for message in got] != texts:
        came = [message.get("text") for message in got]
        raise Wrong(f"the texts {shorten(texts)} again", shorten(came))
    if got != messages:
        raise Wrong("each of them with the key that it had", "other keys")


def are_counted(keys: list[str]) -> bool:
    """Return whether each of `keys` is the number that follows that of the one before."""
    columns = enumerate(zip(*keys, strict=False))
    prefix = next((column for column, letters in columns if len(set(letters)) > 1), 0)
    for base in (10, 16):
        try:
            numbers = [int(key[prefix:], base) for key in keys]
        except ValueError:
            continue
        if all(after - before == 1 for before, after in itertools.pairwise(numbers)):
            return True
    return False


def expect_different(keys: list[str]) -> None:
    """Raise `Wrong` if two of `keys` are the same."""
    if len(set(keys)) < len(keys):
        raise Wrong(f"{len(keys)} different keys", f"{len(set(keys))}")
