"""Whether your code does what it shall: `check.chat(app)` says so at once, rule by rule.

Each check returns a `Report`. None raises for a wrong answer, and each comes back within a
deadline. `check.summary()` says what you have solved.
"""

from collections.abc import Collection
from typing import Any

from chatlib.lab.check.progress import noted
from chatlib.lab.check.readiness import polls
from chatlib.lab.check.readiness.bench import Say
from chatlib.lab.check.readiness.entry import report_on_readiness
from chatlib.lab.check.readiness.targets import Headers
from chatlib.lab.check.readiness.wishes import Wishes
from chatlib.lab.check.report import Report, report_on, report_on_app
from chatlib.lab.check.rules import (
    chapter_00,
    chapter_01,
    chapter_01_unmask,
    chapter_02,
    chapter_03,
    chapter_04,
    chapter_04_patience,
    chapter_05,
    chapter_05_once_a_turn,
    chapter_06_follow,
    chapter_06_presence,
    chapter_07_outbox,
    chapter_07_resume,
    chapter_08_feed,
    chapter_08_people,
    chapter_09_come_back,
    open_fault,
    open_topics,
)
from chatlib.lab.check.rules.contract import CHAT, ECHO, ITEMS
from chatlib.lab.check.summary import Summary, summary

__all__ = [
    "Report",
    "Summary",
    "bearer",
    "chat",
    "come_back",
    "cursor_log",
    "echo",
    "encode",
    "fault",
    "feed",
    "follow",
    "guests_wait_outside",
    "items",
    "joined",
    "make_it_ready",
    "once_a_turn",
    "outbox",
    "patience",
    "people",
    "ping",
    "presence",
    "ready",
    "resume",
    "say",
    "shout",
    "summary",
    "topics",
    "total",
    "unmask",
    "whisper",
]


def echo(app: Any) -> Report:
    """Try the contract of the echo on `app`."""
    return noted(report_on_app("echo", ECHO, app))


def items(app: Any) -> Report:
    """Try the contract of the item socket on `app`."""
    return noted(report_on_app("items", ITEMS, app))


def chat(app: Any) -> Report:
    """Try the contract of the chat on `app`."""
    return noted(report_on_app("chat", CHAT, app))


def ping(app: Any) -> Report:
    """Try the exercise of chapter 00: `app` answers `GET /ping`."""
    return noted(report_on_app("ping", chapter_00.PING, app))


def say(say: Any) -> Report:
    """Try the exercise of chapter 00: `say(url, text)` returns what comes back."""
    return noted(report_on("say", chapter_00.SAY, say))


def shout(app: Any) -> Report:
    """Try the exercise of chapter 01: `app` answers in capitals at `/shout`."""
    return noted(report_on_app("shout", chapter_01.SHOUT, app))


def unmask(unmask: Any) -> Report:
    """Try the exercise of chapter 01: `unmask(payload, key)` undoes a client's masking."""
    return noted(report_on("unmask", chapter_01_unmask.UNMASK, unmask))


def total(app: Any) -> Report:
    """Try the exercise of chapter 01: `app` adds up lists of numbers at `/total`."""
    return noted(report_on_app("total", chapter_01.TOTAL, app))


def guests_wait_outside(function: Any) -> Report:
    """Try the exercise of chapter 02: `function(websocket)` lets guests in and closes them."""
    return noted(report_on("guests_wait_outside", chapter_02.GUESTS, function))


def bearer(dependency: Any) -> Report:
    """Try the exercise of chapter 02: `dependency` takes the credential from a header."""
    return noted(report_on("bearer", chapter_02.BEARER, dependency))


def joined(app: Any) -> Report:
    """Try the exercise of chapter 03: `app` announces a newcomer to those who are there."""
    return noted(report_on_app("joined", chapter_03.JOINED, app))


def whisper(manager_class: Any) -> Report:
    """Try the exercise of chapter 03: a `manager_class` with `whisper(message, client_id)`."""
    return noted(report_on("whisper", chapter_03.WHISPER, manager_class))


def cursor_log(log_class: Any) -> Report:
    """Try the exercise of chapter 04: a `log_class` whose `read` tells what was lost."""
    return noted(report_on("cursor_log", chapter_04.CURSOR_LOG, log_class))


def patience(room: Any) -> Report:
    """Try the exercise of chapter 04: `room` cuts off who stalls, and keeps who is slow."""
    return noted(report_on("patience", chapter_04_patience.PATIENCE, room))


