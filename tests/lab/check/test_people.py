"""`check.people` knows who counts only those whom a living worker has from who nearly does."""

import time
from collections import Counter, defaultdict

import pytest
from answers import expect_accepted, expect_rejected

from chatlib.lab import check

ONE = "a worker whose lease holds: its people, each with the number of connections"
TWO = "who is connected through two workers counts at both"
OVER = "a worker whose lease is over: its rows do not count, and its people are not listed"
NONE = "a worker without a lease does not count either"
NOW = "a lease that ends just now is over"
CLOCK = "it goes by the time that it is given, which is that of Redis, and not by a clock here"
UNCHANGED = "what it is given stays as it is, and a second call gives the same"


def as_handed_out(rows, leases, now):
    here = Counter()
    for (_, name), connections in rows.items():
        here[name] += connections
    return here


def solution(rows, leases, now):
    here = Counter()
    for (worker, name), connections in rows.items():
        if leases.get(worker, 0) > now:
            here[name] += connections
    return here


def the_last_row(rows, leases, now):
    return {name: number for (worker, name), number in rows.items() if leases.get(worker, 0) > now}


def counts_rows(rows, leases, now):
    return Counter(name for worker, name in rows if leases.get(worker, 0) > now)


def names_alone(rows, leases, now):
    return {name for worker, name in rows if leases.get(worker, 0) > now}


def by_worker(rows, leases, now):
    return {worker: dict(rows) for worker in leases}


def lists_the_dead(rows, leases, now):
    here = {name: 0 for _, name in rows}
    for (worker, name), connections in rows.items():
        here[name] += connections * (leases.get(worker, 0) > now)
    return here


def the_other_way_round(rows, leases, now):
    return {name: number for (worker, name), number in rows.items() if leases.get(worker, 0) < now}


def expects_a_lease(rows, leases, now):
    here = Counter()
    for (worker, name), connections in rows.items():
        if leases[worker] > now:
            here[name] += connections
    return here


def no_lease_is_no_end(rows, leases, now):
    here = Counter()
    for (worker, name), connections in rows.items():
        if leases.get(worker, float("inf")) > now:
            here[name] += connections
    return here


def holds_at_its_end(rows, leases, now):
    here = Counter()
    for (worker, name), connections in rows.items():
        if leases.get(worker, 0) >= now:
            here[name] += connections
    return here


def by_a_clock_here(rows, leases, now):
    return solution(rows, leases, now if now == 12.0 else time.time())


def removes_the_dead(rows, leases, now):
    for worker, name in list(rows):
        if leases.get(worker, 0) <= now:
            del rows[worker, name]
    return as_handed_out(rows, leases, now)


remembered = Counter()


def goes_on_counting(rows, leases, now):
    if now == 10.0:
        remembered.update(solution(rows, leases, now))
        return dict(remembered)
    return solution(rows, leases, now)


def without_return(rows, leases, now):
    solution(rows, leases, now)


def two_parameters(rows, leases):
    return solution(rows, leases, time.time())


WRONG = {
    "as handed out": (as_handed_out, OVER, "expected {'ana': 1, 'ben': 2}"),
    "names alone": (names_alone, ONE, "a dict of names and numbers"),
    "by worker": (by_worker, ONE, ""),
    "the other way round": (the_other_way_round, ONE, "got: {}"),
    "without return": (without_return, ONE, "without `return`"),
    "two parameters": (two_parameters, ONE, "(rows, leases, now)"),
    "called": ({}, ONE, "a function that takes"),
    "counts rows": (counts_rows, ONE, "'ben': 1"),
    "the last row alone": (the_last_row, TWO, "got: {'ana': 3"),
    "lists the dead": (lists_the_dead, OVER, "'cleo': 0"),
    "expects a lease": (expects_a_lease, NONE, "KeyError"),
    "no lease is no end": (no_lease_is_no_end, NONE, "leases, from now: one +5.0"),
    "holds at its end": (holds_at_its_end, NOW, "expected {'cleo': 1}"),
    "by a clock here": (by_a_clock_here, CLOCK, "do not ask time.time()"),
    "removes the dead": (removes_the_dead, UNCHANGED, "as they were"),
    "goes on counting": (goes_on_counting, UNCHANGED, "got: {'ana': 2"),
}


def living_first(rows, leases, now):
    living = {worker for worker, until in leases.items() if until > now}
    here = defaultdict(int)
    for (worker, name), connections in rows.items():
        if worker in living:
            here[name] += connections
    return here


async def a_coroutine(rows, leases, now):
    here = {}
    for worker, until in leases.items():
        if now < until:
            for (each, name), connections in rows.items():
                if each == worker:
                    here[name] = here.get(name, 0) + connections
    return here


class Objects:
    def __call__(self, rows, leases, now):
        return sum(
            (
                Counter({name: number})
                for (worker, name), number in rows.items()
                if worker in leases and leases[worker] > now
            ),
            Counter(),
        )


RIGHT = {
    "the solution": solution,
    "those who live first": living_first,
    "a coroutine": a_coroutine,
    "an object": Objects(),
}


@pytest.fixture(autouse=True)
def nothing_remembered():
    remembered.clear()


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.people(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.people(RIGHT[name]))
