"""`check.once_a_turn` knows a batcher from those that write too early, too often or too late."""

import asyncio
import contextlib
from collections import deque
from dataclasses import dataclass, field
from types import SimpleNamespace

import pytest
from answers import expect_accepted, expect_rejected

from chatlib.lab import check

ARRIVES = "what is published reaches each member"
WAITS = "nothing is written before publish has returned"
JOINS = "three frames of one turn are one write, in their order"
JOINS_TASKS = "frames that several tasks publish in one turn are one write too"
ONE_FLUSH = "the event loop is asked for one flush a turn, not for three"
AGAIN = "the next turn writes what is new, and nothing twice"
RESTS = "while nothing is published, the event loop has nothing to do"
MEMBERS = "who joins hears what comes after, and who has left hears nothing more"
DURING = "what is published during a flush is written after it"
ITS_OWN = "two batchers know nothing of each other"


class Solution:
    """Writes what is published to each member, once a turn of the event loop."""

    def __init__(self, members):
        self.members = members
        self.frames = []
        self.scheduled = False

    def publish(self, frame):
        self.frames.append(frame)
        if not self.scheduled:
            self.scheduled = True
            self.schedule()

    def schedule(self):
        asyncio.get_running_loop().call_soon(self.flush)

    def flush(self):
        data = b"".join(self.frames)
        self.frames, self.scheduled = [], False
        for member in self.members:
            member.write(data)


class AsHandedOut(Solution):
    def publish(self, frame):
        for member in self.members:
            member.write(frame)


class FlushesAtOnce(Solution):
    def schedule(self):
        self.flush()


class NeverFlushes(Solution):
    def schedule(self):
        pass


class CallsTheFlush(Solution):
    def schedule(self):
        asyncio.get_running_loop().call_soon(self.flush())


class FirstMember(Solution):
    def flush(self):
        self.members, members = self.members[:1], self.members
        super().flush()
        self.members = members


class OneWriteEach(Solution):
    def flush(self):
        frames, self.frames, self.scheduled = self.frames, [], False
        for frame in frames:
            for member in self.members:
                member.write(frame)


class AListOfFrames(Solution):
    def flush(self):
        frames, self.frames, self.scheduled = self.frames, [], False
        for member in self.members:
            member.write(frames)


class LastFrame(Solution):
    def flush(self):
        self.frames = self.frames[-1:]
        super().flush()


class Backwards(Solution):
    def publish(self, frame):
        super().publish(frame)
        self.frames.insert(0, self.frames.pop())


class FlushForEachFrame(Solution):
    def publish(self, frame):
        self.frames.append(frame)
        self.schedule()

    def flush(self):
        if self.frames:
            super().flush()


class EmptyWrites(FlushForEachFrame):
    def flush(self):
        Solution.flush(self)


class NeverForgets(Solution):
    def flush(self):
        data = b"".join(self.frames)
        self.scheduled = False
        for member in self.members:
            member.write(data)


class OnceForEver(Solution):
    def flush(self):
        super().flush()
        self.scheduled = True


class Later(Solution):
    def schedule(self):
        asyncio.get_running_loop().call_later(0.01, self.flush)


class FullBatches(Solution):
    def publish(self, frame):
        self.frames.append(frame)
        if len(self.frames) == 3:
            self.schedule()


class Polls(Solution):
    def __init__(self, members):
        super().__init__(members)
        self.task = asyncio.create_task(self.run())

    def publish(self, frame):
        self.frames.append(frame)

    async def run(self):
        while True:
            if self.frames:
                self.flush()
            await asyncio.sleep(0)


class AsksAndPolls(Solution):
    """It asks for one flush, which asks for the next one for ever."""

    running = False

    def flush(self):
        if self.frames:
            super().flush()
        self.scheduled = True
        asyncio.get_running_loop().call_soon(self.flush)


class RunsOn(Solution):
    def schedule(self):
        super().schedule()
        if not hasattr(self, "task"):
            self.task = asyncio.create_task(self.run())

    async def run(self):
        while True:  # noqa: ASYNC110 - this is what is wrong
            await asyncio.sleep(0)


class CopiesMembers(Solution):
    def __init__(self, members):
        super().__init__(list(members))


class NothingToNobody(Solution):
    def flush(self):
        if self.members:
            super().flush()


class WaitsForSomebody(Solution):
    def flush(self):
        if self.members:
            super().flush()
        self.scheduled = False