def encode(encode: Any) -> Report:
    """Try the exercise of chapter 05: `encode(text)` makes the frame that a server sends."""
    return noted(report_on("encode", chapter_05.ENCODE, encode))


def once_a_turn(batcher_class: Any) -> Report:
    """Try the exercise of chapter 05: a `batcher_class` that writes once a turn of the loop."""
    return noted(report_on("once_a_turn", chapter_05_once_a_turn.ONCE_A_TURN, batcher_class))


def follow(function: Any) -> Report:
    """Try the exercise of chapter 06: `function(websocket, queue)` is a handler that only sends."""
    return noted(report_on("follow", chapter_06_follow.FOLLOW, function))


def presence(app: Any) -> Report:
    """Try the exercise of chapter 06: `app` tells who is here, once for all tabs of a user."""
    return noted(report_on_app("presence", chapter_06_presence.PRESENCE, app))


def resume(log_class: Any) -> Report:
    """Try the exercise of chapter 07: a `log_class` whose `resume` knows its own history."""
    return noted(report_on("resume", chapter_07_resume.RESUME, log_class))


def outbox(outbox_class: Any) -> Report:
    """Try the exercise of chapter 07: an `outbox_class` that keeps what has no ack."""
    return noted(report_on("outbox", chapter_07_outbox.OUTBOX, outbox_class))


def feed(feed_class: Any) -> Report:
    """Try the exercise of chapter 08: a `feed_class` whose `take` stands any kind of hint."""
    return noted(report_on("feed", chapter_08_feed.FEED, feed_class))


def people(function: Any) -> Report:
    """Try the exercise of chapter 08: `function(rows, leases, now)` says who is here."""
    return noted(report_on("people", chapter_08_people.PEOPLE, function))


def ready(
    app_or_url: Any,
    path: str | None = None,
    *,
    headers: Headers | None = None,
    say: Say | None = None,
    secret: str | None = None,
    only: Collection[str] | None = None,
) -> Report:
    """Try the checklist of chapter 09 on an app of yours, as it runs.

    A point that does not hold has ✗, and one that somebody else may see to, a proxy say, has !.
    What the check cannot look at has ·, with the reason. It takes about 20 seconds. The server is
    flooded and loaded, so hand in one that nobody else uses; one on another machine is spared that.

    Args:
        app_or_url: the command line that starts your server, as a text or a list: this way most
            is seen, the log, the memory and the stop. The check starts it, and ends it. In place
            of `{port}` a free port is put; without that the variable PORT has one. `module:app`
            alone is short for `uvicorn module:app`. Or an app, which then runs on the notebook's
            server; or the address of a server that runs, such as `http://127.0.0.1:8000`.
        path: of the WebSocket, with a query if it needs one. None: the first that the app has.
        headers: of each request, `{"Cookie": "session=…"}` say. Where they come of a sign-in, a
            function that is called with the server's address, and returns them.
        say: a message that the app takes, or a function that makes one of a number, which grows
            with each. None: any text will do, or is at least answered.
        secret: the name of a parameter in the query whose value shall not be in the log. None: one
            that sounds like a secret, `token` say.
        only: the names of a few points, `["origin", "size"]` say.

    Raises:
        ValueError: it is no address, or there is no such point. What `headers` raises comes too.
    """
    wishes = Wishes(path, headers, say, secret, only)
    return report_on_readiness("ready", app_or_url, wishes)


def make_it_ready(app: Any) -> Report:
    """Try the exercise of chapter 09: `app`, which counts votes, can meet the world.

    It tries the points of the checklist that an app decides, and not its server; that votes are
    counted; and that what is kept of them is bounded.
    """
    return noted(report_on_readiness("make_it_ready", app, polls.wishes()))


def come_back(function: Any) -> Report:
    """Try an exercise of chapter 09: `function(code, attempt, retry)` says when to come back."""
    return noted(report_on("come_back", chapter_09_come_back.COME_BACK, function))


def fault(app: Any) -> Report:
    """Try the open exercise on a chat with a fault: `app` is that chat without it."""
    return noted(report_on_app("fault", open_fault.FAULT, app))


def topics(app: Any) -> Report:
    """Try the open exercise on topics: clients of `app` subscribe to what they want to hear."""
    return noted(report_on_app("topics", open_topics.TOPICS, app))
