"""`check.make_it_ready` tells right answers from wrong ones."""

import contextlib
import json
from collections import Counter, defaultdict

import pytest
from answers import expect_accepted, expect_rejected
from fastapi import FastAPI, Response, WebSocket, WebSocketDisconnect
from pydantic import BaseModel, ValidationError
from ready_apps import add_paths

from chatlib.core.guard import Guard
from chatlib.core.messages import receive_text
from chatlib.lab import check

ENTERS = "a client is let in at the WebSocket's path"
ORIGIN = "a page of another site is refused, and nobody else is"
BAD = "bad input is answered, or closed with 1003, 1007 or 1008"
TRACEBACK = "nothing of all this leaves a traceback in the log"
FLOOD = "a flood is ended or slowed, and others are answered"
CAP = "one address has a cap on its connections"
ALIVE = "/livez or /healthz answers 200"
READY = "/readyz answers 200"
METRICS = "/metrics answers, for Prometheus"
CAPS = {"max_connections_per_address": 50, "messages_per_second": 20}


@pytest.fixture(autouse=True)
def hasty(monkeypatch):
    """Do less of what is the same each time."""
    monkeypatch.setattr("chatlib.lab.check.readiness.payloads.QUIET_SECONDS", 0.2)
    monkeypatch.setattr("chatlib.lab.check.readiness.loads.FLOOD", 500)
    monkeypatch.setattr("chatlib.lab.check.readiness.doors.CAP", 60)


class Ballot(BaseModel):
    """What a client sends."""

    choice: str


async def one_by_one(websocket, counts):
    """Answer each ballot, and each that is none, with a message."""
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            try:
                ballot = Ballot.model_validate_json(await receive_text(websocket))
            except ValidationError:
                await websocket.send_json({"error": 'expected {"choice": "…"}'})
                continue
            counts[ballot.choice] += 1
            await websocket.send_json(counts)


async def close_on_nonsense(websocket, counts):
    """Close with 1008 on what is no ballot."""
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text") is None:
                await websocket.close(1003, "text only")
                return
            counts[json.loads(message["text"])["choice"]] += 1
            await websocket.send_json(counts)
    except (ValueError, KeyError, TypeError, RecursionError):
        await websocket.close(1008, "no ballot")
    except WebSocketDisconnect:
        pass


async def as_it_was(websocket, counts):
    while True:
        ballot = json.loads(await websocket.receive_text())
        counts[ballot["choice"]] += 1
        await websocket.send_json(counts)


async def catches_only_json(websocket, counts):
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            try:
                ballot = json.loads(await receive_text(websocket))
            except ValueError:
                await websocket.send_json({"error": "no JSON"})
                continue
            counts[ballot["choice"]] += 1
            await websocket.send_json(counts)


async def catches_all_and_gives_1011(websocket, counts):
    try:
        await as_it_was(websocket, counts)
    except WebSocketDisconnect:
        pass
    except Exception:
        await websocket.close(1011)


async def lets_the_disconnect_through(websocket, counts):
    while True:
        try:
            ballot = Ballot.model_validate_json(await receive_text(websocket))
        except ValidationError:
            await websocket.send_json({"error": "no ballot"})
            continue
        counts[ballot.choice] += 1
        await websocket.send_json(counts)


def polls(handle=one_by_one, caps=CAPS, paths=(), before=None):
    """Return an answer: `handle` serves each connection, and there is a guard with `caps`."""
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
        await handle(websocket, votes[poll])

    return app


async def refuses(websocket):
    await websocket.close(1008)


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
    "the stub": (polls(as_it_was, None, None), ORIGIN, "Guard"),
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
    "no ops": (polls(paths=None), ALIVE, "add_ops(app)"),
    "only /readyz": (polls(paths=("/readyz",)), ALIVE, "HTTP 404 at /livez"),
    "never ready": (with_readyz_of(503), READY, "HTTP 503"),
    "metrics of its own": (metrics_as_json(), METRICS, "# TYPE"),
}
RIGHT = {
    "answers": polls(),
    "closes": polls(close_on_nonsense, paths=("/healthz", "/readyz", "/metrics")),
    "caps of all": polls(caps={"max_connections": 40, "bytes_per_second": 2000}),
    "pages elsewhere": polls(caps={**CAPS, "origins": ["https://polls.example"]}),
}


@pytest.mark.parametrize("answer", WRONG)
def test_a_wrong_answer_is_rejected_by_the_rule_that_it_breaks(answer):
    app, rule, words = WRONG[answer]
    expect_rejected(check.make_it_ready(app), rule, words)


@pytest.mark.parametrize("answer", RIGHT)
def test_a_right_answer_is_accepted(answer):
    expect_accepted(check.make_it_ready(RIGHT[answer]))
