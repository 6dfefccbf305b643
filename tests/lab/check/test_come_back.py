"""`check.come_back` knows a rule that spares a server from one that brings it down."""

import random
import time

import pytest
from answers import expect_accepted, expect_rejected

from chatlib.lab import check

IN_TIME = "after 1012, a restart: within the time that the server asks for"
SPREAD = "after 1012 the clients of a server are spread over all of that time"
AT_ONCE = "after 1006, a connection that was cut: at once, the first time"
LATER = "if that fails: later and later"
JITTER = "clients that fail at one moment do not come back at one moment"
BOUNDED = "however often it fails: some seconds, but never more than two minutes"
FAULT = "after 1011, a fault of the server's: not at once, then later and later"
TOO_MANY = "after 1013, too many clients: after five seconds at the earliest"
NEVER = "after 1003, 1007, 1008, 1009 and 4403: never"
OTHERS = "after any other code as after 1006: at once, then later and later"


def as_handed_out(code, attempt, retry):
    return 0


def solution(code, attempt, retry):
    if code in {1003, 1007, 1008, 1009, 4403}:
        return None
    if code == 1012:
        return random.uniform(0, retry)
    if code == 1013:
        return random.uniform(5, 10)
    if attempt == 0 and code != 1011:
        return 0
    longest = 2 ** min(attempt, 6)
    return random.uniform(longest / 2, longest)


def instead(seconds, *codes, attempts=range(10_000)):
    """Return an answer that is right but for these codes and attempts."""

    def come_back(code, attempt, retry):
        if code in codes and attempt in attempts:
            return seconds(code, attempt, retry)
        return solution(code, attempt, retry)

    return come_back


def without_return(code, attempt, retry):
    solution(code, attempt, retry)


def waits_itself(code, attempt, retry):
    time.sleep(3)


def two_parameters(code, attempt):
    return solution(code, attempt, 4.0)


async def a_coroutine(code, attempt, retry):
    return solution(code, attempt, retry)


WRONG = {
    "as handed out": (as_handed_out, SPREAD, "all 500 after 0.00 s"),
    "without return": (without_return, IN_TIME, "None"),
    "waits itself": (waits_itself, IN_TIME, "an answer"),
    "two parameters": (two_parameters, IN_TIME, "(code, attempt, retry)"),
    "called": (4.0, IN_TIME, "a function that takes"),
    "text": (instead(lambda *_: "4", 1012), IN_TIME, "a number of seconds"),
    "before now": (instead(lambda *_: -1, 1012), IN_TIME, "-1"),
    "a retry of its own": (instead(lambda *_: random.uniform(0, 4), 1012), IN_TIME, "0.5 s"),
    "never after a restart": (instead(lambda *_: None, 1012), IN_TIME, "None is for"),
    "all at the end": (instead(lambda c, a, retry: retry, 1012), SPREAD, "all 500 after 4.00 s"),
    "most of them early": (
        instead(lambda c, a, retry: retry * random.random() ** 4, 1012),
        SPREAD,
        "as many early as late",
    ),
    "waits after a cut": (instead(lambda *_: random.uniform(1, 2), 1006), AT_ONCE, "attempt 0"),
    "always at once": (instead(lambda *_: random.uniform(0, 0.01), 1006), LATER, "some time"),
    "always a second": (
        instead(lambda *_: random.uniform(0.5, 1.5), 1006, attempts=range(1, 10_000)),
        LATER,
        "2 times as much",
    ),
    "without chance": (
        instead(lambda c, a, r: min(60, 2 ** min(a, 6)), 1006, attempts=range(1, 10_000)),
        JITTER,
        "random.uniform",
    ),
    "too many without chance": (instead(lambda *_: 5, 1013), JITTER, "for code 1013"),
    "hours": (
        instead(lambda c, a, r: random.random() * 2 ** min(a, 50), 1006, attempts=range(1, 10_000)),
        BOUNDED,
        "2 to 120 s for code 1006, attempt 12",
    ),
    "an error at last": (
        instead(
            lambda c, a, r: min(60, random.random() * 2.0**a), 1006, attempts=range(41, 10_000)
        ),
        BOUNDED,
        "OverflowError",
    ),
    "starts again": (
        instead(lambda *_: random.random(), 1006, attempts=range(41, 10_000)),
        BOUNDED,
        "attempt 60",
    ),
    "at once after a fault": (instead(lambda *_: random.random() / 9, 1011), FAULT, "a second"),
    "never later after a fault": (
        instead(lambda *_: random.uniform(0.5, 1), 1011),
        FAULT,
        "for code 1011 some time for attempt 1",
    ),
    "hours after a fault": (
        instead(lambda c, a, r: random.uniform(1, 2) * 2 ** min(a, 50), 1011),
        FAULT,
        "2 to 120 s for code 1011, attempt 12",
    ),
    "a restart at once, if a try has failed": (
        instead(lambda *_: 0, 1012, attempts=range(1, 10_000)),
        SPREAD,
        "for attempt 2",
    ),
    "a restart later and later": (
        instead(lambda c, a, retry: retry + a, 1012, attempts=range(1, 10_000)),
        IN_TIME,
        "whatever attempt is",
    ),
    "too many too soon": (
        instead(lambda *_: random.uniform(3, 10), 1013),
        TOO_MANY,
        "5 to 120 s",
    ),
    "knows one code alone": (
        instead(lambda *_: 60, 1003, 1007, 1009, 4403),
        NEVER,
        "None for code 1003",
    ),
    "never at first": (
        instead(lambda *_: 60, 4403, attempts=range(1, 10)),
        NEVER,
        "None for code 4403, attempt 3",
    ),
    "gives up on others": (instead(lambda *_: None, 1001, 1014, 4000), OTHERS, "for code 1001"),
    "others not at once": (
        instead(lambda *_: 100, 1000, attempts=[0]),
        OTHERS,
        "at most 0.1 s for code 1000, attempt 0",
    ),
    "others in a row": (
        instead(lambda *_: random.random(), 4000, attempts=range(1, 10_000)),
        OTHERS,
        "for code 4000",
    ),
    "others without chance": (
        instead(lambda c, a, r: min(60, 2 ** min(a, 6)), 1014, attempts=range(1, 10_000)),
        OTHERS,
        "for code 1014, attempt 5",
    ),
    "a coroutine": (a_coroutine, IN_TIME, "write `def come_back`"),
    "a coroutine, unseen": (lambda *three: a_coroutine(*three), IN_TIME, "coroutine"),
}


def step_by_step(code, attempt, retry):
    match code:
        case 1003 | 1007 | 1008 | 1009 | 4403:
            return None
        case 1012:
            return retry * random.random()
        case 1013:
            return 5 + 5 * random.random()
        case _ if not attempt and code != 1011:
            return 0.0
    return min(60, 1.5 ** min(attempt, 20)) * random.uniform(0.8, 1.2)


class Decided:
    """One that has a table, and full jitter."""

    never = frozenset({1003, 1007, 1008, 1009, 4403})

    def __call__(self, code, attempt, retry):
        if code in self.never:
            return None
        if code == 1012:
            return random.triangular(0, retry)
        if attempt == 0 and code not in {1011, 1013}:
            return random.random() / 20
        return 5 * (code == 1013) + random.random() * 2 * (1 + min(attempt, 25))


RIGHT = {
    "the solution": solution,
    "step by step": step_by_step,
    "a table": Decided(),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.come_back(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.come_back(RIGHT[name]))


def test_a_right_answer_is_accepted_each_time():
    """It is tried with chance, and has to be sure all the same."""
    for _ in range(3):
        expect_accepted(check.come_back(solution))