class NoFrameTwice(Solution):
    def publish(self, frame):
        super().publish(frame)
        self.frames = list(dict.fromkeys(self.frames))


class InAThread(Solution):
    def schedule(self):
        asyncio.get_running_loop().run_in_executor(None, self.flush)


class MembersOfTheFirst(Solution):
    def publish(self, frame):
        if not hasattr(self, "writers"):
            self.writers = [member.write for member in self.members]
        super().publish(frame)

    def flush(self):
        data = b"".join(self.frames)
        self.frames, self.scheduled = [], False
        for write in self.writers:
            write(data)


class ForgetsAfterwards(Solution):
    def flush(self):
        data = b"".join(self.frames)
        for member in self.members:
            member.write(data)
        self.frames, self.scheduled = [], False


class SaysTooLateThatItIsDone(Solution):
    def flush(self):
        data = b"".join(self.frames)
        self.frames = []
        for member in self.members:
            member.write(data)
        self.scheduled = False


class OfTheClass(Solution):
    frames = []  # noqa: RUF012 - this is what is wrong
    scheduled = False

    def __init__(self, members):
        self.members = members

    def flush(self):
        data = b"".join(self.frames)
        self.frames.clear()
        self.scheduled = False
        for member in self.members:
            member.write(data)


class ByThread(Solution):
    def schedule(self):
        task = asyncio.current_task()
        if task not in self.__dict__.setdefault("tasks", []):
            self.tasks.append(task)
            super().schedule()

    def publish(self, frame):
        self.frames.append((asyncio.current_task(), frame))
        asyncio.get_running_loop().call_soon(self.flush_of, asyncio.current_task())

    def flush_of(self, task):
        data = b"".join(frame for whose, frame in self.frames if whose is task)
        self.frames = [(whose, frame) for whose, frame in self.frames if whose is not task]
        for member in self.members:
            if data:
                member.write(data)


class ATimerOfNothing(Solution):
    def schedule(self):
        asyncio.get_event_loop().call_later(0, self.flush)


class ATimerOfAMicrosecond(Solution):
    def schedule(self):
        asyncio.get_running_loop().call_later(1e-6, self.flush)


class HasATimer(Solution):
    def __init__(self, members):
        super().__init__(members)
        self.timer = asyncio.get_running_loop().call_later(60, self.flush)


class PollsByTheClock(Polls):
    async def run(self):
        while True:
            await asyncio.sleep(0.001)
            if self.frames:
                self.flush()


class TwoFlushes(Solution):
    def schedule(self):
        super().schedule()
        super().schedule()

    def flush(self):
        if self.frames:
            super().flush()


class GoesOn(Solution):
    def flush(self):
        while self.frames:
            data = b"".join(self.frames)
            self.frames = []
            for member in self.members:
                member.write(data)
        self.scheduled = False


class AsyncFlush(Solution):
    async def flush(self):
        super().flush()


class WritesInPublish(Solution):
    async def publish(self, frame):
        self.frames.append(frame)
        await asyncio.sleep(0)
        if self.frames:
            self.flush()


class SwallowsMistakes(Solution):
    def flush(self):
        data = b"".join(self.frames)
        self.frames, self.scheduled = [], False
        with contextlib.suppress(Exception):
            for member in self.members:
                member.writes(data)


class AtMost64(Solution):
    def publish(self, frame):
        super().publish(frame)
        if len(self.frames) == 64:
            self.flush()


class WithSpaces(Solution):
    def flush(self):
        self.frames = [b" ".join(self.frames)]
        super().flush()


class OneFlagForAll(Solution):
    scheduled_by_any = False

    def schedule(self):
        if not OneFlagForAll.scheduled_by_any:
            OneFlagForAll.scheduled_by_any = True
            super().schedule()

    def flush(self):
        OneFlagForAll.scheduled_by_any = False
        super().flush()


class ATaskThatWaits:
    """A task for each batcher, and an event that wakes it up."""

    def __init__(self, members):
        self.members, self.frames = members, deque()
        self.news = asyncio.Event()
        self.task = asyncio.get_running_loop().create_task(self.run())

    def publish(self, frame):
        self.frames.append(frame)
        self.news.set()

    async def run(self):
        while await self.news.wait():
            self.news.clear()
            self.flush()

    def flush(self):
        data = bytearray()
        while self.frames:
            data += self.frames.popleft()
        for member in list(self.members):
            member.write(data)


