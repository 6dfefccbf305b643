"""The rooms keep their contract: `chatlib.rooms.1` on a real uvicorn, in memory and in a file."""

import asyncio
import json
import random

import pytest
from guests import SECRET, SUBPROTOCOL, TOKENS, open_house, play
from websockets.exceptions import ConnectionClosed, InvalidStatus

from chatlib.core.rooms.identity import Tokens
from chatlib.core.rooms.protocol import DOWN
from chatlib.core.rooms.spec import kind_of
from chatlib.core.rooms.talk import Limits
from chatlib.rooms import create_app
from chatlib.stores.memory import MemoryStore
from chatlib.stores.retention import Retention

SERVERS = {"ready frames": {}, "uvicorn's own protocol": {"ws": "websockets-sansio"}}


@pytest.fixture(params=SERVERS)
def server(request):
    """The options of uvicorn."""
    return SERVERS[request.param]


# What a client is told.


def test_a_newcomer_is_welcomed_with_all_that_the_protocol_says(store, server):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        assert ana.connection.subprotocol == SUBPROTOCOL
        people, count = ana.welcome.pop("people"), ana.welcome.pop("count")
        assert (people, count) in [([], 0), (["ana"], 1)]
        assert ana.welcome == {
            "type": "welcome",
            "room": "lobby",
            "you": "ana",
            "history": "new",
            "after": "0.00000000",
            "head": 0,
            "beat": 25.0,
            "retry": 4000,
            "max": {"text": 4000, "frame": 16384},
        }

    play(scenario, store, server=server)


def test_what_one_says_all_hear_in_one_order_and_the_sender_too(store, server):
    async def scenario(house):
        ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        for number in range(10):
            await ana.say(f"a{number}")
            await ben.say(f"b{number}")
        heard, also = await ana.messages(20), await ben.messages(20)
        assert heard == also
        assert [message["id"] for message in heard] == [*range(1, 21)]
        first = next(message for message in heard if message["from"] == "ana")
        assert first | {"id": 0, "tag": "", "at": 0} == {
            "type": "message",
            "room": "lobby",
            "id": 0,
            "tag": "",
            "key": "m1",
            "from": "ana",
            "text": "a0",
            "at": 0,
        }

    play(scenario, store, server=server)


def test_an_acknowledgement_says_where_the_message_is_kept(store):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        ack = await ana.said("hello", "k1")
        (message,) = await ana.messages(1)
        assert ack == {
            "type": "ack",
            "room": "lobby",
            "key": "k1",
            "id": message["id"],
            "tag": message["tag"],
            "again": False,
        }

    play(scenario, store)


def test_the_same_key_again_says_it_once(store):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        first = await ana.said("hello", "k1")
        again = await ana.said("something else", "k1")
        assert again == first | {"again": True}
        posted = await house.post("/rooms/lobby/messages", {"text": "hello", "key": "k1"}, "ana")
        assert (posted.status_code, posted.json()["id"]) == (200, first["id"])
        await ana.said("last")
        assert await ana.texts(2) == ["hello", "last"]

    play(scenario, store)


def test_two_people_may_use_the_same_key(store):
    async def scenario(house):
        ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        assert not (await ana.said("from ana", "k1"))["again"]
        assert not (await ben.said("from ben", "k1"))["again"]
        assert await ana.texts(2) == ["from ana", "from ben"]

    play(scenario, store)


def test_a_key_in_one_room_is_another_one_in_the_next(store):
    async def scenario(house):
        lobby, garden = await house.join("lobby", "ana"), await house.join("garden", "ana")
        assert not (await lobby.said("in the lobby", "k1"))["again"]
        assert not (await garden.said("in the garden", "k1"))["again"]

    play(scenario, store)


@pytest.mark.parametrize("text", ["\0", "<b>&amp;", "\u202eabc", "😀" * 4000, " ", '"\\\n', "\x7f"])
def test_a_text_comes_as_it_was_sent(text, store):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        await ana.said(text)
        assert await ana.texts(1) == [text]
        came = await house.get("/rooms/lobby/messages", "ana")
        assert came.json()["messages"][0]["text"] == text

    play(scenario, store)


