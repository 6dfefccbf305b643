"""A connection to Redis that is not used again after a fault, and what Redis it leads to."""

from collections.abc import Sequence
from typing import Any

from redis.exceptions import ResponseError

from chatlib.stores.log import logger
from chatlib.stores.redis_place import SCRIPTS, Place, script
from chatlib.stores.store import Durability

OLDEST_VERSION = (6, 2)  # in which a stream can be trimmed by id
SETTINGS = ("appendonly", "appendfsync", "no-appendfsync-on-rewrite", "maxmemory-policy")
APPEND_SETTINGS = ["CONFIG", "GET", "*append*"]  # those that `durability_of` looks at, and others


class Wire:
    """A connection on which commands are sent together. For one task at a time.

    What is sent is given up at the first fault, and Redis kills the connection before the next one
    is used: so nothing is done later than what follows it. Of a user who may not use CLIENT,
    something may be, in a Redis that stood still meanwhile.

    Args:
        place: where Redis is.

    Attributes:
        settings: what Redis told of them when it was asked last.
        durable: how durable it makes what it keeps.
    """

    def __init__(self, place: Place) -> None:
        self._place = place
        self._connection = place.connection()
        self._before: tuple[Any, Any] | None = None  # which Redis, and what it calls the connection
        self.durable: Durability = "unknown"
        self.settings: dict[str, str] = {}

    async def connect(self) -> None:
        """Connect, unless it is: nothing is sent that was not asked for.

        Raises:
            OSError, RedisError: there is no Redis that can be written to.
        """
        if self._connection.is_connected:
            return
        try:
            await self._connection.connect()  # type: ignore[no-untyped-call]
            await self._prepare()
        except BaseException:
            await self._connection.disconnect(nowait=True)
            raise

    async def _prepare(self) -> None:
        loads = [["SCRIPT", "LOAD", script(name).text] for name in SCRIPTS]
        configs = [["CONFIG", "GET", name] for name in SETTINGS]
        number, info, *answers = await self.ask([["CLIENT", "ID"], ["INFO"], *configs, *loads])
        for loaded in answers[len(configs) :]:
            if isinstance(loaded, ResponseError):
                raise loaded
        facts = {} if isinstance(info, ResponseError) else facts_in(info)
        expect_fit(facts)
        told = {
            name: answer[1].decode()
            for name, answer in zip(SETTINGS, answers, strict=False)
            if not isinstance(answer, ResponseError) and len(answer) == 2
        }
        self._know(told)
        if self._before is not None and self._before[0] == facts.get("run_id"):  # the same Redis
            await self.ask([["CLIENT", "KILL", "ID", self._before[1]]])
        # Not sooner: if that failed, it is still there. Who may not use CLIENT has no number.
        self._before = None if isinstance(number, ResponseError) else (facts.get("run_id"), number)

    def note(self, answer: Any) -> None:
        """Take what Redis answers to `APPEND_SETTINGS`."""
        if not isinstance(answer, ResponseError):
            pairs = zip(answer[::2], answer[1::2], strict=True)
            told = {name.decode(): value.decode() for name, value in pairs}
            self._know({**self.settings, **told})

    def _know(self, settings: dict[str, str]) -> None:
        """Take the settings of Redis, and warn where they are others than it had before."""
        before, self.settings = self.settings, settings
        self.durable = durability_of(settings)
        if before and settings.get("appendonly") != before.get("appendonly"):
            warn_of(self._place, settings)

    async def ask(self, commands: Sequence[Sequence[Any]]) -> list[Any]:
        """Send `commands`; return what each is answered, an error of Redis in its place.

        Cancelling it, or a fault, closes the connection.

        Raises:
            OSError, RedisError: it is not known what became of them.
        """
        connection = self._connection
        try:
            packed = connection.pack_commands(commands)
            await connection.send_packed_command(packed, check_health=False)
            answers: list[Any] = []
            for _ in commands:
                try:
                    answers.append(await connection.read_response())
                except ResponseError as error:
                    answers.append(error)
        except BaseException:
            await self.drop()
            raise
        return answers

    async def drop(self) -> None:
        """Close the connection."""
        await self._connection.disconnect(nowait=True)


def facts_in(info: bytes) -> dict[str, str]:
    """Return what the answer to INFO says."""
    lines = (line.partition(":") for line in info.decode(errors="replace").splitlines())
    return {name: value for name, colon, value in lines if colon}


def expect_fit(facts: dict[str, str]) -> None:
    """Raise `ResponseError` unless rooms can be kept in a Redis of which these are the facts."""
    version = facts.get("redis_version", "")
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdecimal())
    if len(numbers) == 2 and numbers < OLDEST_VERSION:
        oldest = ".".join(map(str, OLDEST_VERSION))
        raise ResponseError(f"it is Redis {version}, and {oldest} is the oldest that will do")
    mode = facts.get("server_mode") or facts.get("redis_mode") or "standalone"  # Valkey's, Redis'
    if mode != "standalone":
        raise ResponseError(f"it runs as a {mode}, and a single server is needed")
    if facts.get("role", "master") != "master":
        raise ResponseError("it is a replica, to which nobody can write")


def durability_of(settings: dict[str, str]) -> Durability:
    """Return how durable that is which a Redis with these settings keeps."""
    appendonly, appendfsync = settings.get("appendonly"), settings.get("appendfsync")
    if appendonly == "no":
        return "memory"
    if appendonly != "yes":
        return "unknown"
    if settings.get("no-appendfsync-on-rewrite") == "yes":  # nothing is, for as long as that takes
        return "unknown"
    kinds: dict[str | None, Durability] = {"always": "disk", "everysec": "second"}
    return kinds.get(appendfsync, "unknown")


def warn_of(place: Place, settings: dict[str, str]) -> None:
    """Log what an operator has to know of the settings of Redis."""
    if settings.get("appendonly") == "no":
        logger.warning(
            "Redis at %s has no append-only file (appendonly no): when it is killed, all that it "
            "has acknowledged since its last snapshot is lost",
            place.shown,
        )
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy.startswith("allkeys"):  # others drop what expires, and nothing of a room does
        logger.warning(
            "Redis at %s may drop rooms when its memory is full (maxmemory-policy %s): "
            "noeviction has it refuse new messages instead",
            place.shown,
            policy,
        )
