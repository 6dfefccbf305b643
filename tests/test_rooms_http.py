"""The rooms over HTTP: sign in, say, read, see who is there, ask whether all is well."""

import asyncio
import json
import re

import pytest
from guests import TOKENS, play

from chatlib.core.rooms.talk import Limits
from chatlib.stores.memory import MemoryStore

# Signing in.


def test_signing_in_gives_a_token_and_a_cookie_that_let_in():
    async def scenario(house):
        signed = await house.http.post("/sign-in", json={"name": "ana"})
        assert signed.status_code == 200
        assert signed.json().keys() == {"name", "token", "expires"}
        claim = TOKENS.read(signed.json()["token"])
        assert (claim.name, claim.expires) == ("ana", signed.json()["expires"])
        cookie = signed.headers["set-cookie"]
        for part in ("HttpOnly", "SameSite=strict", "Path=/;", "Max-Age=100;"):
            assert part in cookie
        assert "Secure" not in cookie
        me = await house.http.get("/me")  # by the cookie
        assert me.json() == {"name": "ana", "expires": claim.expires}
        guest = await house.join("lobby", None, headers={"Cookie": cookie.partition(";")[0]})
        assert guest.welcome["you"] == "ana"
        out = await house.http.post("/sign-out")
        assert (out.status_code, out.content) == (204, b"")
        assert (await house.http.get("/me")).status_code == 401

    play(scenario, token_seconds=99.5)


def test_a_token_of_a_part_of_a_second_can_be_signed():
    async def scenario(house):
        signed = await house.http.post("/sign-in", json={"name": "ana"})
        assert signed.status_code == 200
        assert "Max-Age=1;" in signed.headers["set-cookie"]

    play(scenario, token_seconds=0.01)


def test_behind_a_proxy_the_cookie_is_for_the_apps_own_path_and_for_https():
    async def scenario(house):
        for way in ("/sign-in", "/sign-out"):
            answer = await house.http.post(
                way, json={"name": "ana"}, headers={"X-Forwarded-Proto": "https"}
            )
            assert "Path=/chat" in answer.headers["set-cookie"]
            assert ("Secure" in answer.headers["set-cookie"]) == (way == "/sign-in")

    play(scenario, server={"root_path": "/chat"})


def test_a_name_is_tidied_when_it_is_typed():
    async def scenario(house):
        signed = await house.http.post("/sign-in", json={"name": "  e\u0301va "})
        assert signed.json()["name"] == "éva"

    play(scenario)


def test_what_cannot_be_a_name_is_refused_with_what_can():
    async def scenario(house):
        for name in ("@ana", "", "  ", "x" * 41, "a\0", "a\u202eb", "\u200b", 7, None, ["ana"]):
            answer = await house.http.post("/sign-in", json={"name": name})
            assert answer.status_code == 422
            (fault,) = answer.json()["detail"]
            assert fault.keys() == {"type", "loc", "msg"}
            assert fault["loc"] == ["body", "name"]
            assert "set-cookie" not in answer.headers

    play(scenario)


def test_an_app_with_users_of_its_own_signs_nobody_in():
    async def scenario(house):
        for way in ("/sign-in", "/sign-out"):
            assert (await house.http.post(way, json={"name": "ana"})).status_code == 404
        assert (await house.get("/me", "ana")).status_code == 200

    play(scenario, sign_in=False)


# Rooms.


def test_each_route_of_a_room_needs_a_token():
    async def scenario(house):
        for answer in (
            await house.get("/me"),
            await house.get("/rooms/lobby/messages"),
            await house.get("/rooms/lobby/people"),
            await house.get("/rooms/No!/people"),
            await house.post("/rooms/lobby/messages", {"text": "x"}),
        ):
            assert answer.status_code == 401
            assert answer.json() == {"detail": "expected a token, and there is none: sign in first"}
            assert answer.headers["www-authenticate"] == "Bearer"

    play(scenario)