@pytest.mark.parametrize(
    ("frame", "code", "key"),
    [
        ("{", "bad_json", None),
        ("[" * 8000, "bad_json", None),
        ({"type": "shout"}, "bad_message", None),
        ({"type": "say", "key": "k1", "text": ""}, "bad_message", "k1"),
        ({"type": "say", "key": "k1", "text": "x" * 4001}, "too_long", "k1"),
        ({"type": "say", "key": "k1", "text": "x", "to": "zoe"}, "nobody", "k1"),
    ],
)
def test_what_is_wrong_is_told_and_the_connection_lives(frame, code, key):
    async def scenario(house):
        ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        error = await ana.refused(frame)
        assert (error["code"], error["retry"], error["room"]) == (code, False, "lobby")
        assert error.get("key") == key
        assert error["text"]
        assert ("expected" in error) == (code != "nobody")
        await ana.said("still here")
        assert await ben.texts(1) == ["still here"]
        assert [frame["type"] for frame in ben.seen if frame["type"] == "error"] == []

    play(scenario)


def test_people_are_told_as_they_come_and_leave(store, server):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        await ana.sees("ana")
        ben = await house.join("lobby", "ben")
        again = await house.join("lobby", "ben")
        await ana.sees("ana", "ben")
        await ben.sees("ana", "ben")
        await ben.leave()
        await again.leave()
        await ana.sees("ana")

    play(scenario, store, server=server)


def test_who_says_something_and_leaves_at_once_is_heard_and_is_gone(server, monkeypatch):
    monkeypatch.setattr("chatlib.core.hub.attendance.STAYS_SECONDS", 600)  # of a lost one

    async def scenario(house):
        ben = await house.join("lobby", "ben")
        ana = await house.join("lobby", "ana")
        await ben.sees("ana", "ben")
        for number in range(5):
            await ana.say(f"{number}")
        await ana.connection.close(1000)
        assert await ben.texts(5) == ["0", "1", "2", "3", "4"]
        await ben.sees("ben")

    play(scenario, server=server)


def test_a_binary_message_of_a_client_that_has_gone_harms_nobody(server):
    async def scenario(house):
        ben, ana = await house.join("lobby", "ben"), await house.join("lobby", "ana")
        await ana.say("last")
        await ana.send(b"\0")
        await ana.say("too late")
        await ana.connection.close(1000)
        assert await ben.texts(1) == ["last"]
        assert not [line for line in house.server.log if line.level == "ERROR"]

    play(scenario, server=server)


def test_a_lost_connection_is_present_for_a_while_since_it_may_come_back(monkeypatch):
    monkeypatch.setattr("chatlib.core.hub.attendance.STAYS_SECONDS", 0.5)

    async def scenario(house):
        ben, ana = await house.join("lobby", "ben"), await house.join("lobby", "ana")
        await ben.sees("ana", "ben")
        ana.connection.transport.abort()
        back = await house.join("lobby", "ana")
        await house.until(lambda: house.hub._attendance._leaving)
        await house.until(lambda: not house.hub._attendance._leaving)
        await back.leave()
        await ben.sees("ben")
        told = [frame for frame in ben.seen if frame["type"] == "people"]
        assert [frame["joined"] for frame in told if "ana" in frame["joined"]] == [["ana"]]
        assert [frame["left"] for frame in told if frame["left"]] == [["ana"]]

    play(scenario)


def test_typing_is_told_once_a_second_and_is_not_kept():
    async def scenario(house):
        ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        for _ in range(5):
            await ana.send({"type": "typing"})
        await ana.said("done")
        await ben.next("message")
        typing = [frame for frame in ben.seen if frame["type"] == "typing"]
        assert typing == [{"type": "typing", "room": "lobby", "from": "ana"}]
        assert (await house.get("/rooms/lobby/messages", "ana")).json()["head"] == 1

    play(scenario)


