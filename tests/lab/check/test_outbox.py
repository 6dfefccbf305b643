"""`check.outbox` knows an outbox from those that lose a message, or have it kept twice."""

import hashlib
import itertools
import secrets
import time
import uuid
from collections import OrderedDict, deque

import pytest
from answers import expect_accepted, expect_rejected

from chatlib.lab import check

SAYS = "say gives the message to send: its text, and a key for it"
OWN = "each message has a key of its own, and so has the same text said twice"
OTHERS = "two outboxes never make the same key: a page that is opened twice has two"
AGAIN = "again gives what has no ack: the same messages with the same keys, in order"
ACKED = "what has its ack is not sent again, and the others are"
TWICE = "an ack that comes twice, or for a key that it does not know, changes nothing"
UNCHANGED = "again changes nothing: if the connection is lost again, it gives the same"
NETWORK = "through a network that loses messages and acks, each is kept once, in order"


FROM_ONE, FROM_4095 = itertools.count(1), itertools.count(4095)


class Solution:
    """What a client has said and the server has not acknowledged."""

    def __init__(self):
        self.waiting = []

    def say(self, text):
        message = {"key": self.key(text), "text": text}
        self.waiting.append(message)
        return message

    def key(self, text):
        return secrets.token_hex(8)

    def acked(self, key):
        self.waiting = [message for message in self.waiting if message["key"] != key]

    def again(self):
        return list(self.waiting)


def keyed(key):
    """Return the solution with another `key(self, text)`."""
    return type("Outbox", (Solution,), {"key": key})


def acking(acked):
    """Return the solution with another `acked(self, key)`."""
    return type("Outbox", (Solution,), {"acked": acked})


def repeating(again):
    """Return the solution with another `again(self)`."""
    return type("Outbox", (Solution,), {"again": again})


class AsHandedOut:
    def __init__(self):
        self.waiting = []

    def say(self, text):
        return {"key": "?", "text": text}

    def acked(self, key):
        pass

    def again(self):
        return list(self.waiting)


class KeepsNothing(Solution):
    def again(self):
        return []


class OfTheClass(Solution):
    waiting = []  # noqa: RUF012 - this is what is wrong

    def __init__(self):
        pass

    def acked(self, key):
        self.waiting[:] = [message for message in self.waiting if message["key"] != key]


class ByText(Solution):
    """It keeps one message for a text."""

    def __init__(self):
        self.texts = {}

    def say(self, text):
        self.texts[text] = secrets.token_hex(8)
        return {"key": self.texts[text], "text": text}

    def acked(self, key):
        self.texts = {text: other for text, other in self.texts.items() if other != key}

    def again(self):
        return [{"key": key, "text": text} for text, key in self.texts.items()]


class NewKeys(Solution):
    def again(self):
        return [{"key": secrets.token_hex(8), "text": each["text"]} for each in self.waiting]


class CountsWhatWaits(Solution):
    """Its key has the number of those that wait, which goes down again."""

    def __init__(self):
        super().__init__()
        self.name = secrets.token_hex(4)

    def key(self, text):
        return f"{self.name}-{len(self.waiting)}"


class PopsTheFirst(Solution):
    def acked(self, key):
        if self.waiting:
            self.waiting.pop(0)


class Coroutine(Solution):
    async def say(self, text):
        return super().say(text)


class TextAlone(Solution):
    def say(self, text):
        super().say(text)
        return text


class OtherNames(Solution):
    def say(self, text):
        message = super().say(text)
        return {"id": message["key"], "text": text}


class Strips(Solution):
    def say(self, text):
        return super().say(text.strip())


def removes(outbox, key):
    outbox.waiting.remove(next(each for each in outbox.waiting if each["key"] == key))


def clears(outbox, key):
    outbox.waiting.clear()


def up_to_the_key(outbox, key):
    keys = [each["key"] for each in outbox.waiting]
    if key in keys:
        outbox.waiting = outbox.waiting[keys.index(key) + 1 :]


def the_unknown_too(outbox, key):
    keys = [each["key"] for each in outbox.waiting]
    del outbox.waiting[keys.index(key) if key in keys else 0]


def gives_away(outbox):
    waiting, outbox.waiting = outbox.waiting, []
    return waiting


def generated(outbox):
    while outbox.waiting:
        yield outbox.waiting.pop(0)


