"""Handlers of an app that never get a turn, because another has their path."""

import ast
import functools
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

import fastapi.routing

REMEDY = "Make the app anew in the cell that defines them, app = FastAPI(), and run it again."


def unheard_handlers(app: Any) -> list[str]:
    """Return a sentence for each path of `app` that has two different handlers.

    A cell that was corrected and run again adds a handler, and the one of before stays the first.
    The same code twice is no fault: it does not matter which of the two runs. What a handler
    depends on counts as a part of it.
    """
    first: dict[tuple[str, str], list[Any]] = {}
    sentences = []
    for kind, path, functions in handlers(app):
        before = first.setdefault((kind, re.sub(r"{\w+", "{", path)), functions)
        if before is not functions and made_of_all(before) != made_of_all(functions):
            sentences.append(
                f"The app has two handlers for {kind} {path}, and the first one answers. {REMEDY}"
            )
    return list(dict.fromkeys(sentences))


def handlers(app: Any) -> Iterator[tuple[str, str, list[Callable[..., Any]]]]:
    """Yield of each handler of `app` its kind, its path, its function and what that depends on.

    The kind is `WebSocket`, or the HTTP method.
    """
    # Where FastAPI keeps included routers apart, it has this to look through them.
    flat: Any = getattr(fastapi.routing, "iter_route_contexts", iter)
    for route in flat(getattr(app, "routes", ())):
        endpoint = getattr(route, "endpoint", None)
        if endpoint is not None:
            functions = [endpoint, *dependencies(getattr(route, "dependant", None))]
            for kind in sorted(getattr(route, "methods", None) or ["WebSocket"]):
                if kind != "HEAD":  # which comes with GET
                    yield kind, route.path, functions


def dependencies(dependant: Any) -> Iterator[Callable[..., Any]]:
    """Yield the functions that `Depends` names below `dependant`, which is FastAPI's."""
    for each in getattr(dependant, "dependencies", ()):
        yield each.call
        yield from dependencies(each)


def made_of_all(functions: list[Callable[..., Any]]) -> list[Any]:
    """Return what `made_of` returns for each."""
    return [made_of(function) for function in functions]


def made_of(value: Any, *around: Any) -> Any:
    """Return what is equal for two values if they were made by running the same code twice.

    Args:
        value: a handler, or what one has in it.
        around: the values that `value` was found in.
    """
    if any(value is outer for outer in around):
        return "one of those around it"
    if isinstance(value, functools.partial):
        return [made_of(value.func, value, *around), shown((value.args, value.keywords))]
    if isinstance(value, FunctionType):
        given = (value.__defaults__, value.__kwdefaults__, value.__annotations__)
        variables = [made_of(content, value, *around) for content in contents(value)]
        return [source_of(value), without_lines(value.__code__), shown(given), variables]
    if inspect.ismethod(value):
        return [made_of(each, value, *around) for each in (value.__func__, value.__self__)]
    if isinstance(value, type):
        methods = {k: v for k, v in vars(value).items() if inspect.isroutine(v)}
        return [shown(value), {k: made_of(v, value, *around) for k, v in methods.items()}]
    if callable(value) and hasattr(value, "__wrapped__"):  # from functools.cache, say
        return made_of(value.__wrapped__, value, *around)
    if callable(value) and hasattr(value, "__dict__"):
        return [made_of(type(value), value, *around), shown(vars(value))]
    return shown(value)


def shown(value: Any) -> str:
    """Return the repr of `value`, without what differs each time it is made."""
    return re.sub(r" at 0x[0-9a-fA-F]+", "", repr(value))


def contents(function: FunctionType) -> Iterator[Any]:
    """Yield the values of the variables around `function`."""
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # it has none yet
            yield None


def source_of(function: FunctionType) -> str | None:
    """Return the source with its decorators, without comments and layout; None if there is none."""
    try:
        return ast.dump(ast.parse(textwrap.dedent(inspect.getsource(function.__code__))))
    except (OSError, SyntaxError):  # a lambda's line may be a part of a statement
        return None


def without_lines(code: CodeType) -> CodeType:
    """Return `code` as if it stood nowhere."""
    inner = [without_lines(each) if isinstance(each, CodeType) else each for each in code.co_consts]
    return code.replace(co_filename="", co_firstlineno=1, co_linetable=b"", co_consts=tuple(inner))