def test_a_beat_comes_in_its_place_among_the_messages():
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        assert ana.welcome["beat"] == 0.1
        await ana.said("hello")
        await ana.next("beat", head=1)
        for frame in ana.seen:
            if frame["type"] == "beat":
                before = ana.seen[: ana.seen.index(frame)]
                assert frame == {"type": "beat", "room": "lobby", "head": frame["head"]}
                assert frame["head"] == sum(one["type"] == "message" for one in before)

    play(scenario, beat=0.1)


# Coming back.


def test_who_comes_back_with_a_cursor_misses_nothing_and_hears_nothing_twice(store, server):
    async def scenario(house):
        ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        for number in range(5):
            await ana.said(str(number))
        last = (await ben.messages(3))[-1]
        ben.connection.transport.abort()
        for number in range(5, 8):
            await ana.said(str(number))
        back = await house.join(f"lobby?after={last['id']}.{last['tag']}", "ben")
        assert (back.welcome["history"], back.welcome["head"]) == ("complete", 8)
        assert back.welcome["after"] == f"{last['id']}.{last['tag']}"
        assert await back.texts(5) == ["3", "4", "5", "6", "7"]
        await ana.said("live")
        assert await back.texts(1) == ["live"]

    play(scenario, store, server=server)


@pytest.mark.parametrize(("query", "number"), [("", 50), ("?last=0", 0), ("?last=7", 7)])
def test_a_newcomer_gets_the_newest_messages_as_many_as_it_asks_for(query, number, store):
    async def scenario(house):
        for n in range(60):
            await house.call(house.rooms.keep("lobby", "ana", f"k{n}", str(n), None))
        ben = await house.join(f"lobby{query}", "ben")
        assert (ben.welcome["history"], ben.welcome["head"]) == ("new", 60)
        assert ben.welcome["after"].startswith(f"{60 - number}.")
        await house.call(house.rooms.keep("lobby", "ana", "live", "live", None))
        assert await ben.texts(number + 1) == [*map(str, range(60 - number, 60)), "live"]

    play(scenario, store)


def test_the_cursor_before_the_first_message_brings_all(store):
    async def scenario(house):
        for n in range(250):
            await house.call(house.rooms.keep("lobby", "ana", f"k{n}", str(n), None))
        ben = await house.join("lobby?after=0.00000000&last=3", "ben")
        assert ben.welcome["history"] == "complete"
        assert await ben.texts(250) == [*map(str, range(250))]

    play(scenario, store)


def test_history_that_is_no_longer_kept_is_told():
    async def scenario(house):
        receipts = [
            await house.call(house.rooms.keep("lobby", "ana", f"k{n}", str(n), None))
            for n in range(10)
        ]
        place = receipts[1][1]
        ben = await house.join(f"lobby?after={place.id}.{place.tag}", "ben")
        assert ben.welcome["history"] == "trimmed"
        assert await ben.texts(4) == ["6", "7", "8", "9"]

    play(scenario, MemoryStore(Retention(messages=4)))


@pytest.mark.parametrize(
    "cursor", ["2.0123abcd", "99.0123abcd", "0.0123abcd", "999999999999999.{}"]
)
def test_a_cursor_of_another_history_is_told(cursor, store):
    async def scenario(house):
        for room in ("lobby", "garden"):
            for n in range(3):
                _, receipt = await house.call(house.rooms.keep(room, "ana", f"k{n}", str(n), None))
        after = cursor.format(receipt.tag)
        ben = await house.join(f"lobby?after={after}&last=2", "ben")
        assert ben.welcome["history"] == "diverged"
        assert await ben.texts(2) == ["1", "2"]

    play(scenario, store)


def test_a_cursor_of_another_room_is_one_of_another_history(store):
    async def scenario(house):
        for room in ("lobby", "garden"):
            for n in range(3):
                _, receipt = await house.call(house.rooms.keep(room, "ana", f"k{n}", str(n), None))
        ben = await house.join(f"lobby?after={receipt.id}.{receipt.tag}&last=0", "ben")
        assert ben.welcome["history"] == "diverged"

    play(scenario, store)


