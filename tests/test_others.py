"""`benchmarks.others`: each candidate does the work, and what is lost is counted."""

import asyncio
import importlib.util
import math
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.others import kills, speed
from benchmarks.others.candidates import CANDIDATES, CHATLIB, ON_A_FILE
from benchmarks.others.clients import Client
from benchmarks.others.kills import Loss, Losses
from benchmarks.others.report import cost_table, loss_table, redis_table
from benchmarks.others.speed import Sizes, Speed

ROOT = Path(__file__).parent.parent
FEW = Sizes(members=(4,), in_flight=(2,), seconds=0.05, said=3, kept=1000)
# Those whose packages are here: the others come with `[bench]`, which `make test` does without.
ON_REDIS = [
    name
    for name, candidate in CANDIDATES.items()
    if name != ON_A_FILE and all(map(importlib.util.find_spec, candidate.packages))
]


def client_of(name, frames=()):
    client = Client(CANDIDATES[name], 1)
    for frame in frames:
        client._read(frame)
    return client


def speaker_of(*, said, kept=(), refused=()):
    speaker = client_of("litestar-streams")
    speaker.said, speaker.kept, speaker.refused = said, set(kept), set(refused)
    return speaker


def counted(speaker, *listeners, first=0, silence=0.0):
    return asyncio.run(kills.count(speaker, list(listeners), first, silence))


@pytest.mark.parametrize("name", ON_REDIS)
def test_every_candidate_delivers_to_the_members_of_both_workers(name, needs_redis):
    measured = speed.measure(name, FEW, "everysec")
    assert measured.costs[4, 2] > 0
    assert len(measured.waits) == 3


def test_chatlib_delivers_on_a_file_too():
    assert speed.measure(ON_A_FILE, FEW, "everysec").costs[4, 2] > 0


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("litestar-streams", ["7", "7", "ok 8", "no 9"]),
        (
            CHATLIB,
            [
                '{"type":"welcome","head":0}',
                '{"type":"message","id":3,"tag":"5eed5eed","data":"7"}',
                '{"type":"message","id":4,"tag":"5eed5eee","data":"7"}',
                "ok 8",
                "no 9",
            ],
        ),
        ("socketio-redis", ['42["message","7"]', '42["message","7"]', '438["ok"]']),
    ],
)
def test_a_client_notes_what_it_hears_and_what_is_acknowledged(name, frames):
    client = client_of(name, frames)
    assert client.heard == {7: 2}
    assert client.kept == {8}


def test_a_client_of_chatlib_comes_back_with_its_cursor():
    frame = '{"type":"message","id":3,"tag":"5eed5eed","data":"7"}'
    assert client_of(CHATLIB, [frame]).url.endswith("after=3.5eed5eed")


def test_a_client_of_litestar_asks_for_the_history_when_it_comes_back():
    client = client_of("litestar-streams")
    first, client.times = client.url, 1
    assert "history" not in first
    assert "history" in client.url


def test_what_is_acknowledged_and_not_heard_is_lost(monkeypatch):
    monkeypatch.setattr(kills, "SETTLE_SECONDS", 0)
    speaker = speaker_of(said=4, kept=[1, 2, 3], refused=[4])
    loss = counted(speaker, client_of("litestar-streams", ["1", "3", "3"]))
    assert (loss.kept, loss.lost, loss.twice, loss.refused) == (3, 1, 1, 1)


def test_what_was_said_before_all_heard_does_not_count():
    speaker = speaker_of(said=3, kept=[1, 2, 3])
    loss = counted(speaker, client_of("litestar-streams", ["2", "2", "3"]), first=2)
    assert (loss.kept, loss.lost, loss.twice, loss.refused) == (1, 0, 0, 0)


def test_the_tables_say_who_is_deaf_and_who_gave_up():
    loss = Loss(kept=3, lost=2, twice=1, refused=0, silence=math.inf)
    losses = [Losses(redis=loss, worker=loss)]
    text = loss_table({CHATLIB: losses, "channels-core": [None], ON_A_FILE: [Losses(None, loss)]})
    assert "| chatlib | 2 of 3 | 1 | 0 | deaf | 2 of 3 | 1 | what it has missed |" in text
    assert "`RedisChannelLayer` | gave up | — |" in text
    assert "without Redis | — | — | — | — | 2 of 3 | 1 | what it has missed |" in text


def test_the_figures_of_others_are_compared_to_those_of_chatlib():
    ours = Speed(waits=[1.0], costs={(4, 2): 2.0}, redis={(4, 2): 40.0})
    theirs = Speed(waits=[2.0], costs={(4, 2): 6.0}, redis={(4, 2): 20.0})
    speeds = {CHATLIB: [ours], "litestar-streams": [theirs]}
    assert "streams | 6.00 (× 3.000, 3.000 to 3.000) |" in cost_table(speeds, FEW)
    row = "streams | 20 (× 0.500, 0.500 to 0.500) | 2.00 (× 2.000, 2.000 to 2.000) |"
    assert row in redis_table(speeds, FEW)


def test_a_candidate_that_gave_up_says_so_in_each_column():
    speeds = {CHATLIB: [Speed(waits=[1.0])], "channels-core": [Speed()]}
    assert "`RedisChannelLayer` | gave up |" in cost_table(speeds, FEW)
    assert "`RedisChannelLayer` | gave up | gave up | gave up |" in redis_table(speeds, FEW)


def test_the_command_says_what_it_takes():
    command = [sys.executable, "-m", "benchmarks.others", "--help"]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert "--candidates" in said.stdout
