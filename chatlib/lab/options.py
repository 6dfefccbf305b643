"""The options of uvicorn that a server inside a notebook takes, and why it refuses the others."""

import asyncio
import inspect
from collections.abc import Callable, Collection
from typing import Any, get_args, get_type_hints

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import LIFESPAN, LOG_LEVELS, LOOP_FACTORIES, WS_PROTOCOLS
from uvicorn.importer import ImportFromStringError, import_from_string

from chatlib.core.fanout import FanoutProtocol
from chatlib.core.guard import MAX_MESSAGE_BYTES

PARAMETERS = inspect.signature(uvicorn.Config).parameters
KINDS = get_type_hints(uvicorn.Config.__init__)
ELSEWHERE = "run the app in a terminal for that, with `uvicorn --{option} …`"
AGAIN = "run the cell with serve(…) again, which replaces the server"
ONE_PROCESS = "the app runs in this process alone; " + ELSEWHERE.format(option="workers")
IN_THE_LOG = "nothing is printed; what uvicorn logs is in the server's `log`"
DEPRECATED = "ws='websockets' is deprecated in uvicorn; write ws='websockets-sansio'"
# What would do nothing here, or something else than it says, and what to do instead.
REFUSED = {
    "uds": "it listens at a port; " + ELSEWHERE.format(option="uds"),
    "fd": "it listens at a port; " + ELSEWHERE.format(option="fd"),
    "reload": AGAIN,
    "reload_dirs": AGAIN,
    "reload_delay": AGAIN,
    "reload_includes": AGAIN,
    "reload_excludes": AGAIN,
    "workers": ONE_PROCESS,
    "timeout_worker_healthcheck": ONE_PROCESS,
    "log_config": IN_THE_LOG,
    "use_colors": IN_THE_LOG,
    "interface": "it runs ASGI apps; wrap a WSGI app in WSGIMiddleware of the package a2wsgi",
    "factory": "call the factory yourself: serve(make_app())",
}
CHOICES: dict[str, Collection[str]] = {"log_level": LOG_LEVELS, "lifespan": LIFESPAN}


def config_for(
    app: ASGIApp, options: dict[str, Any], record: Callable[[type[Any]], type[Any]], grace: int
) -> uvicorn.Config:
    """Return a loaded `uvicorn.Config` for `app`.

    Args:
        app: the ASGI app.
        options: of `uvicorn.Config`, in place of those that `serve` has.
        record: what to make of the WebSocket protocol class.
        grace: how many seconds handlers may take to end once their clients are told.

    Raises:
        TypeError: an option does not exist, or is of a wrong kind.
        ValueError: a server in a notebook cannot do that, or uvicorn cannot.
    """
    for name, value in options.items():
        expect_possible(name, value)
    if options.get("ssl_keyfile") and not options.get("ssl_certfile"):
        raise ValueError("ssl_keyfile needs the certificate too: ssl_certfile='….pem'")
    protocol = ws_protocol(options.get("ws", FanoutProtocol))
    ours = {
        "ws_max_size": MAX_MESSAGE_BYTES,
        "timeout_graceful_shutdown": grace,
        **options,
        "ws": "none" if protocol is None else record(protocol),
        "log_config": None,
        "workers": 1,  # or uvicorn takes it from the environment
    }
    try:
        config = uvicorn.Config(app, **ours)
        import_from_string(LOOP_FACTORIES.get(config.loop, config.loop))
        config.load()
    except Exception as error:
        given = ", ".join(f"{k}={v!r}" for k, v in options.items() if "password" not in k)
        raise ValueError(
            f"uvicorn cannot start with {given or 'its defaults'}: {type(error).__name__}: {error}"
        ) from error
    return config


def expect_possible(name: str, value: Any) -> None:
    """Raise where the option `name` does not exist, or cannot be `value` here."""
    if name not in PARAMETERS:
        raise TypeError(f"serve() takes the options of uvicorn.Config, and {name!r} is none")
    default = PARAMETERS[name].default
    harmless = [None, default, {"workers": 1, "interface": "asgi3"}.get(name)]
    if name in REFUSED and value not in harmless:
        raise ValueError(f"serve() takes no {name}: {REFUSED[name]}")
    if name in CHOICES and isinstance(value, str) and value.lower() not in CHOICES[name]:
        raise ValueError(f"{name} is one of {', '.join(CHOICES[name])}; got {value!r}")
    kind = KINDS[name]
    try:
        fits = isinstance(value, kind) or (isinstance(value, int) and float in get_args(kind))
    except TypeError:  # a kind that only a type checker can hold against a value
        return
    if not fits:
        kind = getattr(kind, "__name__", kind)
        raise TypeError(f"{name} is of the type {kind}; got {value!r}")


def ws_protocol(ws: Any) -> type[Any] | None:
    """Return the protocol class that uvicorn would make of its option `ws`; None for no WebSocket.

    Raises:
        TypeError: it is no protocol class.
        ValueError: it is a string that names none.
    """
    if ws == "websockets":  # which warns when it is imported
        raise ValueError(DEPRECATED)
    try:
        protocol = import_from_string(WS_PROTOCOLS.get(ws, ws)) if isinstance(ws, str) else ws
    except (ImportError, ImportFromStringError) as error:
        known = ", ".join(name for name in WS_PROTOCOLS if name != "websockets")
        raise ValueError(
            f"ws is a protocol class, 'module:class', or one of {known}; got {ws!r}: {error}"
        ) from error
    if protocol is None:
        return None
    if not isinstance(protocol, type) or not issubclass(protocol, asyncio.Protocol):
        raise TypeError(f"ws is a protocol class of uvicorn's, or a string; got {ws!r}")
    if hasattr(protocol, "asgi_send"):  # that one, named otherwise; nothing can be recorded of it
        raise ValueError(DEPRECATED)
    return protocol