def test_a_history_that_changes_under_a_member_closes_with_4409(tmp_path):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        ack = await ana.said("hello")
        for file in tmp_path.glob("chat.db*"):
            if file.suffix != ".db-gate" and file.is_file() and "-write" not in file.name:
                file.unlink()
        assert (await ana.closed())[0] == 4409
        back = await house.join(f"lobby?after={ack['id']}.{ack['tag']}", "ana")
        assert back.welcome["history"] == "diverged"
        assert (await back.said("anew"))["id"] == 1

    play(scenario, f"sqlite:///{tmp_path}/chat.db", beat=0.1)


# To one person.


def test_what_is_said_to_one_person_is_in_both_inboxes_and_not_in_the_room(store):
    async def scenario(house):
        ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        mine, his = await house.join("@me", "ana"), await house.join("@me", "ben")
        other = await house.join("@me", "cy")
        await ben.sees("ana", "ben")
        assert his.welcome["room"] == "@ben"
        ack = await ana.said("psst", "k1", to="ben")
        assert (ack["room"], ack["again"]) == ("@ana", False)
        (got,), (copy,) = await his.messages(1), await mine.messages(1)
        assert (got["room"], got["from"], got["to"]) == ("@ben", "ana", "ben")
        assert (got["text"], got["key"]) == ("psst", "k1")
        assert copy["room"] == "@ana"
        assert (copy["id"], copy["tag"]) == (ack["id"], ack["tag"])
        await ana.said("to all")
        assert await ben.texts(1) == ["to all"]
        await mine.said("and back to cy", to="cy")
        assert await other.texts(1) == ["and back to cy"]
        assert [frame for frame in ben.seen if frame.get("to")] == []

    play(scenario, store)


def test_a_message_to_oneself_is_kept_once(store):
    async def scenario(house):
        mine = await house.join("@me", "ana")
        await mine.said("note", to="ana")
        await mine.said("another", to="ana")
        assert await mine.texts(2) == ["note", "another"]
        assert (await house.get("/rooms/@me/messages", "ana")).json()["head"] == 2

    play(scenario, store)


def test_who_is_away_and_has_an_inbox_can_be_written_to(store):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        ben = await house.join("@me", "ben")
        await ana.said("first", to="ben")
        await ben.leave()
        assert (await ana.said("second", to="ben"))["type"] == "ack"
        assert (await ana.said("x", to="zoe"))["code"] == "nobody"
        back = await house.join("@me?last=2", "ben")
        assert await back.texts(2) == ["first", "second"]

    play(scenario, store)


def test_the_app_may_say_who_is_known():
    async def known(name):
        return name == "zoe"

    async def scenario(house):
        ana, _ = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        assert (await ana.said("x", to="zoe"))["type"] == "ack"
        assert (await ana.said("x", to="ben"))["code"] == "nobody"

    play(scenario, known=known)


def test_an_inbox_is_for_messages_to_somebody():
    async def scenario(house):
        mine = await house.join("@me", "ana")
        error = await mine.said("to whom?")
        assert (error["code"], error["retry"]) == ("bad_message", False)
        assert "`to`" in error["text"]
        assert (await mine.refused({"type": "typing"}))["code"] == "not_allowed"

    play(scenario)


# Who may come in.


@pytest.mark.parametrize("path", ["lobby", "@me", "No%20Room", "lobby?after=x"])
def test_without_a_good_token_the_code_is_4401(path, server):
    async def scenario(house):
        assert await house.refusal(path) == (
            4401,
            "expected a token, and there is none: sign in first",
        )
        other = Tokens("another secret, of another server, long")
        for token in ("x", other.sign("ana", 3600), TOKENS.sign_until("ana", 1)):
            code, why = await house.refusal(path, token=token)
            assert code == 4401
            assert why

    play(scenario, server=server)


def test_a_token_may_be_in_a_cookie_or_a_subprotocol(server):
    async def scenario(house):
        token = TOKENS.sign("ana", 3600)
        by_cookie = await house.join("lobby", None, headers={"Cookie": f"session={token}"})
        offers = [SUBPROTOCOL, f"token.{token}"]
        by_offer = await house.join("lobby", None, subprotocols=offers)
        for guest in (by_cookie, by_offer):
            assert guest.welcome["you"] == "ana"
            assert guest.connection.subprotocol == SUBPROTOCOL

    play(scenario, server=server)


