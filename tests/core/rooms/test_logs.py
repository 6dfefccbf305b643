"""What the finished rooms log about a room has its name, for programs that read it."""

from guests import play

from chatlib.stores.memory import MemoryStore
from chatlib.stores.store import NotKept


class Faulty(MemoryStore):
    """A store that can do nothing from some time on."""

    broken = False

    async def append(self, room, key, body):
        if self.broken:
            raise NotKept("the disk is full")
        return await super().append(room, key, body)

    async def read(self, room, **options):
        if self.broken:
            raise OSError("cannot read")
        return await super().read(room, **options)


def about(records, text):
    """Return the room and the connection of each record that has `text`."""
    return [
        (record.room, getattr(record, "connection", None))
        for record in records
        if text in record.getMessage()
    ]


def test_what_is_not_kept_has_its_room(logged):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        house.hub.store.broken = True
        await ana.said("hello")
        await house.post("/rooms/garden/messages", {"text": "hello"}, "ben")

    play(scenario, Faulty())
    assert about(logged, "not kept") == [("lobby", None), ("garden", None)]


def test_who_cannot_be_let_in_has_a_number_and_the_room_that_it_asked_for(logged):
    async def scenario(house):
        house.hub.store.broken = True
        for room in ("lobby?after=1.00000000", "@me?after=1.00000000"):
            assert (await house.refusal(room, "ana"))[0] == 1011

    play(scenario, Faulty())
    (lobby, first), (inbox, second) = about(logged, "the store cannot be used: ")
    assert (lobby, inbox) == ("lobby", "@ana")
    assert second > first > 0


def test_a_room_that_cannot_be_read_over_http_is_named(logged):
    async def scenario(house):
        house.hub.store.broken = True
        assert (await house.get("/rooms/lobby/messages", "ana")).status_code == 503

    play(scenario, Faulty())
    assert about(logged, "the store cannot be used: ") == [("lobby", None)]