def test_what_is_posted_is_said_once(store):
    async def scenario(house):
        ana = await house.join("lobby", "ana")
        first = await house.post("/rooms/lobby/messages", {"text": "hi", "key": "k1"}, "ben")
        (message,) = await ana.messages(1)
        place = {"id": message["id"], "tag": message["tag"]}
        assert first.status_code == 201
        assert first.json() == {"room": "lobby", "key": "k1", **place, "again": False}
        assert (message["text"], message["from"], message["key"]) == ("hi", "ben", "k1")
        again = await house.post(
            "/rooms/lobby/messages", {"text": "hi"}, "ben", **{"Idempotency-Key": "k1"}
        )
        assert (again.status_code, again.json()) == (200, first.json() | {"again": True})
        other = await house.post("/rooms/lobby/messages", {"text": "hi"}, "ben")
        assert other.status_code == 201
        assert re.fullmatch("[0-9a-f]{32}", other.json()["key"])

    play(scenario, store)


def test_what_is_posted_to_one_person_is_in_both_inboxes(store):
    async def scenario(house):
        ben = await house.join("@me", "ben")
        for room in ("lobby", "@me"):
            posted = await house.post(f"/rooms/{room}/messages", {"text": "hi", "to": "ben"}, "ana")
            assert (posted.status_code, posted.json()["room"]) == (201, "@ana")
        assert await ben.texts(2) == ["hi", "hi"]
        copies = (await house.get("/rooms/@me/messages", "ana")).json()["messages"]
        assert [(copy["text"], copy["to"], copy["room"]) for copy in copies] == [
            ("hi", "ben", "@ana")
        ] * 2
        nobody = await house.post("/rooms/lobby/messages", {"text": "x", "to": "zoe"}, "ana")
        assert nobody.status_code == 422
        assert nobody.json()["detail"].startswith("there is no zoe here")
        whom = await house.post("/rooms/@me/messages", {"text": "x"}, "ana")
        assert (whom.status_code, "`to`" in whom.json()["detail"]) == (422, True)

    play(scenario, store)


def test_the_past_is_read_page_by_page(store):
    async def scenario(house):
        for n in range(1, 8):
            await house.call(house.rooms.keep("lobby", "ana", f"k{n}", str(n), None))

        async def page(query):
            past = (await house.get(f"/rooms/lobby/messages?{query}", "ana")).json()
            assert (past["first"], past["head"]) == (1, 7)
            return [message["id"] for message in past["messages"]], past["more"]

        assert await page("limit=3") == ([5, 6, 7], True)
        assert await page("limit=3&before=5") == ([2, 3, 4], True)
        assert await page("limit=3&before=2") == ([1], False)
        assert await page("before=1") == ([], False)
        assert await page(f"before={2**53}") == ([*range(1, 8)], False)
        empty = (await house.get("/rooms/nowhere/messages", "ana")).json()
        assert empty == {"messages": [], "first": 1, "head": 0, "more": False}
        guest = await house.join("lobby?last=1", "ana")
        (message,) = await guest.messages(1)
        past = (await house.get("/rooms/lobby/messages?limit=1", "ana")).json()
        assert past["messages"] == [message]

    play(scenario, store)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "before=0", "before=-1", f"before={2**64}"]
)
def test_a_part_of_the_past_that_cannot_be_is_refused(query):
    async def scenario(house):
        answer = await house.get(f"/rooms/lobby/messages?{query}", "ana")
        assert answer.status_code == 422
        assert answer.json()["detail"][0]["loc"] == ["query", query.partition("=")[0]]

    play(scenario)


def test_people_are_in_order_and_counted_once(store):
    async def scenario(house):
        for name in ("cy", "ana", "ben", "ana"):
            await house.join("lobby", name)
        people = await house.get("/rooms/lobby/people", "zoe")
        assert people.json() == {"people": ["ana", "ben", "cy"], "count": 3}
        assert (await house.get("/rooms/other/people", "zoe")).json() == {"people": [], "count": 0}

    play(scenario, store)


def test_of_a_crowd_only_the_number_is_told():
    async def scenario(house):
        for number in range(201):
            await house.call(house.hub.store.enter("lobby", f"name {number}"))
        assert (await house.get("/rooms/lobby/people", "ana")).json() == {
            "people": None,
            "count": 201,
        }
        ana = await house.knock("lobby", "ana")
        welcome = await ana.next("welcome")
        assert welcome["people"] is None
        assert welcome["count"] >= 201

    play(scenario)