def test_a_client_that_offers_no_subprotocol_is_let_in():
    async def scenario(house):
        ana = await house.join("lobby", "ana", subprotocols=None)
        assert ana.connection.subprotocol is None

    play(scenario)


def test_a_token_in_the_address_is_none():
    async def scenario(house):
        token = TOKENS.sign("ana", 3600)
        assert (await house.refusal(f"lobby?token={token}&session={token}"))[0] == 4401

    play(scenario)


def test_a_token_that_expires_closes_the_connection_with_4401(server):
    async def scenario(house):
        ana = await house.join("lobby", None, token=TOKENS.sign("ana", 0.1))
        await ana.said("in time")
        code, why = await ana.closed()
        assert (code, why) == (4401, "the token has expired: sign in again")
        assert (await house.refusal("lobby", token=TOKENS.sign("ana", -1)))[0] == 4401

    play(scenario, server=server)


@pytest.mark.parametrize("expires", [2**53, 10**300])
def test_a_token_for_all_time_is_good(expires, server):
    async def scenario(house):
        ana = await house.join("lobby", None, token=TOKENS.sign_until("ana", expires))
        assert (await ana.said("hello"))["type"] == "ack"

    play(scenario, server=server)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("Lobby", "expected a room such as lobby"),
        ("@ana", "expected a room such as lobby"),
        ("a%20b", "expected a room such as lobby"),
        ("%00", "expected a room such as lobby"),
        ("%F0%9F%98%80" * 20, "expected a room such as lobby"),
        ("x" * 65, "expected a room such as lobby"),
        ("lobby?after=", "after: expected a cursor such as 17.a41f09c2"),
        ("lobby?after=1", "after: expected a cursor"),
        ("lobby?after=-1.a41f09c2", "after: expected a cursor"),
        ("lobby?after=1.A41F09C2", "after: expected a cursor"),
        ("lobby?after=%D9%A1.a41f09c2", "after: expected a cursor"),
        ("lobby?after=9999999999999999.a41f09c2", "after: expected a cursor"),
        ("lobby?last=201", "last: expected a number from 0 to 200"),
        ("lobby?last=-1", "last: expected a number"),
        ("lobby?last=", "last: expected a number"),
        ("lobby?last=%C2%B2", "last: expected a number"),
        ("lobby?last=1e2", "last: expected a number"),
    ],
)
def test_what_cannot_be_asked_for_closes_with_1008_and_the_reason(path, says):
    async def scenario(house):
        code, why = await house.refusal(path, "ana")
        assert code == 1008
        assert says in why

    play(scenario)


def test_who_may_not_be_in_a_room_gets_4403(server):
    async def allow(name, room):
        return (name, room) != ("ben", "board")

    async def scenario(house):
        await house.join("board", "ana")
        await house.join("lobby", "ben")
        await house.join("@me", "ben")
        assert await house.refusal("board", "ben") == (4403, "ben may not be in board")
        for path in ("messages", "people"):
            assert (await house.get(f"/rooms/board/{path}", "ben")).status_code == 403
        refused = await house.post("/rooms/board/messages", {"text": "x"}, "ben")
        assert (refused.status_code, refused.json()) == (
            403,
            {"detail": "ben may not be in board"},
        )

    play(scenario, allow=allow, server=server)


def test_a_page_of_another_origin_is_refused_before_it_is_accepted(server):
    async def scenario(house):
        with pytest.raises(InvalidStatus) as refused:
            await house.knock("lobby", "ana", origin="https://evil.example")
        assert refused.value.response.status_code == 403
        await house.join("lobby", "ana", origin="https://good.example")
        await house.join("lobby", "ana", origin=house.server.http_url("").rstrip("/"))

    play(scenario, origins=["https://good.example"], server=server)


# How much.