@dataclass
class AQueue:
    members: list
    queue: asyncio.Queue = field(default_factory=asyncio.Queue)
    task: asyncio.Task = None

    def publish(self, frame):
        self.task = self.task or asyncio.create_task(self.run())
        self.queue.put_nowait(frame)

    async def run(self):
        while True:
            data = await self.queue.get()
            while not self.queue.empty():
                data += self.queue.get_nowait()
            for member in self.members[:]:
                member.write(memoryview(data))


WRONG = {
    "as handed out": (AsHandedOut, WAITS, "got: [[b'one'], [b'one'], [b'one']]"),
    "flushes at once": (FlushesAtOnce, WAITS, "publish only notes the frame"),
    "never flushes": (NeverFlushes, ARRIVES, "got: [b'', b'', b'']"),
    "calls flush, and schedules what it returns": (CallsTheFlush, ARRIVES, "NoneType"),
    "writes to the first member": (FirstMember, ARRIVES, "got: [b'one', b'', b'']"),
    "writes a list": (AListOfFrames, ARRIVES, "bytes for write(data), got: [b'one']"),
    "waits for a timer": (Later, ARRIVES, "call_soon needs no timer"),
    "waits until there are three": (FullBatches, ARRIVES, "got: [b'', b'', b'']"),
    "a write for each frame": (OneWriteEach, JOINS, "one write, got: 3 writes"),
    "the last frame alone": (LastFrame, JOINS, "got: [b'three']"),
    "the last one first": (Backwards, JOINS, "got: [b'threetwo one ']"),
    "a flush for each frame, with empty writes": (EmptyWrites, JOINS, "3 writes"),
    "a batch for each task": (ByThread, JOINS_TASKS, "whoever publishes"),
    "a flush for each frame": (
        FlushForEachFrame,
        ONE_FLUSH,
        "expected one flush, got: it was asked for 3",
    ),
    "two flushes, of which one does nothing": (TwoFlushes, ONE_FLUSH, "it was asked for 2"),
    "a timer of no time": (ATimerOfNothing, ONE_FLUSH, "call_soon needs no timer"),
    "a timer of a microsecond": (ATimerOfAMicrosecond, ONE_FLUSH, "a timer, call_later say"),
    "looks in every turn whether there is something": (
        Polls,
        ONE_FLUSH,
        "publish asks for nothing",
    ),
    "looks every millisecond whether there is something": (
        PollsByTheClock,
        ARRIVES,
        "call_soon needs no timer",
    ),
    "never forgets what it has written": (
        NeverForgets,
        AGAIN,
        "[b'one', b'onetwo', b'onetwothree']",
    ),
    "schedules once for ever": (OnceForEver, ONE_FLUSH, "flush notes that none is any more"),
    "asks again after each flush": (AsksAndPolls, ONE_FLUSH, "publish asks for nothing"),
    "a timer besides": (HasATimer, RESTS, "expected nothing, got: a timer"),
    "something runs in every turn": (RunsOn, RESTS, "runs in every turn"),
    "copies its members once": (CopiesMembers, MEMBERS, "for who joined, got: []"),
    "does nothing for nobody, and never again": (NothingToNobody, MEMBERS, "got: []"),
    "keeps for later what nobody heard": (WaitsForSomebody, MEMBERS, "b'to nobodyto somebody'"),
    "no frame twice": (NoFrameTwice, JOINS, "makes one bytes of all"),
    "in another thread": (InAThread, ARRIVES, "the thread of the event loop"),
    "keeps the members of the first time": (MembersOfTheFirst, MEMBERS, "for who joined"),
    "forgets the frames after the writes": (ForgetsAfterwards, DURING, "before the first write"),
    "says after the writes that it is done": (
        SaysTooLateThatItIsDone,
        DURING,
        "expected [b'question', b'answer'], got: [b'question']",
    ),
    "goes on while there are frames": (GoesOn, DURING, "to be written in a later turn"),
    "a task that waits for an event, and does not give way": (
        ATaskThatWaits,
        DURING,
        "to be written in a later turn, got: in the same turn",
    ),
    "a queue, whose next item it takes at once": (AQueue, DURING, "in the same turn"),
    "flush is a coroutine function": (AsyncFlush, ARRIVES, "`def flush`, without `async`"),
    "gives way in publish, and writes there": (WritesInPublish, WAITS, "publish only notes"),
    "lets a member's mistake pass": (SwallowsMistakes, ARRIVES, "got: [b'', b'', b'']"),
    "at most 64 frames in a write": (AtMost64, JOINS, "one write, got: 7 writes"),
    "a space between two frames": (WithSpaces, JOINS, "b'one  two  three'"),
    "one flag for all": (OneFlagForAll, ITS_OWN, "made in __init__"),
    "an object for the class": (Solution([]), ARRIVES, "the class itself, without ()"),
    "a list of the class": (OfTheClass, ITS_OWN, "made in __init__"),
}


