"""Where the WebSockets of an app are, and which parameters in their addresses are secrets."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import fastapi.routing
from uvicorn.importer import import_from_string

SECRETS = re.compile(r"token|secret|password|passwd|jwt|ticket|session|api_?key|\bkey\b", re.I)
UUID = "12345678-1234-4234-8234-123456789abc"


@dataclass(frozen=True)
class Door:
    """A WebSocket of an app.

    Attributes:
        path: with what stands for its parameters.
        secret: the name of a parameter in its query that sounds like a secret; empty if none does.
    """

    path: str
    secret: str = ""


def doors_of(app: Any) -> list[Door]:
    """Return the WebSockets of an app of FastAPI's or Starlette's; what is mounted is left out."""
    flat: Any = getattr(fastapi.routing, "iter_route_contexts", iter)
    doors = []
    for route in flat(getattr(app, "routes", ())):
        if getattr(route, "endpoint", None) is None or getattr(route, "methods", None):
            continue
        dependant = getattr(route, "dependant", None)
        secret = next(filter(SECRETS.search, parameters(dependant)), "")
        doors.append(Door(filled(route.path), secret))
    return doors


def parameters(dependant: Any) -> Iterator[str]:
    """Yield the names in the query that a handler takes, and what it depends on."""
    for each in getattr(dependant, "query_params", ()):
        yield each.alias
    for inner in getattr(dependant, "dependencies", ()):
        yield from parameters(inner)


def filled(path: str) -> str:
    """Return `path` with a value for each parameter: 1 is a number, and a text."""
    return re.sub(r"{\w+:uuid}", UUID, re.sub(r"{\w+(:(?!uuid)\w+)?}", "1", path))


def door_in_asyncapi(text: str) -> Door | None:
    """Return the first WebSocket that an AsyncAPI document names, or None."""
    try:
        channels = json.loads(text)["channels"]
        addresses = [each.get("address") or name for name, each in channels.items()]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return next((Door(filled(each)) for each in addresses if each.startswith("/")), None)


def main() -> None:
    """Print the doors of the app that the command line names, as JSON, for another process."""
    app = import_from_string(sys.argv[1])
    print("\n" + json.dumps([asdict(door) for door in doors_of(app)]))


if __name__ == "__main__":
    main()
