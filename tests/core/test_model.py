"""What each member of a room must hear, by a model: rooms, event loops and lines, all by chance.

The event loops turn one at a time, when the model says so, so an example always goes the same way.
What threads do to each other at the very same moment is not seen here.

To look further, at other examples each time, and to have one that fails shrunk:

    MODEL_EXAMPLES=5000 pytest tests/core/test_model.py
"""

import asyncio
import os
from collections import deque
from itertools import compress, groupby
from types import SimpleNamespace

import pytest
from fastapi import WebSocketDisconnect
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from lines import FakeLine, FakeSocket, Place

from chatlib import Room
from chatlib.core import chunks, group, line, turn
from chatlib.core.frames import decode, encode
from chatlib.core.line import EndedError
from chatlib.core.ring import cost

LIMIT = 3000
CHUNK, STEP, WRITE, TURN = 300, 300, 50, 800
PATIENCE = 1000.0  # of which an eighth passes at a time
GUARD_SECONDS = 30.0
HOMES = [0, 0, 1, 1, 2]  # in which event loop each connection lives

slots, homes, turns = st.sampled_from(range(5)), st.sampled_from([0, 0, 1, 2]), st.integers(0, 3)
sizes = st.sampled_from([1, 1, 50, 50, 200, 200, 200, 700, 700, 1400, 2500, 2 * LIMIT])
deeds = st.sampled_from(
    ["join"] * 2 + ["leave", "leave_and_join"] * 2 + ["publish", "send"] * 4 + ["say"] * 2
)
which_room = st.sampled_from([0, 0, 1])
scripts = st.lists(st.tuples(deeds, slots, which_room, sizes), min_size=1, max_size=5)
to_one = st.sampled_from(["publish", "send", "say", "leave", "leave_and_join"])
words = st.lists(st.tuples(to_one, which_room, sizes), min_size=1, max_size=5)
ways = st.sampled_from(["fill"] * 5 + ["drain"] * 3 + ["fail"] * 2 + ["end", "abort"])
seldom = st.sampled_from(["time passes", "rest", "rest", "asyncio.run", "close", "close"])


class ModelLine(FakeLine):
    """A line that can tell what it was written, and when it is misused."""

    def __init__(self, place):
        super().__init__()
        self.place, self.fed, self._heard, self._read = place, False, {}, 0

    @property
    def heard(self):
        """The numbers of the messages that were written."""
        for frames in self.writes[self._read :]:
            for message in decode(frames):
                number = int(message["text"].split()[0])
                self.place.note(number not in self._heard, f"{number} was written twice")
                self._heard[number] = None
        self._read = len(self.writes)
        return self._heard

    def write(self, frames):
        self.place.note(not self.ended, "written to, though it has ended")
        self.place.note(self.writable.is_set(), "written to, though it is full")
        self.place.note(asyncio.get_running_loop() is self.loop, "written to from elsewhere")
        super().write(frames)
        if not self.fed:  # one line may be written all that it takes
            self.place.written.append(len(frames))

    def feed(self):
        before, self.fed = self.fed, True
        super().feed()
        self.fed = before


class ModelPlace(Place):
    def __init__(self, clock):
        super().__init__(clock, GUARD_SECONDS)
        self.written = []

    def note(self, holds, what):
        if not holds:
            self.errors.append(what)

    async def turn(self, count):
        """Let the loop turn. The rooms write a part of what they have to in each turn."""
        for _ in range(count):
            self.written.clear()
            await asyncio.sleep(0)
            beyond = sum(self.written) - max(self.written, default=0) - TURN - STEP
            self.note(beyond <= 0, f"{self.written} was written in one turn")


def waiters(room):
    """Return what those who wait to publish await. Who is cancelled waits no more."""
    return [waiter for _, waiter in room._ring._queue if not waiter.cancelled()]


