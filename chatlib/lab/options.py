"""The options of uvicorn that a server inside a notebook takes, and why it refuses the others."""

import asyncio
import inspect
from collections.abc import Callable, Collection
from pathlib import Path
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import uvicorn
from starlette.types import ASGIApp
from uvicorn.config import HTTP_PROTOCOLS, LIFESPAN, LOG_LEVELS, LOOP_FACTORIES, WS_PROTOCOLS
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
CHOICES: dict[str, Collection[str]] = {"lifespan": LIFESPAN, "interface": ["auto", "asgi3"]}
FILES = {"env_file", "ssl_certfile", "ssl_keyfile", "ssl_ca_certs"}
# What each is, and the names that uvicorn has for some.
IMPORTED: dict[str, tuple[str, dict[str, str | None]]] = {
    "ws": ("protocol class", {k: v for k, v in WS_PROTOCOLS.items() if k != "websockets"}),
    "http": ("protocol class", dict(HTTP_PROTOCOLS)),
    "loop": ("function that makes an event loop", LOOP_FACTORIES),
}


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
    if options.get("ssl_keyfile") and not options.get("ssl_certfile"):
        raise ValueError("ssl_keyfile needs the certificate too: ssl_certfile='….pem'")
    for name, value in options.items():
        expect_possible(name, value)
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
    if name in CHOICES and value not in CHOICES[name]:
        raise ValueError(f"{name} is one of {', '.join(CHOICES[name])}; got {value!r}")
    if name == "log_level" and isinstance(value, str) and value.lower() not in LOG_LEVELS:
        raise ValueError(f"log_level is one of {', '.join(LOG_LEVELS)}; got {value!r}")
    if name == "http":
        protocol_class(name, value)
    elif name == "loop":
        factory = imported(name, value)
        if not (callable(factory) or factory is None):
            raise TypeError(f"loop is a function that makes an event loop; got {value!r}")
    elif name not in CHOICES and name != "ws":
        expect_kind(name, value)
    if name in FILES and value is not None and (Path(value).is_dir() or not Path(value).exists()):
        raise ValueError(
            f"{name} is the path of a file, and {str(Path(value).absolute())!r} is none"
        )


def expect_kind(name: str, value: Any) -> None:
    """Raise `TypeError` where `value` is not of the type that uvicorn's option `name` has."""
    kind = KINDS[name]
    kinds = get_args(kind) if get_origin(kind) in {Union, UnionType} else (kind,)
    classes = tuple(get_origin(each) or each for each in kinds)
    if not isinstance(value, (*classes, int) if float in classes else classes):
        raise TypeError(
            f"{name} is of the type {kind.__name__ if isinstance(kind, type) else kind}; "
            f"got {value!r}"
        )


def ws_protocol(ws: Any) -> type[Any] | None:
    """Return the protocol class that uvicorn would make of its option `ws`; None for no WebSocket.

    Raises:
        TypeError: it is no protocol class.
        ValueError: it is a string that names none.
    """
    if ws == "websockets":  # which warns when it is imported
        raise ValueError(DEPRECATED)
    if ws is None or ws == "none":
        return None
    protocol = protocol_class("ws", ws)
    if hasattr(protocol, "asgi_send"):  # that one, named otherwise; nothing can be recorded of it
        raise ValueError(DEPRECATED)
    return protocol


def protocol_class(name: str, value: Any) -> type[Any]:
    """Return the protocol class that is, or is named by, `value` of the option `name`."""
    protocol = imported(name, value)
    if not isinstance(protocol, type) or not issubclass(protocol, asyncio.Protocol):
        raise TypeError(f"{name} is a protocol class of uvicorn's, or a string; got {value!r}")
    return protocol


def imported(name: str, value: Any) -> Any:
    """Return what the string `value` of the option `name` stands for; anything else as it is."""
    what, known = IMPORTED[name]
    try:
        return import_from_string(known.get(value, value) if isinstance(value, str) else value)
    except (ImportError, ImportFromStringError) as error:
        raise ValueError(
            f"{name} is a {what}, 'module:name', or one of {', '.join(known)}; "
            f"got {value!r}: {error}"
        ) from error
