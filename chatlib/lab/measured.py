"""The server that `measure` measures, in a process of its own."""

import ast
import asyncio
import cProfile
import gc
import json
import linecache
import os
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from queue import SimpleQueue
from types import BuiltinFunctionType, CodeType, FunctionType, ModuleType
from typing import Any

import uvicorn
from fastapi import FastAPI, WebSocket, WebSocketDisconnect

from chatlib.lab.loopback import listen

FANOUT = "chatlib.core.fanout:FanoutProtocol"
BACKLOG = 2048
KERNEL = "the kernel"
LAYERS = {
    "/starlette/": "Starlette",
    "/fastapi/": "FastAPI",
    "/uvicorn/": "uvicorn",
    "/websockets/": "websockets",
    "/chatlib/core/": "chatlib",
    "/chatlib/lab/": "the manager",
    "<notebook>": "the manager",
    "/asyncio/": "asyncio",
}


# --- the notebook's side --------------------------------------------------------------------------


def program(manager: type | Callable[..., Any]) -> str:
    """Return source that defines a class or a function, and all that it uses of its module.

    Raises:
        TypeError: its source cannot be found.
    """
    parts: list[str] = []
    space = vars(sys.modules[manager.__module__]) | {manager.__name__: manager}
    define(manager.__name__, space, parts, set())
    return "\n\n".join(parts)


def define(name: str, space: dict[str, Any], parts: list[str], seen: set[str]) -> None:
    """Append to `parts` what defines `name` as it is in `space`, and before it what that uses."""
    if name in seen or name not in space:
        return
    seen.add(name)
    value = space[name]
    if isinstance(value, ModuleType):
        parts.append(f"import {value.__name__} as {name}")
    elif not isinstance(value, type | FunctionType | BuiltinFunctionType):
        parts.append(f"{name} = {value!r}")
    elif value.__module__ != "__main__":
        parts.append(f"from {value.__module__} import {value.__name__} as {name}")
    else:
        source = source_of(value)
        for used in names_in(source):
            define(used, space, parts, seen)
        parts.append(source)


def names_in(source: str) -> list[str]:
    """Return the names that `source` uses and does not assign."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    assigned = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    assigned |= {node.arg for node in nodes if isinstance(node, ast.arg)}
    return [node.id for node in names if node.id not in assigned]


def source_of(thing: Any) -> str:
    """Return the source of a class or a function.

    `inspect.getsource` finds no class of a notebook: it asks the module for its file.
    """
    functions = [thing] if isinstance(thing, FunctionType) else list(vars(thing).values())
    for function in functions:
        if isinstance(function, FunctionType):
            cell = "".join(linecache.getlines(function.__code__.co_filename))
            for node in ast.parse(cell).body:
                if getattr(node, "name", None) == thing.__name__:
                    return ast.get_source_segment(cell, node) or ""
    raise TypeError(f"the source of {thing!r} cannot be found")


# --- the server's side ----------------------------------------------------------------------------


def app_on(manager: Any) -> FastAPI:
    """Return the smallest app that broadcasts through `manager`."""
    app = FastAPI()

    @app.websocket("/ws")
    async def endpoint(websocket: WebSocket) -> None:
        await manager.connect(websocket)
        try:
            while True:
                await manager.broadcast(await websocket.receive_text())
        except WebSocketDisconnect:
            manager.disconnect(websocket)

    return app


def config_on(order: dict[str, Any]) -> uvicorn.Config:
    """Return what uvicorn needs to serve what `order` says.

    There are no pings: nobody in a crowd answers one, and it would be counted as a message.
    """
    space: dict[str, Any] = {"__name__": "__main__"}
    exec(compile(order["program"], "<notebook>", "exec"), space)
    app = app_on(space[order["manager"]]())
    config = uvicorn.Config(app, ws=order["ws"], ws_ping_interval=None, log_config=None)
    config.load()
    if order["watched"]:
        config.ws_protocol_class = watched(config.ws_protocol_class)
    return config


def hear_the_parent(lines: SimpleQueue[bytes]) -> None:
    """Put each line of stdin into `lines`. At its end, end this process, whatever it does.

    The parent has the other end of that pipe, so this comes even if the parent is killed.
    """
    with open(0, "rb", buffering=0, closefd=False) as stdin:  # no lock that an exit could wait for
        for line in stdin:
            lines.put(line)
    os._exit(0)


def main() -> None:
    """Serve what the first line of stdin says, answer the lines after it, end with stdin."""
    lines: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=hear_the_parent, args=(lines,), daemon=True).start()
    order = json.loads(lines.get())
    answers, sys.stdout = sys.stdout, sys.stderr  # where a manager may print what it likes
    config = config_on(order)
    sock = listen(0)
    sock.listen(BACKLOG)
    profiler = cProfile.Profile()

    def answer(loop: asyncio.AbstractEventLoop) -> None:
        async def profile() -> None:
            profiler.enable()  # it sees the thread that calls this, and no other

        async def seconds() -> dict[str, float]:
            profiler.disable()
            return layers(profiler)

        print(sock.getsockname()[1], file=answers, flush=True)
        while True:
            result: Any = None
            match json.loads(lines.get()):
                case "cpu":
                    result = time.process_time()
                case "memory":
                    result = memory()
                case "writes":
                    result = Transport.writes
                case "profile":
                    asyncio.run_coroutine_threadsafe(profile(), loop).result()
                case "layers":
                    result = asyncio.run_coroutine_threadsafe(seconds(), loop).result()
            print(json.dumps(result), file=answers, flush=True)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        threading.Thread(target=answer, args=(loop,), daemon=True).start()
        await uvicorn.Server(config).serve(sockets=[sock])

    # In its debug mode, which the environment may ask for, asyncio would measure itself.
    with asyncio.Runner(debug=False, loop_factory=config.get_loop_factory()) as runner:
        runner.run(serve())


def memory() -> int:
    """Return how many bytes this process has in memory: what is shared with others counts too."""
    gc.collect()
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # this is no Linux: the most that it ever had, then
        import resource

        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024


class Transport:
    """A transport whose `write` is counted, and seen by a profiler, from which uvloop's hides."""

    writes = 0

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.c_write = transport.write

    def write(self, data: bytes) -> None:
        Transport.writes += 1
        self.c_write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)


def watched(protocol: Any) -> Any:
    """Return `protocol` with a transport that a profiler sees."""

    class Watched(protocol):  # type: ignore[misc]
        def connection_made(self, transport: Any) -> None:
            super().connection_made(Transport(transport))

    return Watched


def layers(profiler: cProfile.Profile) -> dict[str, float]:
    """Return how many seconds were spent in the code of each layer.

    What a function of C takes counts for the layer that calls it.
    """
    seconds: defaultdict[str, float] = defaultdict(float)
    for entry in profiler.getstats():
        if isinstance(entry.code, str):
            continue
        layer = KERNEL if entry.code is Transport.write.__code__ else layer_of(entry.code)
        of_c = sum(call.inlinetime for call in entry.calls or () if isinstance(call.code, str))
        seconds[layer] += entry.inlinetime + of_c
    return dict(seconds)


def layer_of(code: CodeType) -> str:
    """Return the name of the layer to which `code` belongs."""
    path = code.co_filename.replace(os.sep, "/")
    for part, name in LAYERS.items():
        if part in path:
            return name
    return "others"
