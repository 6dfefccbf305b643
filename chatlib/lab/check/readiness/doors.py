"""Who is let in, what the log says of it, and what an operator may ask."""

import asyncio
import re
import secrets
from urllib.parse import urlsplit

from chatlib.lab.check.readiness.bench import (
    QUIET_SECONDS,
    Bench,
    NotLookedAt,
    Remark,
    outcome,
)
from chatlib.lab.check.readiness.caller import Caller, RefusedError, call
from chatlib.lab.check.readiness.checklist import CAP
from chatlib.lab.check.tools.wrong import Wrong

AT_A_TIME = 25  # handshakes
CALM_SECONDS = 5.0
FOREIGN = "https://evil.example"
NO_CONTEXT = {"server_no_context_takeover", "client_no_context_takeover"}
ADDRESS = re.compile(r"^.*?(?=\")")  # in front of what uvicorn logs of a connection
TOO_MANY = {403, 429, 503}


async def origin(bench: Bench) -> None:
    for kind, page in (("a page of another site", FOREIGN), ("a page in a sandbox", "null")):
        try:
            caller = await call(bench.place, origin=page)
        except RefusedError as refused:
            if not 400 <= refused.status < 500:
                raise Wrong(f"HTTP 403 for {kind}", refused) from None
            continue
        await caller.leave()
        # A notebook makes a link of an address with its scheme.
        raise Wrong(f"HTTP 403 for {kind}, Origin {page.removeprefix('https://')}", "let in")
    own = f"{urlsplit(bench.place.url).scheme}://{bench.place.authority}"
    for kind, mine in (("a page of its own", own), ("a client without Origin", None)):
        try:
            caller = await call(bench.place, origin=mine)
        except RefusedError as refused:
            raise Wrong(f"{kind} to be let in", refused) from None
        await caller.leave()


async def secret(bench: Bench) -> None:
    if not bench.secret:
        raise NotLookedAt(
            "no parameter of this WebSocket is named like a secret; secret='ticket' names one"
        )
    marker = bench.marker = secrets.token_hex(16)
    path, _, query = bench.place.path.partition("?")
    others = [each for each in query.split("&") if each and not each.startswith(bench.secret + "=")]
    target = "?".join([path, "&".join([*others, f"{bench.secret}={marker}"])])
    try:
        caller = await call(bench.place, path=target)
    except RefusedError:  # it is none that lets anybody in, and is logged all the same
        pass
    else:
        await caller.pong(QUIET_SECONDS)
        await caller.leave()
    await bench.place.get(f"/?{bench.secret}={marker}")


async def secret_in_log(bench: Bench) -> None:
    """What came of `secret`, once all is logged."""
    line = next((each for each in bench.target.log().splitlines() if bench.marker in each), "")
    if bench.marker and line:
        line = ADDRESS.sub("", line.replace(bench.marker, "…")).strip()
        raise Wrong(f"no value of {bench.secret!r} in the log", line[:90])


async def alive(bench: Bench) -> None:
    came = [await status(bench, path) for path in ("/livez", "/healthz")]
    if "HTTP 200" not in came:
        raise Wrong("HTTP 200", f"{came[0]} at /livez, {came[1]} at /healthz")


async def ready(bench: Bench) -> None:
    if (came := await status(bench, "/readyz")) != "HTTP 200":
        raise Wrong("HTTP 200", came)


async def metrics(bench: Bench) -> None:
    try:
        code, body = await bench.place.get("/metrics")
    except OSError as error:
        raise Wrong("HTTP 200", f"no answer ({type(error).__name__})") from None
    if code != 200:
        raise Wrong("HTTP 200", f"HTTP {code}")
    if "# TYPE " not in body:
        raise Wrong("Prometheus' text, with lines that begin with # TYPE", "something else")


async def status(bench: Bench, path: str) -> str:
    """Return how `GET path` is answered, in words."""
    try:
        code, _ = await bench.place.get(path)
    except OSError as error:
        return f"no answer ({type(error).__name__})"
    return f"HTTP {code}"


async def frames(bench: Bench) -> None:
    """`FanoutProtocol` compresses each message by itself, and says so, which uvicorn's does not."""
    async with bench.caller(deflate=True) as caller:
        agreed = {each.strip() for each in caller.extensions.split(";")}
    if "permessage-deflate" not in agreed:
        raise NotLookedAt("compression is off here, and by that it is known from outside")
    if not agreed >= NO_CONTEXT:
        raise Wrong(
            "FanoutProtocol", f"another protocol, by how it compresses: {caller.extensions}"
        )


async def cap(bench: Bench) -> None:
    callers: list[Caller] = []
    most, refused = most_connections(bench.cap or CAP), ""
    try:
        while len(callers) < most and not refused:
            count = min(AT_A_TIME, most - len(callers))
            calls = [call(bench.place) for _ in range(count)]
            for came in await asyncio.gather(*calls, return_exceptions=True):
                if isinstance(came, Caller):
                    callers.append(came)
                elif isinstance(came, RefusedError):
                    refused = refused or str(came)
                    if came.status not in TOO_MANY:
                        raise Wrong("HTTP 503, 429 or 403 for one too many", came)
                else:
                    raise came
            newest = callers[-1] if callers else None
            if newest is not None and not refused:
                await newest.pong(QUIET_SECONDS)
                refused = outcome(next((each.code for each in callers if each.code), None))
    finally:
        for each in callers:
            each.abort()
        await calm(bench)
    if not refused:
        raise Remark(f"{most} connections from one address, and all are let in")


def most_connections(cap: int) -> int:
    """Return how many connections are tried: files that are open have a limit, too."""
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return cap
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return cap if soft == resource.RLIM_INFINITY else min(cap, soft // 4)


async def calm(bench: Bench) -> None:
    """Wait until the app lets somebody in again."""
    try:
        async with asyncio.timeout(CALM_SECONDS):
            while True:
                try:
                    caller = await call(bench.place)
                except RefusedError:
                    await asyncio.sleep(0.05)
                    continue
                alive = await caller.pong(QUIET_SECONDS)
                await caller.leave()
                if alive:
                    return
    except TimeoutError:
        raise Wrong(
            "an address to be let in again once its connections have ended",
            f"not within {CALM_SECONDS:.0f} s",
        ) from None
