"""Which endpoints an app has, and why a client was not let in; and whether it is an app at all."""

import inspect
from collections.abc import Callable
from typing import Any

import fastapi
from starlette.routing import compile_path

from chatlib.lab.routes import handlers
from chatlib.lab.serve import Server

SHOWN_PATHS = 6


def endpoints_of(app: Any) -> list[tuple[str, str]] | None:
    """Return kind and path of each endpoint, as in `("GET", "/")`; None if that cannot be known.

    What is mounted, or is no app of FastAPI's or Starlette's, does not tell.
    """
    routes = getattr(app, "routes", None)
    if routes is None or any(type(route).__name__ in {"Mount", "Host"} for route in routes):
        return None
    names = ("openapi_url", "docs_url", "redoc_url", "swagger_ui_oauth2_redirect_url")
    brought = {getattr(app, name, None) for name in names}
    return [(kind, path) for kind, path, _ in handlers(app) if path not in brought]


def leads_to(path: str, target: str) -> bool:
    """Return whether the `path` of an endpoint, which may have parameters, fits `target`."""
    pattern, *_ = compile_path(path)
    return pattern.match(target.partition("?")[0].replace("%20", " ")) is not None


def why_not_let_in(app: Any, target: str, status: int) -> tuple[str, str | None]:
    """Return in words why a client was answered `status` at `target`, and a hint if there is one.

    Args:
        app: the app.
        target: the path that the client asked for, with its query.
        status: the HTTP status that it got.
    """
    path = target.partition("?")[0]
    endpoints = endpoints_of(app)
    if endpoints is not None and status in {403, 404}:
        fitting = [kind for kind, each in endpoints if leads_to(each, target)]
        if "WebSocket" not in fitting:
            return no_endpoint("WebSocket", path, endpoints, fitting)
    if status == 500:
        return "never accepted, so HTTP 500", "await websocket.accept() comes first"
    nameless = endpoint_without_websocket(app, target)
    if nameless is not None:
        how = f"HTTP {status}, since {nameless}() has no parameter that is a WebSocket"
        return how, "write its type behind the parameter: websocket: WebSocket"
    return f"HTTP {status}", None


def no_endpoint(
    kind: str, path: str, endpoints: list[tuple[str, str]], others: list[str]
) -> tuple[str, str | None]:
    """Return in words that no endpoint of `kind` is at `path`, and a hint if there is one.

    Args:
        kind: `WebSocket`, or an HTTP method.
        path: the one that was asked for.
        endpoints: those that there are, each with its kind.
        others: which kinds there are at this path.
    """
    name = kind.lower()
    what = "WebSocket endpoint" if kind == "WebSocket" else kind
    paths = list(dict.fromkeys(path for each, path in endpoints if each == kind))
    has = ", ".join(paths[:SHOWN_PATHS]) + (", …" if len(paths) > SHOWN_PATHS else "")
    how = f"no {what}{' at' if kind == 'WebSocket' else ''} {path}; your app has: {has or 'none'}"
    if others:
        return how, f"there is one for {', '.join(others)}: for {kind} the decorator is .{name}(…)"
    if f"{path}/" in paths:
        return how, "leave out the slash at the end of the path in the decorator"
    if not paths:
        hint = "a decorator .websocket(…) adds one; hand in the app that it belongs to"
        return how, hint if kind == "WebSocket" else None
    if path.count("/") > 1:
        return how, "the path in the decorator has to fit this one; what varies in it is {a_name}"
    return how, "the path in the decorator has to be this one, letter by letter"


def endpoint_without_websocket(app: Any, target: str) -> str | None:
    """Return the name of the function at `target` if FastAPI finds no WebSocket among its
    parameters, which it then takes for one in the query."""
    for route in getattr(app, "routes", ()):
        dependant: Any = getattr(route, "dependant", None)
        if isinstance(route, fastapi.routing.APIWebSocketRoute) and leads_to(route.path, target):
            given = (dependant.websocket_param_name, dependant.http_connection_param_name)
            return None if any(given) else str(route.name)
    return None


def what_is_no_app(app: Any) -> tuple[str, str] | None:
    """Return in words what was handed in for an app, and a hint; None if it may be one."""
    if isinstance(app, Server):
        return None
    if isinstance(app, type):
        return f"the class {app.__name__}", "hand in the app that you made of it"
    if isinstance(app, fastapi.APIRouter):
        return "a router alone", "hand in the app that includes it: app.include_router(…)"
    if inspect.iscoroutine(app):
        app.close()
        return "a coroutine", "hand in the app, and no call of a function"
    if inspect.isfunction(app) and not takes_three(app):
        return f"the function {app.__name__}", "hand in the app, which stands in its decorator"
    return None


def takes_three(function: Callable[..., Any]) -> bool:
    """Return whether `function` takes the three arguments of an ASGI app."""
    try:
        inspect.signature(function).bind(None, None, None)
    except TypeError:
        return False
    return True