def test_too_many_messages_are_put_off_and_kept_when_they_come_again_in_time():
    async def scenario(house):
        ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        keys = [await ana.say(str(number)) for number in range(6)]
        answers = [await ana.answer(key) for key in keys]
        assert [answer["type"] for answer in answers[:4]] == ["ack"] * 4
        late = next(answer for answer in answers if answer["type"] == "error")
        assert (late["code"], late["retry"]) == ("slow_down", True)
        assert 0 < late["wait"] <= 0.25
        assert late["text"] == "at most 4 messages in 1 seconds"
        await asyncio.sleep(late["wait"])  # as the client is told to
        text = str(keys.index(late["key"]))
        again = await ana.said(text, late["key"])
        assert (again["type"], again["again"]) == ("ack", False)
        heard = await ben.texts(5)
        assert heard.count(text) == 1

    play(scenario, limits=Limits(messages=4, seconds=1))


def test_a_flood_closes_with_1013_and_nobody_else_notices(server):
    async def scenario(house):
        ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        for frame in ("{", {"type": "typing"}, {"type": "say", "key": "k", "text": "x"}) * 10:
            await ana.send(frame)
        assert await ana.closed() == (1013, "too many messages: wait, then come back")
        assert (await ben.said("still here"))["type"] == "ack"
        back = await house.join("lobby", "ana")
        assert (await back.said("and back"))["type"] == "ack"

    play(scenario, limits=Limits(messages=4, seconds=10), server=server)


def test_a_frame_that_is_too_big_closes_with_1009(server):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        frame = json.dumps({"type": "say", "key": "k1", "text": "x"})
        await ana.send(frame + " " * (16 * 1024 - len(frame)))
        assert (await ana.answer("k1"))["type"] == "ack"
        await ana.send(frame + " " * (16 * 1024 + 1 - len(frame)))
        assert (await ana.closed())[0] == 1009

    play(scenario, server=server)


def test_a_binary_frame_closes_with_1003(server):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        await ana.send(b"\0")
        assert (await ana.closed())[0] == 1003

    play(scenario, server=server)


def test_text_that_is_not_utf8_closes_with_1007(server):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        await ana.connection.send(b"\xff", text=True)
        assert (await ana.closed())[0] == 1007

    play(scenario, server=server)


def test_a_name_may_have_so_many_connections_and_no_more():
    async def scenario(house):
        first, _ = await house.join("lobby", "ana"), await house.join("@me", "ana")
        why = "too many connections of ana, at most 2"
        assert await house.refusal("garden", "ana") == (1013, why)
        await house.join("lobby", "ben")
        await first.leave()
        await house.until(lambda: house.health()["members"] == 2)
        await house.join("garden", "ana")

    play(scenario, limits=Limits(connections_per_name=2))


def test_a_worker_may_have_so_many_connections_and_no_more():
    async def scenario(house):
        first, _ = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        assert await house.refusal("lobby", "cy") == (1013, "too many connections, at most 2")
        await first.leave()
        await house.until(lambda: house.health()["members"] == 1)
        await house.join("lobby", "cy")

    play(scenario, limits=Limits(connections=2))


def test_connections_that_were_refused_are_counted_no_more():
    async def scenario(house):
        for number in range(10):
            await house.refusal("Lobby", "ana")
            await house.refusal("lobby")
            await house.refusal("lobby?last=x", f"name {number}")
        assert house.health()["members"] == 0
        await house.join("lobby", "ana")

    play(scenario, limits=Limits(connections=1, connections_per_name=1))


# Several workers.


@pytest.mark.parametrize("store", ["sqlite", "redis"], indirect=True)
def test_two_workers_on_one_store_are_one(store, server):
    async def scenario(here, there):
        ana, ben = await here.join("lobby", "ana"), await there.join("lobby", "ben")
        his = await there.join("@me", "ben")
        await ana.sees("ana", "ben")
        await ben.sees("ana", "ben")
        await ana.said("from here")
        await ben.said("from there")
        heard = await ana.messages(2)
        assert heard == await ben.messages(2)
        await ana.said("psst", to="ben")
        assert await his.texts(1) == ["psst"]
        await ana.send({"type": "typing"})
        assert (await ben.next("typing"))["from"] == "ana"
        assert (await there.get("/rooms/lobby/people", "ana")).json()["people"] == ["ana", "ben"]
        cursor = f"{heard[0]['id']}.{heard[0]['tag']}"
        moved = await there.join(f"lobby?after={cursor}", "ana")
        assert moved.welcome["history"] == "complete"
        assert (await moved.said("again", heard[0]["key"]))["again"]

    play(scenario, store, store, server=server)