class FromAnyThread(Solution):
    def schedule(self):
        asyncio.get_running_loop().call_soon_threadsafe(self.flush)


class ATask(Solution):
    def schedule(self):
        self.task = asyncio.create_task(self.run())

    async def run(self):
        self.flush()


class ATaskThatGivesWay(ATask):
    def schedule(self):
        self.task = asyncio.ensure_future(self.run())

    async def run(self):
        await asyncio.sleep(0)
        self.flush()


class AFuture(Solution):
    def schedule(self):
        future = asyncio.get_running_loop().create_future()
        future.add_done_callback(lambda _: self.flush())
        future.set_result(None)


class AsksAnew(Solution):
    """It takes back what it has asked for, and asks again."""

    handle = None

    def publish(self, frame):
        self.frames.append(frame)
        if self.handle is not None:
            self.handle.cancel()
        self.handle = asyncio.get_running_loop().call_soon(self.flush)


class NoFlag(Solution):
    """The frames say whether a flush is scheduled. And publish is a coroutine function."""

    async def publish(self, frame):
        if not self.frames:
            self.schedule()
        self.frames += [frame]


class AnEventThatGivesWay(ATaskThatWaits):
    async def run(self):
        while await self.news.wait():
            self.news.clear()
            self.flush()
            await asyncio.sleep(0)


class AQueueThatGivesWay(AQueue):
    async def run(self):
        while True:
            frames = [await self.queue.get()]
            while not self.queue.empty():
                frames.append(self.queue.get_nowait())
            for member in self.members[:]:
                member.write(b"".join(frames))
            await asyncio.sleep(0)


class ATaskEachTurn:
    def __init__(self, members):
        self.members, self.data, self.task = members, bytearray(), None

    async def publish(self, frame):
        self.data += frame
        if self.task is None:
            self.task = asyncio.create_task(self.flush())

    async def flush(self):
        data, self.data, self.task = bytes(self.data), bytearray(), None
        for member in [*self.members]:
            member.write(data)


def closures(members):
    frames = []

    def flush():
        data = b"".join(frames)
        frames.clear()
        for member in tuple(members):
            member.write(data)

    def publish(frame):
        if not frames:
            asyncio.get_running_loop().call_soon(flush)
        frames.append(frame)

    return SimpleNamespace(publish=publish)


class KeepsTheHandle(Solution):
    handle = None

    def publish(self, frame):
        self.frames.append(frame)
        self.handle = self.handle or asyncio.get_running_loop().call_soon(self.flush)

    def flush(self):
        self.handle = None
        super().flush()


class Composed:
    """It has a batcher, and is none; what it writes is one buffer."""

    def __init__(self, members):
        self._members, self._data, self._loop = members, bytearray(), asyncio.get_running_loop()

    def publish(self, frame):
        first = not self._data
        self._data.extend(frame)
        if first:
            self._loop.call_soon(self._write)

    def _write(self):
        data, self._data = bytes(self._data), bytearray()
        for number in range(len(self._members)):
            self._members[number].write(data)


RIGHT = {
    "the solution": Solution,
    "call_soon_threadsafe": FromAnyThread,
    "a task": ATask,
    "a task that gives way once": ATaskThatGivesWay,
    "the callback of a future": AFuture,
    "takes back, and asks anew": AsksAnew,
    "no flag, and a coroutine function": NoFlag,
    "a task that waits for an event, and gives way": AnEventThatGivesWay,
    "a queue, and a task that gives way": AQueueThatGivesWay,
    "a task for each turn, and publish is a coroutine function": ATaskEachTurn,
    "closures": closures,
    "keeps what call_soon returns": KeepsTheHandle,
    "one buffer, and no flush by name": Composed,
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_answer_is_rejected_by_its_rule(name):
    answer, rule, words = WRONG[name]
    expect_rejected(check.once_a_turn(answer), rule, words)


@pytest.mark.parametrize("name", RIGHT)
def test_a_right_answer_is_accepted(name):
    expect_accepted(check.once_a_turn(RIGHT[name]))
