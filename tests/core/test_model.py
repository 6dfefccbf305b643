"""What each member of a room must hear, by a model: rooms, event loops and lines, all by chance.

The event loops turn one at a time, when the model says so, and so an example goes the same way
each time. What threads do to each other at the very same moment is not seen here.

To look further, at other examples each time, and to have one that fails shrunk:

    MODEL_EXAMPLES=5000 pytest tests/core/test_model.py
"""

import asyncio
from collections import deque
from types import SimpleNamespace

import pytest
from fastapi import WebSocketDisconnect
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule
from lines import FakeLine, FakeSocket, Place

from chatlib import Room
from chatlib.core import group, line, turn
from chatlib.core.frames import decode, encode
from chatlib.core.line import EndedError
from chatlib.core.ring import cost

LIMIT = 3000
CHUNK, STEP, WRITE, TURN = 300, 400, 50, 1500
PATIENCE = 1000.0  # of which an eighth passes at a time
GUARD_SECONDS = 10.0
HOMES = [0, 0, 0, 1, 1, 2, 2]  # in which event loop each connection lives

slots, places = st.integers(0, 6), st.sampled_from([0, 0, 1, 2])
sizes = st.sampled_from([1, 1, 50, 200, 200, 700, 1400, 2500, 2 * LIMIT])
deeds = st.sampled_from(
    ["join"] * 3 + ["leave"] + ["leave_and_join"] + ["publish"] * 5 + ["send"] * 2 + ["say"]
)
scripts = st.lists(st.tuples(deeds, slots, st.integers(0, 1), sizes), min_size=1, max_size=5)


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
        if not self.fed:  # one line may be written all that it takes
            self.place.written.append(len(frames))
        super().write(frames)

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

    async def turn(self, count=1):
        """Let the loop turn. The rooms write a part of what they have to in each turn."""
        for _ in range(count):
            self.written.clear()
            await asyncio.sleep(0)
            beyond = sum(self.written) - max(self.written, default=0) - TURN - STEP
            self.note(beyond <= 0, f"{self.written} was written in one turn")