# The end.


def test_a_server_that_stops_says_1012_and_what_was_acknowledged_is_kept(store, server):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        await ana.said("kept")
        stopping = asyncio.create_task(asyncio.to_thread(house.server.stop))
        acked = ["m1"]

        async def talk():
            while True:
                key = await ana.say("more")
                if (await ana.answer(key))["type"] == "ack":
                    acked.append(key)

        with pytest.raises(ConnectionClosed) as closed:
            await talk()
        await stopping
        assert closed.value.rcvd.code == 1012
        async with open_house(house.hub.store if store == "memory:" else store) as back:
            page = await back.call(back.hub.store.read("lobby", after=None))
            keys = [entry.key for entry in page.entries]
            assert keys[: len(acked)] == [f"ana:{key}" for key in acked]
            assert len(keys) <= len(acked) + 1
        assert not [line for line in house.server.log if line.level == "ERROR"]

    play(scenario, store, server=server, limits=Limits(messages=10_000))


# What is written about it.


def test_what_is_told_in_a_conversation_is_as_the_schemas_say():
    import jsonschema

    async def scenario(house):
        ana, ben = await house.join("lobby", "ana"), await house.join("lobby", "ben")
        mine = await house.join("@me", "ana")
        await ana.send({"type": "typing"})
        await ana.said("hello", "k1")
        await ana.said("hello", "k1")
        await ana.said("psst", to="ben")
        await mine.said("psst", to="zoe")
        await ana.refused("{")
        await ana.refused({"type": "say", "key": "k", "text": ""})
        while (await ana.said("more"))["type"] == "ack":
            pass
        await ben.next("beat", head=4)
        await ben.leave()
        await ana.sees("ana")
        document = (await house.http.get("/asyncapi.json")).json()
        schemas = {
            message["name"]: message["payload"] | {"components": document["components"]}
            for message in document["components"]["messages"].values()
        }
        schemas["typing"] = {
            "$ref": "#/components/schemas/Typing",
            "components": document["components"],
        }
        frames = ana.seen + ben.seen + mine.seen
        assert {frame["type"] for frame in frames} == {kind_of(model) for model in DOWN}
        for frame in frames:
            jsonschema.validate(frame, schemas[frame["type"]], jsonschema.Draft202012Validator)

    play(scenario, beat=0.2, limits=Limits(messages=6, seconds=100))


def test_the_pages_of_the_protocol_are_served():
    async def scenario(house):
        page = await house.http.get("/protocol")
        assert page.headers["content-type"] == "text/html; charset=utf-8"
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert f"the protocol {SUBPROTOCOL}" in page.text
        document = await house.http.get("/asyncapi.json")
        assert document.json()["asyncapi"] == "3.0.0"

    play(scenario)


@pytest.mark.parametrize("level", ["info", "debug", "trace"])
def test_no_token_is_in_a_line_of_the_log(level):
    async def scenario(house):
        token = TOKENS.sign("ana", 3600)
        bad = token[:-3]
        for each in (token, bad):
            for way in (
                {"headers": {"Cookie": f"session={each}"}},
                {"token": each},
                {"subprotocols": [SUBPROTOCOL, f"token.{each}"]},
            ):
                guest = await house.knock("lobby", **way)
                await (guest.hear() if each is token else guest.closed())
        signed = await house.http.post("/sign-in", json={"name": "ana"})
        await house.get("/me", "ana")
        house.http.cookies.set("session", token)
        await house.http.get("/me")
        text = "\n".join(str(line) for line in house.server.log)
        assert "/rooms/lobby" in text
        for secret in (bad, signed.json()["token"], token.split(".")[1], SECRET):
            assert secret not in text
        assert "eyJ" not in text  # as each token begins

    play(scenario, server={"log_level": level, "access_log": True})


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"store": "redis:/x"}, "expected the address of a store"),
        ({"secret": "short"}, "at least 32 bytes, got 5"),
        ({"token_seconds": 0}, "token_seconds above 0, got 0"),
        ({"token_seconds": float("inf")}, "token_seconds above 0, got inf"),
        ({"beat": 0}, "beat above 0, got 0"),
        ({"retry": -1}, "retry from 0 on, got -1"),
        ({"origins": ["evil"]}, "a browser sends an origin"),
    ],
)
def test_an_app_that_cannot_be_is_refused(options, says):
    with pytest.raises(ValueError, match=says):
        create_app(**options).build_middleware_stack()


