"""Handlers of an app that never get a turn, because another has their path."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import fastapi.routing

REMEDY = "Make the app anew in the cell that defines them, app = FastAPI(), and run it again."


def unheard_handlers(app: Any) -> list[str]:
    """Return a sentence for each path of `app` that has two different handlers.

    A cell that was corrected and run again adds a handler, and the one of before stays the first.
    The same code twice is no fault: it does not matter which of the two runs.
    """
    first: dict[tuple[str, str], Any] = {}
    sentences = []
    for kind, path, endpoint in handlers(app):
        before = first.setdefault((kind, re.sub(r"{\w+", "{", path)), endpoint)
        if not is_same(before, endpoint):
            sentences.append(
                f"The app has two handlers for {kind} {path}, and the first one answers. {REMEDY}"
            )
    return list(dict.fromkeys(sentences))


def handlers(app: Any) -> Iterator[tuple[str, str, Callable[..., Any]]]:
    """Yield the kind (`WebSocket`, `GET` …), the path and the function of each handler of `app`."""
    # Where FastAPI keeps included routers apart, it has this to look through them.
    flat: Any = getattr(fastapi.routing, "iter_route_contexts", iter)
    for route in flat(getattr(app, "routes", ())):
        endpoint = getattr(route, "endpoint", None)
        if endpoint is not None:
            for kind in sorted(getattr(route, "methods", None) or ["WebSocket"]):
                if kind != "HEAD":  # which comes with GET
                    yield kind, route.path, endpoint


def is_same(one: Any, other: Any) -> bool:
    """Return whether two functions are one, or were made by running the same code twice."""
    one, other = inspect.unwrap(one), inspect.unwrap(other)
    return one is other or all(
        getattr(one, name, one) == getattr(other, name, other)
        for name in ("__code__", "__closure__")  # what it does, and with which variables around it
    )
