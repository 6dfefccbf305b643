"""A log is a list: a store tried against one, with steps that Hypothesis chooses."""

import asyncio
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from chatlib.stores.retention import Retention
from chatlib.stores.store import START, Cursor, Entry, Store, next_tag

KEPT = 4
ROOMS = st.sampled_from(["a", "b"])
KEYS = st.integers(0, 9).map(str)
T = TypeVar("T")


def expect_a_list(make: Callable[..., Store]) -> None:
    """Raise `AssertionError` where the store that `make` returns differs from a list."""
    with asyncio.Runner() as runner:
        store = make(Retention(messages=KEPT))
        runner.run(store.open())
        try:
            numbers = count()

            class Example(Model):
                """With rooms of its own, in one store."""

                def __init__(self) -> None:
                    super().__init__(store, f"{next(numbers)} ", runner.run)

            run_state_machine_as_test(
                Example,
                settings=settings(
                    max_examples=40,
                    stateful_step_count=30,
                    deadline=None,
                    database=None,
                    derandomize=True,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(store.close())


class Model(RuleBasedStateMachine):
    """Some rooms of a store, and for each a list of all messages that it ever had."""

    def __init__(self, store: Store, prefix: str, run: Callable[[Any], Any]) -> None:
        super().__init__()
        self.store = store
        self.prefix = prefix
        self.run = run
        self.lists: dict[str, list[Entry]] = {"a": [], "b": []}

    def wait(self, result: Awaitable[T]) -> T:
        """Return what `result` comes to."""
        found: T = self.run(result)
        return found

    def kept(self, room: str) -> list[Entry]:
        """Return the messages that the room keeps."""
        return self.lists[room][-KEPT:]

    def place(self, room: str, number: int) -> Cursor:
        """Return the cursor at message `number`."""
        if number == 0:
            return START
        entry = self.lists[room][number - 1]
        return Cursor(entry.id, entry.tag)

    @rule(room=ROOMS, key=KEYS, body=st.binary(max_size=5))
    def append(self, room: str, key: str, body: bytes) -> None:
        entries = self.lists[room]
        receipt = self.wait(self.store.append(self.prefix + room, key, body))
        same = [entry for entry in self.kept(room) if entry.key == key]
        if same:
            assert receipt == (same[0].id, same[0].tag, True)
            return
        assert (receipt.id, receipt.again) == (len(entries) + 1, False)
        if entries:
            assert receipt.tag == next_tag(entries[-1].tag, body)
        entries.append(Entry(receipt.id, receipt.tag, key, body))

    @rule(room=ROOMS, data=st.data(), limit=st.integers(1, 5))
    def read_after(self, room: str, data: st.DataObject, limit: int) -> None:
        entries, kept = self.lists[room], self.kept(room)
        number = data.draw(st.integers(0, len(entries)), "after")
        page = self.wait(
            self.store.read(self.prefix + room, after=self.place(room, number), limit=limit)
        )
        first = kept[0].id if kept else 1
        assert (page.first, page.head) == (first, self.place(room, len(entries)))
        if number < first - 1:
            assert (page.history, page.entries) == ("trimmed", kept[:limit])
        else:
            assert (page.history, page.entries) == ("complete", entries[number:][:limit])

    @rule(room=ROOMS, before=st.integers(1, 20), limit=st.integers(1, 5))
    def read_before(self, room: str, before: int, limit: int) -> None:
        page = self.wait(self.store.read(self.prefix + room, before=before, limit=limit))
        expected = [entry for entry in self.kept(room) if entry.id < before][-limit:]
        assert (page.history, page.entries) == ("new", expected)

    @rule(room=ROOMS, data=st.data())
    def read_after_what_never_was(self, room: str, data: st.DataObject) -> None:
        kept = self.kept(room)
        first = kept[0].id if kept else 1
        number = data.draw(st.integers(first - 1, len(self.lists[room]) + 2), "after")
        wrong = Cursor(number, "fffffffg")  # a tag that no message has
        page = self.wait(self.store.read(self.prefix + room, after=wrong, limit=2))
        assert (page.history, page.entries) == ("diverged", kept[-2:])

    @rule()
    def heads(self) -> None:
        names = {self.prefix + room: room for room in self.lists}
        found = self.wait(self.store.heads(names))
        assert found == {
            name: self.place(room, len(self.lists[room])) for name, room in names.items()
        }