@pytest.mark.parametrize("room", ["Lobby", "@ana", "a%20b", "%0A", "x" * 65, "%F0%9F%98%80"])
def test_a_room_that_cannot_be_is_refused(room):
    async def scenario(house):
        for answer in (
            await house.get(f"/rooms/{room}/messages", "ana"),
            await house.get(f"/rooms/{room}/people", "ana"),
            await house.post(f"/rooms/{room}/messages", {"text": "x"}, "ana"),
        ):
            assert answer.status_code == 422
            assert answer.json()["detail"].startswith("expected a room such as lobby")

    play(scenario)


def test_who_posts_too_much_is_told_when_to_come_again():
    async def scenario(house):
        async def post(name, text="x"):
            return await house.post("/rooms/lobby/messages", {"text": text}, name)

        assert [(await post("ana")).status_code for _ in range(3)] == [201, 201, 429]
        late = await post("ana")
        assert late.json() == {"detail": "at most 2 messages in 60 seconds"}
        assert 25 <= int(late.headers["retry-after"]) <= 31
        assert (await post("ben")).status_code == 201

    play(scenario, limits=Limits(messages=2, seconds=60))


def test_health_says_what_is_served_and_how_durable_it_is(store):
    async def scenario(house):
        await house.join("lobby", "ana")
        await house.join("garden", "ana")
        answer = await house.http.get("/healthz")
        health = answer.json()
        assert answer.status_code == 200
        assert (health["rooms"], health["members"]) == (2, 2)
        kind = store.partition(":")[0]
        durable = "memory" if kind == "memory" else "disk"
        log = health["log"]
        assert (log["kind"], log["ok"], log["durable"], log["error"]) == (kind, True, durable, None)
        assert log["lag_ms"] >= 0

    play(scenario, store)


def test_health_says_that_the_log_does_not_answer_and_to_the_operator_why(monkeypatch):
    class Silent(MemoryStore):
        async def check(self):
            await asyncio.Event().wait()

    class Broken(MemoryStore):
        async def check(self):
            raise OSError("cannot write to /srv/chat.db: the disk is gone")

    async def scenario(silent, broken):
        for house, why in {
            silent: "no answer within 0.05 seconds",
            broken: "the store cannot be used just now",
        }.items():
            answer = await house.http.get("/healthz")
            assert answer.status_code == 503
            log = answer.json()["log"]
            assert (log["ok"], log["error"], log["lag_ms"]) == (False, why, None)
        logged = [line.text for line in broken.server.log if line.level == "WARNING"]
        assert logged == [
            "the store does not answer: OSError('cannot write to /srv/chat.db: the disk is gone')"
        ]

    monkeypatch.setattr("chatlib.core.hub.check.ANSWER_SECONDS", 0.05)
    play(scenario, Silent(), Broken())


# What is hostile.


@pytest.mark.parametrize(
    "body",
    [
        *['{"text": "\\ud800"}', '{"text": NaN}', '{"text": -Infinity}', '"\\ud800"', "[]", ""],
        *['{"\\ud800": 1, "text": "x"}', '{"text": "x", "to": "\\udfff"}', "null", "{"],
        *["[" * 15_000, '{"text":' + "1" * 5000 + "}", '{"text": "x", "from": "ben"}', "\xff"],
        *['{"text": ""}', '{"text": "' + "x" * 4001 + '"}', '{"text": "x", "key": "a b"}'],
        *['{"text": "x", "key": 1}', '{"text": "x", "to": "@ben"}', '{"text": {"$ne": 1}}'],
    ],
)
def test_a_body_that_cannot_be_is_refused_and_not_given_back(body):
    async def scenario(house):
        for path in ("/rooms/lobby/messages", "/sign-in"):
            answer = await house.http.post(
                path,
                content=body.replace("text", "name" if path == "/sign-in" else "text").encode(
                    "latin-1"
                ),
                headers={"Content-Type": "application/json", **bearer_of("ana")},
            )
            if path == "/sign-in" and answer.status_code == 200:
                continue  # it takes no notice of other fields
            assert answer.status_code in {400, 422}
            faults = answer.json()["detail"]
            assert isinstance(faults, str) or all(
                fault.keys() == {"type", "loc", "msg"} for fault in faults
            )
            assert len(answer.content) < 1000
        assert not [line for line in house.server.log if line.level == "ERROR"]

    play(scenario)