WRONG = {
    "as handed out": (AsHandedOut, SAYS, "made anew each time"),
    "a coroutine function": (Coroutine, SAYS, "write `def say`"),
    "the text alone": (TextAlone, SAYS, "a message: {'key': …, 'text': …}"),
    "other names": (OtherNames, SAYS, "a message: {'key': …, 'text': …}"),
    "strips the text": (Strips, SAYS, "Straße"),
    "a number for a key": (
        keyed(lambda outbox, text: len(outbox.waiting)),
        SAYS,
        "a key of 1 to 64 letters",
    ),
    "a key that is too long": (
        keyed(lambda outbox, text: secrets.token_hex(40)),
        SAYS,
        "a key of 1 to 64 letters",
    ),
    "a time with a point": (keyed(lambda outbox, text: str(time.time())), SAYS, "a key of 1 to 64"),
    "an object for the class": (Solution(), SAYS, "the class itself, without ()"),
    "a hash of the text": (
        keyed(lambda outbox, text: hashlib.sha1(text.encode()).hexdigest()),
        OWN,
        "expected 4 different keys, got: 2",
    ),
    "one key for all": (keyed(lambda outbox, text: "my-key"), OWN, "4 different keys, got: 1"),
    "counts from 1": (
        keyed(lambda outbox, text: f"message-{len(outbox.waiting)}"),
        OTHERS,
        "60 different keys, got: 20",
    ),
    "the class counts": (
        keyed(lambda outbox, text: str(next(FROM_ONE))),
        OTHERS,
        "expected keys that no other page makes, got: keys that count: ['",
    ),
    "the module counts, from where others do too": (
        keyed(lambda outbox, text: f"key-{next(FROM_4095):x}"),
        OTHERS,
        "take something random",
    ),
    "keeps nothing": (KeepsNothing, AGAIN, "keep in say what it returns"),
    "a list of the class": (OfTheClass, AGAIN, "expected the texts [] again"),
    "one message for a text": (ByText, AGAIN, "['one', 'two', 'two', 'three'] again"),
    "new keys": (NewKeys, AGAIN, "each of them with the key that it had, got: other keys"),
    "backwards": (
        repeating(lambda outbox: outbox.waiting[::-1]),
        AGAIN,
        "got: ['three', 'two', 'two', 'one']",
    ),
    "the last one alone": (repeating(lambda outbox: outbox.waiting[-1:]), AGAIN, "got: ['three']"),
    "again gives one": (
        repeating(lambda outbox: outbox.waiting[0] if outbox.waiting else None),
        AGAIN,
        "a list of messages from again",
    ),
    "an ack takes out nothing": (acking(lambda outbox, key: None), ACKED, "and no other"),
    "an ack takes out the first": (PopsTheFirst, ACKED, "got: ['two', 'two', 'three']"),
    "an ack takes out all": (acking(clears), ACKED, "got: []"),
    "an ack takes out those before too": (acking(up_to_the_key), ACKED, "got: ['two', 'three']"),
    "an ack twice raises": (acking(removes), TWICE, "StopIteration"),
    "an unknown ack takes out the first": (acking(the_unknown_too), TWICE, "got: ["),
    "gives away what it keeps": (repeating(gives_away), UNCHANGED, "only an ack takes"),
    "gives its own list": (repeating(lambda outbox: outbox.waiting), UNCHANGED, "a new list"),
    "a generator that takes out": (repeating(generated), UNCHANGED, "got: []"),
    "counts what waits": (CountsWhatWaits, NETWORK, "are lost"),
}


class WithADict(Solution):
    def __init__(self):
        self.texts = {}

    def say(self, text):
        key = uuid.uuid4().hex
        self.texts[key] = text
        return {"key": key, "text": text}

    def acked(self, key):
        self.texts.pop(key, None)

    def again(self):
        return [{"key": key, "text": text} for key, text in self.texts.items()]


class NameAndNumber(Solution):
    def __init__(self):
        self.waiting, self.name = deque(), secrets.token_urlsafe(6)
        self.numbers = itertools.count(1)

    def key(self, text):
        return f"{self.name}-{next(self.numbers)}"

    def acked(self, key):
        for message in list(self.waiting):
            if message["key"] == key:
                self.waiting.remove(message)

    def again(self):
        return tuple(self.waiting)


class Ordered(Solution):
    def __init__(self):
        self.messages = OrderedDict()

    def say(self, text):
        key = str(uuid.uuid4())
        self.messages[key] = {"key": key, "text": text}
        return self.messages[key]

    def acked(self, key):
        if key in self.messages:
            del self.messages[key]

    def again(self):
        yield from [dict(message) for message in self.messages.values()]


RIGHT = {
    "the solution": Solution,
    "a dict": WithADict,
    "a name and a number": NameAndNumber,
    "ordered, and a generator": Ordered,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.outbox(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.outbox(RIGHT[name]))