class Rooms(RuleBasedStateMachine):
    """Connections come and go, take more or less, and end, while tasks say all sorts of things."""

    def __init__(self):
        super().__init__()
        self.now, self.number, self.batch = 0.0, 0, 0
        self.patch = pytest.MonkeyPatch()
        clock = SimpleNamespace(monotonic=lambda: self.now)
        for module, name, value in [
            *((group, "CHUNK", CHUNK), (group, "WRITE_BYTES", WRITE), (group, "STEP_BYTES", STEP)),
            *((turn, "TURN_BYTES", TURN), (turn, "WRITE_BYTES", WRITE), (turn, "time", clock)),
            (line, "CHUNK", CHUNK),
        ]:
            self.patch.setattr(module, name, value)
        self.rooms = [Room(limit=LIMIT, patience=PATIENCE, hold=float("inf")) for _ in range(2)]
        self.queues = {room: deque() for room in self.rooms}  # of those who called and wait
        self.logs = {room: [] for room in self.rooms}
        self.inside = {room: {} for room in self.rooms}
        self.unnoticed = dict.fromkeys(self.rooms, False)  # whether a loop was closed
        self.costs, self.sockets, self.here, self.tasks = {}, [], {}, []
        self.places = [ModelPlace(lambda: self.now) for _ in range(3)]
        self.all_places = list(self.places)
        self.run(0, self.speak(self.places[0], [("join", slot, 0, 1) for slot in range(3)]))

    # What the tasks do. Between two `await` nothing else happens, so the model knows the order.

    def settle(self):
        """Take note of what the rooms have let in since the last time."""
        self.batch += 1
        for room, waiting in self.queues.items():
            # Who is cancelled waits no more, even where nobody has told the ring yet.
            count = sum(not waiter.cancelled() for _, waiter in room._ring._queue)
            while len(waiting) > count:
                number = waiting.popleft()
                self.logs[room].append(number)
                for socket in self.inside[room]:
                    socket.expected.append((self.batch, room, number))

    def message(self, size):
        self.number += 1
        text = f"{self.number} {'x' * size}"
        self.costs[self.number] = cost(encode(text))
        return self.number, text

    async def speak(self, place, script):
        for deed, slot, room, size in script:
            mine = [s for s, home in enumerate(HOMES) if self.places[home] is place]
            if deed in ("join", "leave_and_join", "say"):
                slot = mine[slot % len(mine)]
            self.settle()
            await getattr(self, deed)(place, slot, self.rooms[room], size)

    async def join(self, place, slot, room, size):
        socket = self.here.get(slot)
        if socket is None or socket.line.ended:
            socket = self.here[slot] = FakeSocket(ModelLine, place=place)
            socket.expected, socket.since = [], {}
            self.sockets.append(socket)
        room.join(socket)
        if socket not in self.inside[room]:
            self.inside[room][socket] = None
            socket.since[room] = len(socket.expected)

    async def leave(self, place, slot, room, size):
        if slot in self.here:
            room.leave(self.here[slot])
            self.inside[room].pop(self.here[slot], None)

    async def leave_and_join(self, *where):
        await self.leave(*where)
        await self.join(*where)

    async def publish(self, place, slot, room, size):
        number, text = self.message(size)
        self.queues[room].append(number)
        self.unnoticed[room] = False
        await room.publish(text)
        self.settle()
        place.note(number not in self.queues[room], f"{number} was let in before its turn")

    async def send(self, place, slot, room, size):
        socket = self.here.get(slot)
        if socket not in self.inside[room]:
            return
        number, text = self.message(size)
        home, full = socket.line.place, []

        def hold():
            self.settle()
            waiting = self.waits_for(socket, room)
            full.append(waiting > 0 and waiting + self.costs[number] > LIMIT)
            socket.expected.append((self.batch, None, number))
            self.batch += 1

        if home is place:
            hold()
        elif not home.closed:
            home.loop.call_soon_threadsafe(hold)
        try:
            await room.send(text, socket)
        except (WebSocketDisconnect, LookupError) as error:
            left = isinstance(error, LookupError) and not home.closed
            place.note((socket.line.ended or home.closed) and not left, repr(error))
        else:
            early = full == [True] and number not in socket.line.heard
            place.note(not early or socket.line.ended, f"{number} was sent beyond the limit")

    def waits_for(self, socket, room):
        """Return what is held for a member, as a room counts it."""
        heard = socket.line.heard
        return sum(
            self.costs[number]
            for place, (_, where, number) in enumerate(socket.expected)
            if number not in heard
            and (where is None or (where is room and place >= socket.since[room]))
        )

    async def say(self, place, slot, room, size):
        socket = self.here.get(slot)
        if socket is None:
            return
        number, text = self.message(size)
        entry = (self.batch, None, number)
        socket.expected.append(entry)
        self.batch += 1
        try:
            await socket.line.say(encode(text))
        except EndedError:
            place.note(socket.line.ended, "told of an end that has not come")
        except asyncio.CancelledError:
            if number not in socket.line.heard:
                socket.expected.remove(entry)
            raise
        else:
            place.note(number in socket.line.heard, f"{number} is not written, and said to be")

    # Rules.

    def run(self, home, *steps, turns=1):
        place = self.places[home]

        async def act():
            for step in steps:
                await step
            await place.turn(turns)

        place.run(act())

    async def start(self, place, script):
        self.tasks.append((place, place.loop.create_task(self.speak(place, script))))

    async def cancel_all(self, doomed):
        self.settle()
        for place, task in doomed:
            before = {id(w) for room in self.rooms for _, w in room._ring._queue if w.cancelled()}
            del before
            task.cancel()
        self.forget_cancelled()

    @rule(home=places, script=scripts, turns=st.integers(0, 2))
    def begin(self, home, script, turns):
        """Have a task say and do several things, one after the other, as soon as it can."""
        self.run(home, self.start(self.places[home], script), turns=1 + turns)