class Rooms(RuleBasedStateMachine):
    """Connections come and go, take more or less, and end, while tasks say all sorts of things."""

    def __init__(self):
        super().__init__()
        self.now, self.number, self.batch = 0.0, 0, 0
        self.patch = pytest.MonkeyPatch()
        clock = SimpleNamespace(monotonic=lambda: self.now)
        for module, name, value in [
            *((chunks, "CHUNK", CHUNK), (group, "WRITE_BYTES", WRITE), (group, "STEP_BYTES", STEP)),
            *((turn, "TURN_BYTES", TURN), (turn, "WRITE_BYTES", WRITE), (turn, "time", clock)),
            (line, "CHUNK", CHUNK),
        ]:
            self.patch.setattr(module, name, value)
        self.rooms = [Room(limit=LIMIT, patience=PATIENCE, hold=float("inf")) for _ in range(2)]
        self.waiting = {room: deque() for room in self.rooms}  # who called, and is not let in yet
        self.logs = {room: [] for room in self.rooms}
        self.inside = {room: {} for room in self.rooms}
        self.unnoticed = set()  # rooms in which nobody has published since a loop was closed
        self.costs, self.sockets, self.here = {}, [], {}
        self.tasks, self.senders = [], set()
        self.places = [ModelPlace(lambda: self.now) for _ in range(3)]
        self.all_places = list(self.places)
        for home in range(len(self.places)):
            self.all_join(home)

    # What the tasks do. Between two `await` nothing else happens, so the model knows the order.

    def settle(self):
        """Note what the rooms have let in since the last time, and who has to hear it."""
        self.batch += 1
        for room, waiting in self.waiting.items():
            while len(waiting) > len(waiters(room)):
                number = waiting.popleft()
                self.logs[room].append(number)
                for socket in self.inside[room]:
                    socket.expected.append((self.batch, room, number))

    def expect(self, socket, number):
        """Note that a message for one client alone has its place here."""
        self.settle()
        socket.expected.append((self.batch, None, number))
        self.batch += 1

    def message(self, size):
        self.number += 1
        text = f"{self.number} {'x' * size}"
        self.costs[self.number] = cost(encode(text))
        return self.number, text

    async def speak(self, place, script):
        for deed, slot, room, size in script:
            if deed in ("join", "leave_and_join", "say"):  # of a connection of this event loop
                mine = [s for s, home in enumerate(HOMES) if self.places[home] is place]
                slot = slot if slot in mine else mine[slot % len(mine)]
            self.settle()
            await getattr(self, deed)(place, slot, self.rooms[room], size)

    async def join(self, place, slot, room, size):
        socket = self.here.get(slot)
        if socket is None or socket.line.ended:
            socket = self.here[slot] = FakeSocket(ModelLine, place=place)
            socket.expected = []
            self.sockets.append(socket)
        room.join(socket)
        self.inside[room].setdefault(socket, [len(socket.expected)])

    async def leave(self, place, slot, room, size):
        if slot in self.here:
            room.leave(self.here[slot])
            self.inside[room].pop(self.here[slot], None)

    async def leave_and_join(self, *where):
        await self.leave(*where)
        await self.join(*where)

    async def publish(self, place, slot, room, size):
        number, text = self.message(size)
        self.waiting[room].append(number)
        self.unnoticed.discard(room)
        try:
            await room.publish(text)
        except WebSocketDisconnect:  # the handler of one that has ended is told, once it is let in
            ended = any(socket.line.ended for socket in self.sockets)
            place.note(ended, "told of an end that has not come")
        self.settle()
        place.note(number not in self.waiting[room], f"{number} was let in before its turn")

    async def send(self, place, slot, room, size):
        socket = self.here.get(slot)
        if socket not in self.inside[room]:
            return
        number, text = self.message(size)
        home, stay, full = socket.line.place, self.inside[room][socket], []

        def held():
            self.settle()
            if self.inside[room].get(socket) is stay:
                waiting = self.waits_for(socket, room)
                full.append(waiting > 0 and waiting + self.costs[number] > LIMIT)
            self.expect(socket, number)

        if home is place:
            held()
        elif not home.closed:
            home.loop.call_soon_threadsafe(held)  # just before the room comes to it
        task = asyncio.current_task()
        self.senders.add(task)
        try:
            await room.send(text, socket)
        except WebSocketDisconnect:
            place.note(socket.line.ended or home.closed, "told of an end that has not come")
        except LookupError:
            place.note(home.closed, "told that a member is none")
        else:
            done = socket.line.ended or number in socket.line.heard
            place.note(done or full != [True], f"{number} was sent beyond the limit")
        finally:
            self.senders.discard(task)

    def waits_for(self, socket, room):
        """Return what is held for a member, as a room counts it."""
        (since,) = self.inside[room][socket]
        return sum(
            self.costs[number]
            for place, (_, where, number) in enumerate(socket.expected)
            if number not in socket.line.heard
            and (where is None or (where is room and place >= since))
        )

    async def say(self, place, slot, room, size):
        socket = self.here.get(slot)
        if socket is None:
            return
        number, text = self.message(size)
        self.expect(socket, number)
        entry = socket.expected[-1]
        try:
            await socket.line.say(encode(text))
        except EndedError:
            place.note(socket.line.ended, "told of an end that has not come")
        except asyncio.CancelledError:
            if number not in socket.line.heard:
                socket.expected.remove(entry)
            raise
        else:
            place.note(number in socket.line.heard, f"{number} was said, and is not written")

    # What the model does.

    def run(self, home, *steps, turns=1):
        """Have `steps` done in an event loop, all in one turn, and let it turn on."""
        place = self.places[home]
        self.now += 0.004  # who publishes gives way now and then

        async def act():
            for step in steps:
                step(place)
            await place.turn(turns)

        place.run(act())

    def start(self, script):
        def step(place):
            self.tasks.append((place, place.loop.create_task(self.speak(place, script))))

        return step

    def cancel(self, tasks):
        def step(place):
            self.settle()
            before = {room: waiters(room) for room in self.rooms}
            for task in tasks:
                task.cancel()
            for room, waiting in before.items():
                stay = [not waiter.cancelled() for waiter in waiting]
                self.waiting[room] = deque(compress(self.waiting[room], stay))

        return step

    def all_join(self, home):
        """Have the connections of an event loop join the first room, and one of them both."""
        joins = [("join", slot, 0, 1) for slot, at in enumerate(HOMES) if at == home]
        self.run(home, *[self.start([join]) for join in joins], self.start([("join", 0, 1, 1)]))

    def line_at(self, slot):
        socket = self.here.get(slot)
        return socket.line if socket is not None and not socket.line.ended else None

    @rule(home=homes, script=scripts, turns=turns)
    def begin(self, home, script, turns):
        """Have a task do several things, one after the other, as soon as it can."""
        self.run(home, self.start(script), turns=1 + turns)

    @precondition(lambda self: self.undone())
    @rule(which=st.integers(0, 5))
    def cancel_one(self, which):
        undone = self.undone()
        place, task = undone[which % len(undone)]
        self.run(self.places.index(place), self.cancel([task]))

    def undone(self):
        """Return the tasks that may go on still, each with its event loop."""
        return [(place, task) for place, task in self.tasks if not (place.closed or task.done())]

    @rule(slot=slots, way=ways, count=st.integers(0, 3), turns=turns)
    def arrange(self, slot, way, count, turns):
        """Have a line take `count` more writes and then be full, fail or end; or take all."""
        if (line := self.line_at(slot)) is not None:

            def step(place):
                if way == "drain":
                    line.drain()
                    return
                line.full_after, line.then = len(line.writes) + count, way
                if count:
                    line.take()
                else:
                    getattr(line, "abort" if way == "fail" else way)()

            self.run(HOMES[slot], step, turns=turns)

    @rule(slot=slots, words=words, rest=st.booleans(), way=ways, count=st.integers(0, 2))
    def stall(self, slot, words, rest, way, count):
        """Have a line be full while much is said to its client, and then go on or end."""
        self.arrange(slot=slot, way="fill", count=0, turns=0)
        steps = [self.start([(deed, slot, room, size)]) for deed, room, size in words]
        self.run(HOMES[slot], *steps, turns=1)
        if rest:
            self.rest()
        self.arrange(slot=slot, way=way, count=count, turns=0)

    @rule(slot=slots, first=words, then=words, home=homes, turns=st.integers(1, 2))
    def cut_in(self, slot, first, then, home, turns):
        """Have more to write than a turn takes, and something happen in the midst of it."""
        flood = [("publish", 0, 0, 200)] * 4
        self.run(0, self.start(flood), turns=1)
        self.run(HOMES[slot], turns=turns)
        for words, at in ((first, HOMES[slot]), (then, home)):
            script = [(deed, slot, room, min(size, 200)) for deed, room, size in words]
            self.run(at, *[self.start([each]) for each in script], turns=0)

    @rule(home=homes, turns=st.integers(1, 6))
    def let_turn(self, home, turns):
        self.run(home, turns=turns)

    @rule(what=seldom, home=st.integers(1, 2))
    def now_and_then(self, what, home):
        if what == "close":
            self.close(home)
        elif what == "asyncio.run":
            self.close(home, tidy=True)
        elif what == "rest":
            self.rest()
        else:
            self.pass_time()

    def close(self, home, tidy=False):
        """Close an event loop, as `asyncio.run` does or without notice, and open another."""
        place = self.places[home]
        mine = [task for where, task in self.undone() if where is place]
        # A task that sends counts as waiting until it is told, which it never is.
        doomed = [task for task in mine if tidy or task in self.senders]
        if doomed:
            self.run(home, self.cancel(doomed), turns=3)
        self.settle()
        place.close()
        self.unnoticed.update(self.rooms)
        for slot, at in enumerate(HOMES):
            if at == home and slot in self.here:
                gone = self.here.pop(slot)
                for inside in self.inside.values():
                    inside.pop(gone, None)
        self.places[home] = ModelPlace(lambda: self.now)
        self.all_places.append(self.places[home])
        self.all_join(home)

    def pass_time(self):
        self.now += PATIENCE / 8
        for socket in self.sockets:
            socket.line.taken += 1_000_000  # nobody is too slow here
        for home in range(len(self.places)):
            self.run(home, turns=2)

    def rest(self):
        """Let all turn until nothing happens any more, and see that no more is held than due."""
        still = 0
        for _ in range(200):
            before = self.written()
            for home in range(len(self.places)):
                self.run(home, turns=3)
            still = still + 1 if self.written() == before else 0
            if still == 3:
                break
        assert still == 3
        self.settle()
        for room in self.rooms:
            if room not in self.unnoticed:
                assert room.stats.waiting_bytes == self.due(room)
                inside = [socket for socket in self.inside[room] if not socket.line.ended]
                assert set(room.members) == set(inside)

    def written(self):
        return sum(len(socket.line.writes) for socket in self.sockets)

    def due(self, room):
        """Return the size of the log from the first message on that somebody has yet to hear."""
        missing = {
            number
            for socket in self.sockets
            if not (socket.line.ended or socket.line.place.closed)
            for _, where, number in socket.expected
            if where is room and number not in socket.line.heard
        }
        log = self.logs[room]
        first = next((at for at, number in enumerate(log) if number in missing), len(log))
        return sum(self.costs[number] for number in log[first:])

    @invariant()
    def nothing_went_wrong(self):
        for place in self.all_places:
            assert place.errors == []
        for _, task in self.tasks:
            assert not task.done() or task.cancelled() or task.exception() is None

    @invariant()
    def the_bound_holds_and_nobody_waits_for_nothing(self):
        self.settle()
        for room, waiting in self.waiting.items():
            held = room.stats.waiting_bytes
            assert held <= LIMIT or held in self.costs.values()
            if waiting and room not in self.unnoticed:
                assert held > 0
                assert held + self.costs[waiting[0]] > LIMIT

    def teardown(self):
        try:
            self.nothing_went_wrong()
            self.finish()
        finally:
            for place in self.all_places:
                if not place.closed:
                    place.close()
            self.patch.undo()

    def finish(self):
        """See that all is written once all lines take more, and that nobody waits any more."""
        self.run(0, self.start([("publish", 0, 0, 1), ("publish", 0, 1, 1)]))
        for _ in range(3):
            for slot in list(self.here):
                self.arrange(slot=slot, way="drain", count=0, turns=1)
            self.pass_time()
        for _ in range(10):
            self.rest()
            if not self.undone():
                break
        self.rest()
        self.nothing_went_wrong()
        assert self.undone() == []
        for room in self.rooms:
            stats = room.stats
            assert (stats.waiting, stats.waiting_bytes, stats.behind) == (0, 0, 0)
            assert stats.evicted == {}
        for socket in self.sockets:
            ended = socket.line.ended or socket.line.place.closed
            assert fault_in(list(socket.line.heard), socket.expected, ended) is None


def fault_in(heard, expected, ended):
    """Return what is wrong with what a client heard, or None.

    What two rooms let in between two looks of the model may come in any order, and each room's in
    its own. Who has ended has heard the beginning.
    """
    heard = deque(heard)
    for _, batch in groupby(expected, key=lambda entry: entry[0]):
        by_room = {}
        for _, room, number in batch:
            by_room.setdefault(room, deque()).append(number)
        while any(by_room.values()):
            if not heard:
                return None if ended else f"{by_room.values()} not heard"
            source = next((s for s in by_room.values() if s and s[0] == heard[0]), None)
            if source is None:
                return f"heard {list(heard)}, where {list(by_room.values())} were due"
            source.popleft()
            heard.popleft()
    return f"heard {heard} beyond what was due" if heard else None


# Without shrinking: an example that fails is told as it is, soon, and can be shrunk as said above.
EXAMPLES = int(os.environ.get("MODEL_EXAMPLES", "0"))
Rooms.TestCase.settings = settings(
    max_examples=EXAMPLES or 200,
    stateful_step_count=50,
    phases=[Phase.generate, Phase.shrink] if EXAMPLES else [Phase.generate],
    derandomize=not EXAMPLES,
    database=None,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestRooms = Rooms.TestCase