def test_random_talk_of_many_is_one_record_for_all(store):
    """Whoever comes, goes and comes back: one record holds what all of them were told."""
    chance = random.Random(7)

    async def visit(house, name, record):
        cursor, keys = None, 0
        for _ in range(4):
            guest = await house.join(f"lobby?after={cursor}" if cursor else "lobby?last=0", name)
            assert guest.welcome["history"] == ("complete" if cursor else "new")
            for _ in range(chance.randrange(1, 4)):
                keys += 1
                assert (await guest.said(f"{name} {keys}", f"k{keys}"))["type"] == "ack"
            await guest.next("message", key=f"k{keys}", **{"from": name})
            for frame in guest.seen:
                if frame["type"] == "message":
                    assert cursor is None or frame["id"] == int(cursor.partition(".")[0]) + 1
                    cursor = f"{frame['id']}.{frame['tag']}"
                    record[frame["id"]] = frame
            guest.connection.transport.abort()
        return keys

    async def scenario(house):
        records = [{} for _ in range(8)]
        said = await asyncio.gather(
            *(visit(house, f"guest {n}", record) for n, record in enumerate(records))
        )
        everything = {}
        for record in records:
            for place, frame in record.items():
                assert everything.setdefault(place, frame) == frame
        assert len({(frame["from"], frame["key"]) for frame in everything.values()}) == sum(said)
        assert sorted(everything) == [*range(1, sum(said) + 1)]

    play(scenario, store, limits=Limits(messages=1000))


@pytest.mark.parametrize(
    ("published", "text"),
    [("Maintenance at 5", "Maintenance at 5"), ({"at": 5}, ""), (b"\x00", "")],
    ids=["text", "JSON", "bytes"],
)
def test_what_an_app_publishes_in_a_room_is_a_message_of_nobody(store, published, text):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        receipt = await house.call(house.hub.publish("lobby", published, key="k"))
        assert (await ana.said("after it"))["type"] == "ack"
        newcomer = await house.join("lobby", "ben")  # reads it from the store
        for guest in (ana, newcomer):
            message, after = await guest.messages(2)
            assert message == {
                **{"type": "message", "room": "lobby", "id": 1, "tag": receipt.tag},
                **{"key": "k", "from": None, "text": text, "at": 0},
            }
            assert (after["from"], after["text"]) == ("ana", "after it")
        past = (await house.get("/rooms/lobby/messages", "ana")).json()
        assert past["messages"][0] == message

    play(scenario, store)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b'"from":"ben","text":"hello', ""),
        (b'"key":"k","from":"@ben","text":"hello","at":1}', ""),
        (b'"key":"k","from":"ben","text":"hello","at":-1}', ""),
        (b'"data":"half of it: \\ud83d"}', "half of it: ?"),
    ],
    ids=["open", "a name that cannot be", "a time that cannot be", "half a character"],
)
def test_what_is_damaged_in_the_store_is_a_message_of_nobody(store, body, text):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        await house.call(house.hub.store.append("lobby", "k", body))
        assert (await ana.said("after it"))["type"] == "ack"
        message, after = await ana.messages(2)
        assert (message["id"], message["from"], message["text"]) == (1, None, text)
        assert after["text"] == "after it"

    play(scenario, store)