def bearer_of(name):
    return {"Authorization": f"Bearer {TOKENS.sign(name, 3600)}"}


@pytest.mark.parametrize("path", ["/sign-in", "/rooms/lobby/messages"])
def test_a_body_that_is_too_big_is_refused_before_it_is_read(path):
    async def endless():
        for _ in range(1000):
            yield b" " * 1024

    async def scenario(house):
        for content in (b" " * (16 * 1024 + 1), endless()):
            answer = await house.http.post(
                path, content=content, headers={"Content-Type": "application/json"}
            )
            assert answer.status_code == 413

    play(scenario)


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", ["/sign-in", "/sign-out", "/rooms/lobby/messages"])
def test_a_page_of_another_origin_cannot_post_with_the_visitors_cookie(path, origin):
    async def scenario(house):
        await house.http.post("/sign-in", json={"name": "ana"})
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            answer = await house.http.post(
                path,
                content=json.dumps({"name": "eve", "text": "x"}),
                headers={"Origin": origin, "Content-Type": kind},
            )
            assert answer.status_code == 403
            assert answer.json() == {"detail": "a page of another origin may not do this"}
            assert "set-cookie" not in answer.headers
        past = await house.http.get("/rooms/lobby/messages")
        assert past.json()["head"] == 0

    play(scenario)


def test_the_apps_own_page_and_allowed_ones_and_programs_can_post():
    async def scenario(house):
        own = house.server.http_url("").rstrip("/")
        for origin in (own, own.replace("127.0.0.1", "localhost"), "https://good.example"):
            answer = await house.http.post(
                "/sign-in", json={"name": "ana"}, headers={"Origin": origin}
            )
            assert answer.status_code == 200
        assert (await house.http.post("/sign-in", json={"name": "ana"})).status_code == 200

    play(scenario, origins=["https://good.example"])


def test_a_form_is_no_message_though_it_looks_like_json():
    async def scenario(house):
        await house.http.post("/sign-in", json={"name": "ana"})
        for kind in ("text/plain", "application/x-www-form-urlencoded", ""):
            answer = await house.http.post(
                "/rooms/lobby/messages", content='{"text": "x"}', headers={"Content-Type": kind}
            )
            assert answer.status_code == 422

    play(scenario)


def test_no_cache_keeps_an_answer_and_no_browser_guesses_its_type():
    async def scenario(house):
        for answer in (
            await house.http.post("/sign-in", json={"name": "ana"}),
            await house.get("/me", "ana"),
            await house.get("/me"),
            await house.get("/rooms/lobby/messages", "ana"),
            await house.get("/rooms/lobby/people", "ana"),
            await house.http.get("/healthz"),
            await house.http.get("/nowhere"),
        ):
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["x-content-type-options"] == "nosniff"
        page = await house.http.get("/")
        assert page.headers["cache-control"] == "no-cache"

    play(scenario)


def test_a_store_that_cannot_be_read_is_told_without_the_servers_paths():
    class Broken(MemoryStore):
        async def read(self, *args, **options):
            raise OSError("cannot read /var/lib/chat.db: disk I/O error")

        async def people(self, room):
            raise OSError("cannot read /var/lib/chat.db: disk I/O error")

    async def scenario(house):
        for answer in (
            await house.get("/rooms/lobby/messages", "ana"),
            await house.get("/rooms/lobby/people", "ana"),
            await house.post("/rooms/lobby/messages", {"text": "x", "to": "ben"}, "ana"),
        ):
            assert answer.status_code == 503
            assert answer.headers["retry-after"] == "1"
            assert answer.json() == {"detail": "the store cannot be used just now"}
        warnings = [line.text for line in house.server.log if line.level == "WARNING"]
        assert (
            warnings
            == ["the store cannot be used: cannot read /var/lib/chat.db: disk I/O error"] * 3
        )

    play(scenario, Broken())
