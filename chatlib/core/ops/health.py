"""What probes get to hear: whether the process is alive, how it is, and whether it is ready."""

import os
from collections.abc import Callable

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from chatlib.core.hub.check import Answer, Check
from chatlib.core.hub.hub import Hub
from chatlib.core.metrics.figures import kind_of
from chatlib.core.ops.stopping import Stopping

RETRY_SECONDS = "1"
STOPPING = "stopping"
NOT_OPEN = "the hub is not open: FastAPI(lifespan=hub.lifespan) opens it"
NEVER_KEPT = {"Cache-Control": "no-store"}


class Alive(BaseModel):
    """This process runs, and its event loop turns."""

    worker: int


class LogHealth(BaseModel):
    """Whether the log answers, how durable it is, and how many milliseconds an answer took."""

    kind: str
    ok: bool
    durable: str
    lag_ms: float | None
    error: str | None = None


class Health(BaseModel):
    """Of this process: whether its log answers, if it has one, and what it serves."""

    log: LogHealth | None
    worker: int
    rooms: int
    members: int


class Ready(BaseModel):
    """Whether this process wants clients; if not, why."""

    ready: bool
    why: str | None = None


class Probes:
    """What the probes of an app ask.

    Args:
        hub: whose store has to answer, if the app has one.
        serves: says how many rooms this process has, and how many connections.
        stopping: whether it has been told to stop.
    """

    def __init__(
        self, hub: Hub | None, serves: Callable[[], tuple[int, int]], stopping: Stopping
    ) -> None:
        self.hub = hub
        self.serves = serves
        self.stopping = stopping
        self._check = None if hub is None else Check(hub.store)

    async def health(self) -> Health:
        """Return how this process is."""
        rooms, members = self.serves()
        log = await self._log()
        return Health(log=log, worker=os.getpid(), rooms=rooms, members=members)

    async def ready(self) -> Ready:
        """Return whether it wants clients."""
        if self.stopping.began:
            return Ready(ready=False, why=STOPPING)
        log = await self._log()
        why = STOPPING if self.stopping.began else log.error if log else None
        return Ready(ready=why is None, why=why)

    async def _log(self) -> LogHealth | None:
        if self.hub is None or self._check is None:
            return None
        store = self.hub.store
        answer = await self._check.ask() if self.hub.is_open else Answer(NOT_OPEN, 0.0)
        return LogHealth(
            kind=kind_of(store),
            ok=answer.ok,
            durable=store.durable,
            lag_ms=round(answer.seconds * 1000, 1) if answer.ok else None,
            error=answer.error,
        )


def add_probes(app: FastAPI, probes: Probes) -> None:
    """Add `/livez`, `/healthz` and `/readyz` to `app`, for GET and HEAD."""

    @app.head("/livez", include_in_schema=False)
    @app.get("/livez")
    async def livez() -> Alive:
        return Alive(worker=os.getpid())

    @app.head("/healthz", include_in_schema=False)
    @app.get("/healthz", response_model=Health, responses={503: {"model": Health}})
    async def healthz() -> JSONResponse:
        health = await probes.health()
        return reply(health, health.log is None or health.log.ok)

    @app.head("/readyz", include_in_schema=False)
    @app.get("/readyz", response_model=Ready, responses={503: {"model": Ready}})
    async def readyz() -> JSONResponse:
        ready = await probes.ready()
        return reply(ready, ready.ready)


def reply(body: BaseModel, well: bool) -> JSONResponse:
    """Return an answer with 200, or with 503."""
    retry = {} if well else {"Retry-After": RETRY_SECONDS}
    return JSONResponse(body.model_dump(), 200 if well else 503, {**NEVER_KEPT, **retry})
