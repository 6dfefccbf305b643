"""Protect the HTTP routes of an app whose users have a cookie."""

import json
from collections.abc import Iterable
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import MutableHeaders
from starlette.middleware.body_limit import RequestBodyLimitMiddleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chatlib.core.browsers import expect_sendable
from chatlib.core.guard import lets_in

SAFE = {"GET", "HEAD", "OPTIONS"}  # they change nothing (RFC 9110, section 9.2.1)
FOREIGN = "a page of another origin may not do this"


class HTTPGuard:
    """ASGI middleware in front of HTTP routes.

    A request that changes something and comes from a page of another origin gets 403: a browser may
    send the visitor's cookie along, and it takes a cookie from the answer in any case. Answers are
    kept by no cache, unless they say otherwise, and are of no other type than they say.

    Args:
        app: the ASGI app to protect.
        origins: further origins to let in, as for `Guard`.

    Raises:
        ValueError: no browser sends an origin of the list.
    """

    def __init__(self, app: ASGIApp, origins: Iterable[str] = ()) -> None:
        self.app = app
        self.origins = expect_sendable(origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Cache-Control", "no-store")
                headers.setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        app = self.app
        if scope["method"] not in SAFE and not lets_in(scope, self.origins):
            app = JSONResponse({"detail": FOREIGN}, 403)
        await app(scope, receive, send_with_headers)


async def explain(request: Request, error: Exception) -> Response:
    """Return the answer to a request that is not as a route has it: HTTP 422.

    It has the same form as FastAPI's own, without what the client sent: that may be what JSON or
    UTF-8 cannot express.
    """
    assert isinstance(error, RequestValidationError)
    faults: list[dict[str, Any]] = [
        {name: fault[name] for name in ("type", "loc", "msg")} for fault in error.errors()
    ]
    content = json.dumps({"detail": faults})  # in ASCII, since a field may have any name
    return Response(content, 422, media_type="application/json")


def guard_http(app: FastAPI, origins: Iterable[str], max_bytes: int) -> None:
    """Protect the HTTP routes of `app`.

    Args:
        app: the app.
        origins: as for `HTTPGuard`.
        max_bytes: how big the body of a request may be. A bigger one gets 413.
    """
    app.add_middleware(RequestBodyLimitMiddleware, max_body_size=max_bytes)
    app.add_middleware(HTTPGuard, origins=origins)
    app.add_exception_handler(RequestValidationError, explain)
