"""What went wrong inside the reader's own code, in words: the exception, its line, and a hint."""

import gc
import linecache
import re
import struct
import sysconfig
import traceback
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, TextIO

import chatlib

CHARACTERS = 100  # of a message or a line of code that is shown
WARNINGS = 100  # that are kept
NOT_THE_READERS = (
    str(Path(chatlib.__file__).parent),
    *(sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")),
)
NO_FILES = ("<stdin>", "<ipython-input", "<python-input")  # where a reader types

FORGOTTEN = "you forgot `await`: without it a call gives a coroutine, and nothing is done yet"
GONE = (
    "to send to, or close, a client that has gone raises it too: catch it around the loop, "
    "and send nothing after that"
)
# What an exception is usually due to. The first pattern that is found counts.
HINTS = {
    r"'coroutine' object|type coroutine|not coroutine|\(found coroutine|got coroutine": FORGOTTEN,
    r"'connect' object has no attribute": "`async with websockets.connect(…) as client:` "
    "connects; the call alone does not",
    r"AttributeError: __enter__|does not support the context manager": "`async with`, not `with`",
    r"AttributeError: __aenter__|does not support the asynchronous context": "`with`, not "
    "`async with`; or the asynchronous one of the library's two clients",
    r"can't be used in 'await' expression|can't be awaited": "leave that `await` out: "
    "what stands behind it is no coroutine",
    r'Need to call "accept" first': "await websocket.accept() comes first, and after a close "
    "there is nothing to receive",
    r'Expected ASGI message "websocket.accept"': "accept() once, before anything else",
    r"Cannot call \"(send|receive)\" once": "after a close there is nothing to send or receive: "
    "end there, or raise; and who has left must be off your list",
    r"KeyError: '(text|bytes)'": "a message of the other kind came, binary or text: "
    "ask it what it is before you use it",
    r"websocket\.http": "HTTPException is for HTTP: raise WebSocketException, or close",
    r"KeyError": "there is no such key: .get(key, …) gives something else then",
    r"WebSocketDisconnect": "catch WebSocketDisconnect around the loop",
    r"TimeoutError": "a timeout ran out there: is sent what it waits for, and need there be one?",
    r"ConnectionClosed": "the connection had ended: receive no more messages than are sent",
    r"NameError|UnboundLocalError": "Python does not know that name here: is it written as it is "
    "elsewhere, and has the cell that defines or imports it run?",
    r"asyncio\.run\(\) cannot be called": "an event loop runs already: `await` the coroutine",
    r"format requires|bytes must be in range": "the number is too large for that many bytes: one "
    "byte holds up to 255, two up to 65,535; for struct.pack B is one byte, H two, Q eight",
    r"ResponseValidationError": "what is returned is not what the annotation behind `->` promises",
    r"missing .*positional argument: 'request'": "a Request is for HTTP: take websocket: WebSocket",
    r"(takes|missing) .*positional argument": "count the parameters, and what the call gives them",
}


def hint_on(error: BaseException) -> str | None:
    """Return what an exception like `error` is usually due to, if that is known."""
    text, cause = in_words(error), innermost(error)
    if text.startswith("WebSocketDisconnect") and isinstance(cause.__context__, OSError):
        return GONE  # as Starlette raises it where a message cannot be sent
    return next((hint for pattern, hint in HINTS.items() if re.search(pattern, text)), None)


def in_words(error: BaseException) -> str:
    """Return the type and the message of `error`, on one line."""
    error = innermost(error)
    if type(error).__name__ == "WebSocketDisconnect":
        return f"WebSocketDisconnect, code {getattr(error, 'code', None)}"
    name = "struct.error" if isinstance(error, struct.error) else type(error).__name__
    return cut(" ".join(f"{name}: {shown(error, str)}".split()).removesuffix(":"))


def told(error: BaseException) -> str:
    """Return `error` in words, and below them the line of the reader's code that it came from."""
    error = innermost(error)
    stack = traceback.walk_tb(error.__traceback__)
    place = place_of((frame.f_code.co_filename, line) for frame, line in reversed(list(stack)))
    if place is None:
        return in_words(error)
    return f"your code raised {in_words(error)}\n  {place}"


def innermost(error: BaseException) -> BaseException:
    """Return the first exception in a group, or `error` itself."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def let_go(error: BaseException | None) -> None:
    """Free what `error` and those that led to it hold: coroutines that were never awaited, say."""
    while error is not None:
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, AttributeError):
            error.obj = None
        group = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
        for each in group:
            let_go(each)
        error = error.__cause__ or error.__context__


def place_of(lines: Iterable[tuple[str, int]]) -> str | None:
    """Return in words the first of `lines`, each a file's name and a number, that is a reader's."""
    for filename, number in lines:
        if is_readers(filename):
            where = Path(filename).name if Path(filename).is_file() else "your cell"
            source = linecache.getline(filename, number).strip()
            return f"line {number} of {where}" + (f": {cut(source)}" if source else "")
    return None


def is_readers(filename: str) -> bool:
    """Return whether a file is neither ours, nor Python's, nor an installed package's."""
    if filename.startswith("<"):
        return filename.startswith(NO_FILES)
    return not filename.startswith(NOT_THE_READERS) and "site-packages" not in filename


def shown(value: object, how: Any = repr) -> str:
    """Return the repr of `value` on one line, without addresses in memory."""
    try:
        text = str(how(value))
    except Exception as error:
        text = f"a {type(value).__name__}, whose repr raises {type(error).__name__}"
    text = re.sub(r"<(\w+) object (\S+) at 0x[0-9a-fA-F]+>", r"<\1 \2>", text)
    text = re.sub(r"<module '(\S+)' from '[^']*'>", r"<module \1>", text)
    return re.sub(r" at 0x[0-9a-fA-F]+", "", text).replace("\n", " ")


def cut(text: str) -> str:
    """Return `text`, cut where it is long."""
    return text if len(text) <= CHARACTERS else f"{text[: CHARACTERS - 1]}…"


class Unawaited:
    """Catches Python's warnings of coroutines that were never awaited, in all threads.

    Other warnings are shown as ever.
    """

    def __init__(self) -> None:
        self.catcher = warnings.catch_warnings()
        self.caught: list[tuple[str, str, int]] = []

    def __enter__(self) -> "Unawaited":
        self.catcher.__enter__()
        self.show = warnings.showwarning
        warnings.simplefilter("always", RuntimeWarning)
        warnings.showwarning = self.note
        gc.collect()  # what an earlier answer has left warns now, and is not told of this one
        self.caught.clear()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.catcher.__exit__(None, None, None)

    def note(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Keep a warning, in place of `warnings.showwarning`."""
        if "was never awaited" not in str(message):
            self.show(message, category, filename, lineno, file, line)
        elif len(self.caught) < WARNINGS:  # a loop may do it for ever
            self.caught.append((str(message), filename, lineno))

    def since(self, first: int) -> tuple[str, str] | None:
        """Return of the first one from number `first` on what happened, and a hint, if any."""
        for message, filename, number in self.caught[first:]:
            # Where it was made, most recent call last, if Python was told to keep that in mind.
            made = re.findall(r'^  File "(.*)", line (\d+)', message, re.MULTILINE)
            lines = [(name, int(each)) for name, each in reversed(made)]
            place = place_of([*lines, (filename, number)])
            name = re.match(r"coroutine '(.*)' was never awaited", message)
            if place is not None and name is not None:
                call = name[1].rpartition(".")[2]
                hint = f"you forgot `await` before the call of {call}()"
                return f"RuntimeWarning: {name[0]}\n  {place}", hint
        return None
