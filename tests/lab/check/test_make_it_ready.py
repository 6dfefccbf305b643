"""`check.make_it_ready` tells right answers from wrong ones."""

import contextlib
import json
from collections import Counter, defaultdict
from functools import partial

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import FastAPI, Response, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, Field, ValidationError
from ready_apps import add_paths

from chatlib.core.guard import Guard
from chatlib.core.messages import receive_text
from chatlib.lab import check

COUNTS = "it works: two ballots for one choice give 2, and another poll 1"
ENTERS = "a client is let in at the WebSocket's path"
ORIGIN = "a page of another site is refused, and nobody else is"
BAD = "bad input is answered, or closed with 1003, 1007 or 1008"
TRACEBACK = "nothing of all this leaves a traceback in the log"
FLOOD = "a flood is ended or slowed, and others are answered"
CAP = "one address has a cap on its connections"
ALIVE = "/livez or /healthz answers 200"
READY = "/readyz answers 200"
METRICS = "/metrics answers, for Prometheus"
BOUNDED = "what is kept and answered is bounded"
CAPS = {"max_connections_per_address": 50, "messages_per_second": 20}


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Do less of what is the same each time."""
    monkeypatch.setattr("chatlib.lab.check.readiness.payloads.QUIET_SECONDS", 0.2)
    monkeypatch.setattr("chatlib.lab.check.readiness.bench.QUIET_SECONDS", 0.2)
    monkeypatch.setattr("chatlib.lab.check.readiness.polls.CAP", 60)


class Ballot(BaseModel):
    """What a client sends."""

    choice: str = Field(max_length=20)


class Long(BaseModel):
    """The same, but for the bound."""

    choice: str


def count(votes, poll, choice, choices=20, polls=20):
    """Count a ballot, and return what to answer, within these bounds."""
    if poll not in votes and len(votes) >= polls:
        return {"error": "enough polls"}
    counts = votes[poll]
    if choice not in counts and len(counts) >= choices:
        return {"error": "enough choices"}
    counts[choice] += 1
    return counts


def of_another_size(choices=20, polls=20):
    """Return how ballots are counted within other bounds."""
    return partial(count, choices=choices, polls=polls)


def once_for_all(votes, poll, choice):
    return count(votes, "the one", choice)


def twice(votes, poll, choice):
    counts = count(votes, poll, choice)
    return counts if "error" in counts else count(votes, poll, choice)


def its_own_alone(votes, poll, choice):
    counts = count(votes, poll, choice)
    return counts if "error" in counts else {choice: counts[choice]}


def without_bound(votes, poll, choice):
    votes[poll][choice] += 1
    return votes[poll]


def hides_the_rest(votes, poll, choice):
    return dict(without_bound(votes, poll, choice).most_common(20))


def forgets_the_oldest(votes, poll, choice):
    counts = without_bound(votes, poll, choice)
    if len(counts) > 20:
        del counts[next(iter(counts))]
    return counts


async def one_by_one(websocket, count, model=Ballot):
    """Answer each ballot, and each that is none, with a message."""
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            try:
                ballot = model.model_validate_json(await receive_text(websocket))
            except ValidationError:
                await websocket.send_json({"error": 'expected {"choice": "…"}'})
                continue
            await websocket.send_json(count(ballot.choice))


async def close_on_nonsense(websocket, count):
    """Close with 1008 on what is no ballot."""
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is None:
                await websocket.close(1003, "text only")
                return
            choice = json.loads(message["text"])["choice"]
            if len(choice) > 20:
                raise ValueError(choice)
            answer = count(choice)
            if "error" in answer:
                raise ValueError(answer)
            await websocket.send_json(answer)
    except (ValueError, KeyError, TypeError, RecursionError):
        await websocket.close(1008, "no ballot")
    except WebSocketDisconnect:
        pass


async def as_it_was(websocket, count):
    while True:
        ballot = json.loads(await websocket.receive_text())
        await websocket.send_json(count(ballot["choice"]))


async def catches_only_json(websocket, count):
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            try:
                ballot = json.loads(await receive_text(websocket))
            except ValueError:
                await websocket.send_json({"error": "no JSON"})
                continue
            await websocket.send_json(count(ballot["choice"]))


async def catches_all_and_gives_1011(websocket, count):
    try:
        await as_it_was(websocket, count)
    except WebSocketDisconnect:
        pass
    except Exception:
        await websocket.close(1011)


async def fails_if_it_is_too_long(websocket, count):
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            try:
                ballot = Long.model_validate_json(await receive_text(websocket))
            except ValidationError:
                await websocket.send_json({"error": "no ballot"})
                continue
            if len(ballot.choice) > 20:
                await websocket.close(1011)
                return
            await websocket.send_json(count(ballot.choice))


async def cuts_it_short(websocket, count):
    await one_by_one(websocket, lambda choice: count(choice[:20]), Long)


async def lets_the_disconnect_through(websocket, count):
    while True:
        try:
            ballot = Ballot.model_validate_json(await receive_text(websocket))
        except ValidationError:
            await websocket.send_json({"error": "no ballot"})
            continue
        await websocket.send_json(count(ballot.choice))


def polls(handle=one_by_one, caps=CAPS, paths=(), before=None, counting=count):
    """Return an answer: `handle` serves each connection, and there is a guard with `caps`.

    `counting` counts each ballot, and `before` says whether to let a client in.
    """
    votes = defaultdict(Counter)
    app = FastAPI()
    if caps is not None:
        app.add_middleware(Guard, **caps)
    if paths is not None:
        add_paths(app, *paths)

    @app.websocket("/polls/{poll}")
    async def vote(websocket: WebSocket, poll: str):
        if before is not None and not await before(websocket):
            return
        await websocket.accept()
        await handle(websocket, partial(counting, votes, poll))

    return app


async def refuses(websocket):
    await websocket.close(1008)


async def knows_20_polls(websocket):
    if int(websocket.path_params["poll"]) > 20:
        await websocket.close(1008)
        return False
    return True


def always(answer):
    """Return one who answers the same to all."""
    return lambda votes, poll, choice: answer(choice)


def with_readyz_of(status):
    app = polls(paths=("/livez", "/metrics"))

    @app.get("/readyz")
    def readyz(response: Response):
        response.status_code = status
        return "ready"

    return app


def metrics_as_json():
    app = polls(paths=("/livez", "/readyz"))
    app.get("/metrics")(lambda: {"votes": 1})
    return app


WRONG = {
    "the stub": (polls(as_it_was, None, None, counting=without_bound), ORIGIN, "Guard"),
    "counts nothing": (polls(counting=always(lambda _: {})), COUNTS, "got: {}"),
    "always the same": (polls(counting=always(lambda choice: {choice: 1})), COUNTS, "got: 1"),
    "all polls in one": (polls(counting=once_for_all), COUNTS, "one in another poll"),
    "counts twice": (polls(counting=twice), COUNTS, "3 for 'milk' after one more"),
    "tells of one choice alone": (polls(counting=its_own_alone), COUNTS, "'tea' in each answer"),
    "lets nobody in": (polls(before=refuses), ENTERS, "HTTP 403"),
    "origin '*'": (polls(caps={**CAPS, "origins": ["*"]}), ORIGIN, "let in"),
    "ops alone": (polls(as_it_was, None), ORIGIN, "let in"),
    "a guard and ops": (polls(as_it_was), BAD, "receive_text"),
    "no ballot ends in a traceback": (polls(catches_only_json), BAD, "JSON of a wrong form"),
    "1011 for all": (polls(catches_all_and_gives_1011), BAD, "close 1011"),
    "an uncaught disconnect": (
        polls(lets_the_disconnect_through),
        TRACEBACK,
        "WebSocketDisconnect",
    ),
    "no limit on messages": (
        polls(caps={"max_connections_per_address": 50}),
        FLOOD,
        "messages_per_second",
    ),
    "no cap": (polls(caps={"messages_per_second": 20}), CAP, "max_connections_per_address"),
    "a cap on nothing that comes": (
        polls(caps={**CAPS, "max_connections_per_address": 1000}),
        CAP,
        "all are let in",
    ),
    "caps just below what was tried once": (
        polls(caps={"max_connections_per_address": 299, "messages_per_second": 1500}),
        FLOOD,
        "500 messages at once",
    ),
    "a cap of 299": (
        polls(caps={**CAPS, "max_connections_per_address": 299}),
        CAP,
        "60 connections from one address",
    ),
    "no bound at all": (
        polls(partial(one_by_one, model=Long), counting=without_bound),
        BOUNDED,
        "a choice of 21 characters to be refused",
    ),
    "a choice of any length": (polls(partial(one_by_one, model=Long)), BOUNDED, "21 characters"),
    "cuts a choice short": (polls(cuts_it_short), BOUNDED, "'xxxxxxxx…' after"),
    "1011 for a long choice": (polls(fails_if_it_is_too_long), BOUNDED, "close 1011"),
    "any number of choices": (
        polls(counting=of_another_size(choices=10**9)),
        BOUNDED,
        "choice number 21 of a poll to be refused",
    ),
    "too few choices": (
        polls(counting=of_another_size(choices=19)),
        BOUNDED,
        "choice number 20 of a poll to be counted",
    ),
    "hides the rest": (polls(counting=hides_the_rest), BOUNDED, "choice number 21 of a poll"),
    "forgets the oldest": (
        polls(counting=forgets_the_oldest),
        BOUNDED,
        "choice number 21 of a poll",
    ),
    "any number of polls": (
        polls(counting=of_another_size(polls=10**9)),
        BOUNDED,
        "poll number 21 to be refused",
    ),
    "too few polls": (
        polls(counting=of_another_size(polls=10)),
        BOUNDED,
        "poll number 11 to be counted",
    ),
    "no ops": (polls(paths=None), ALIVE, "add_ops(app)"),
    "only /readyz": (polls(paths=("/readyz",)), ALIVE, "HTTP 404 at /livez"),
    "never ready": (with_readyz_of(503), READY, "HTTP 503"),
    "metrics of its own": (metrics_as_json(), METRICS, "# TYPE"),
}
RIGHT = {
    "answers": polls(),
    "closes": polls(close_on_nonsense, paths=("/healthz", "/readyz", "/metrics")),
    "caps of all": polls(caps={"max_connections": 40, "bytes_per_second": 2000}),
    "refuses polls at the door": polls(before=knows_20_polls),
    "pages elsewhere": polls(caps={**CAPS, "origins": ["https://polls.example"]}),
}


@pytest.mark.parametrize("answer", WRONG)
def test_a_wrong_answer_is_rejected_by_the_rule_that_it_breaks(answer):
    app, rule, words = WRONG[answer]
    expect_rejected(check.make_it_ready(app), rule, words)


@pytest.mark.parametrize("answer", RIGHT)
def test_a_right_answer_is_accepted(answer):
    expect_accepted(check.make_it_ready(RIGHT[answer]))


def test_the_caps_that_the_task_names_are_let_through(monkeypatch):
    monkeypatch.setattr("chatlib.lab.check.readiness.polls.CAP", 110)
    caps = {"max_connections_per_address": 100, "messages_per_second": 100}
    expect_accepted(check.make_it_ready(polls(caps=caps)))


def test_a_right_answer_is_right_again_when_its_polls_are_full():
    for _ in range(2):
        expect_accepted(check.make_it_ready(RIGHT["answers"]))


def test_what_is_no_app_of_polls_is_told_what_to_hand_in():
    expect_rejected(check.make_it_ready(FastAPI()), ENTERS, "keep @app.websocket('/polls/{poll}')")
    for strange in ("http://127.0.0.1:8000", "uvicorn app:app", None):
        expect_rejected(check.make_it_ready(strange), "the app starts", "hand in the ASGI app")
