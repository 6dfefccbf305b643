"""The kill test of `benchmarks.storm`: its checker, which must be able to fail; and short runs."""

import itertools
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.storm.checker import breaches, presence_breaches
from benchmarks.storm.evidence import Evidence, Kept, Reset
from benchmarks.storm.faults import Faults
from benchmarks.storm.plan import ANYWHERE, KINDS, TRIM, Plan
from benchmarks.storm.records import (
    Acked,
    Beat,
    Changed,
    Closed,
    Heard,
    Opened,
    Record,
    Refused,
    Said,
    Welcomed,
)
from benchmarks.storm.round import BACKINGS
from chatlib.stores.store import START, Cursor, next_tag

ROOT = Path(__file__).parent.parent
GUARD_SECONDS = 240


def log_of(*keys, sender="ana", beginning="5eed5eed"):
    """Return a log in which `sender` said `keys`."""
    log, tag = [], beginning
    for number, key in enumerate(keys, 1):
        tag = next_tag(tag, key.encode())
        log.append(Kept(number, tag, key, sender))
    return log


def heard(kept, at=1.0):
    return Heard(at, *kept)


def opened(after=START, history="complete", head=0, place=None):
    """Return what a client notes of the beginning of a connection."""
    return [
        Opened(0.0, after),
        Welcomed(0.0, history, place or after, head, frozenset({"ana", "bo"})),
    ]


def record_of(name, *events):
    record = Record(name)
    for event in events:
        record.note(event)
    return record


def talk(log):
    """Return what ana, who says all that is in `log`, and bo, who listens, note of a good round."""
    said = itertools.chain.from_iterable(
        (Said(0.5, kept.key, False), heard(kept), Acked(1.0, kept.key, kept.id, kept.tag, False))
        for kept in log
    )
    return [*opened(), *said], [*opened(), *map(heard, log)]


def found(ana, bo, log, **more):
    """Return the breaches, without what comes after the name of the invariant."""
    records = [record_of("ana", *ana), record_of("bo", *bo)]
    return breaches(Evidence(records, log, **more))


def names(breaches):
    return {breach.partition(":")[0] for breach in breaches}


LOG = log_of("k1", "k2", "k3", "k4")


def test_a_round_in_which_all_was_well_has_no_breach():
    assert found(*talk(LOG), LOG) == []


def test_a_client_that_came_back_with_its_cursor_and_got_all_has_no_breach():
    ana, bo = talk(LOG)
    place = Cursor(LOG[1].id, LOG[1].tag)
    cut = [*bo[:4], Closed(1.0, 1006, ""), *opened(place), *bo[4:], Beat(2.0, 4)]
    assert found(ana, cut, LOG) == []


def test_a_message_that_one_client_never_gets_is_a_silence():
    ana, bo = talk(LOG)
    assert "silence: bo got 3 after 1, and was told nothing" in found(ana, [*bo[:3], *bo[4:]], LOG)


def test_the_last_messages_that_one_client_never_gets_are_a_silence():
    ana, bo = talk(LOG)
    assert found(ana, bo[:-2], LOG) == ["silence: bo has messages up to 2, the log up to 4"]


def test_messages_that_a_client_missed_while_it_was_away_are_a_silence():
    ana, bo = talk(LOG)
    place = Cursor(LOG[1].id, LOG[1].tag)
    after = Cursor(LOG[2].id, LOG[2].tag)
    cut = [*bo[:4], *opened(place, place=after), *bo[5:]]
    assert names(found(ana, cut, LOG)) == {"silence"}


def test_a_beat_that_knows_of_more_than_came_is_a_silence():
    ana, bo = talk(LOG)
    late = [*bo[:5], Beat(1.0, 4), *bo[5:]]
    assert found(ana, late, LOG) == ["silence: the beat said 4, and bo had got 3"]


@pytest.mark.parametrize("history", ["trimmed", "diverged", "new"])
def test_a_history_that_is_said_to_be_lost_without_a_reason_is_a_silence(history):
    ana, bo = talk(LOG)
    assert names(found(ana, [*opened(history=history), *bo[2:]], LOG)) == {"silence"}


def test_a_message_that_a_client_gets_twice_is_named():
    ana, bo = talk(LOG)
    twice = found(ana, [*bo[:4], bo[3], *bo[4:]], LOG)
    assert "order: bo got 2 after 2" in twice
    assert "once: bo has k2 of ana as 2 and 2" in twice


def test_messages_that_come_in_another_order_are_named():
    ana, bo = talk(LOG)
    swapped = [*bo[:3], bo[4], bo[3], bo[5]]
    assert "order: bo got 2 after 3" in found(ana, swapped, LOG)


def test_a_message_that_the_log_keeps_twice_is_named():
    log = log_of("k1", "k2", "k1")
    ana, bo = talk(log)
    assert "once: the log has k1 of ana as 1 and 3" in found(ana, bo, log)


def test_a_message_that_is_kept_before_one_that_was_said_earlier_is_named():
    log = log_of("k2", "k1")
    ana = [*opened(), Said(0, "k1", False), Said(0, "k2", False), *map(heard, log)]
    ana += [Acked(1, kept.key, kept.id, kept.tag, False) for kept in log]
    assert found(ana, talk(log)[1], log) == ["order: ana said k1 before k2; the log has k2 first"]


def test_an_acknowledged_message_that_the_log_has_not_is_named():
    ana, bo = talk(LOG)
    lost = [Said(2, "k5", False), Acked(2, "k5", 5, "00000005", False)]
    assert found([*ana, *lost], bo, LOG) == [
        "kept: k5 of ana was acknowledged as 5.00000005; there the log has None"
    ]


def test_an_acknowledgement_of_a_place_where_something_else_is_is_named():
    ana, bo = talk(LOG)
    wrong = ana[-1]._replace(id=3, tag=LOG[2].tag)
    assert names(found([*ana[:-1], wrong], bo, LOG)) == {"kept"}


def test_an_acknowledgement_of_what_was_not_said_is_named():
    ana, bo = talk(LOG)
    assert names(found(ana, [*bo, Acked(2, "k1", 1, LOG[0].tag, False)], LOG)) == {"kept"}


def test_two_acknowledgements_that_both_say_new_are_named():
    ana, bo = talk(LOG)
    assert names(found([*ana, ana[-1]], bo, LOG)) == {"once"}


def test_a_message_that_nobody_ever_answers_is_named():
    ana, bo = talk(LOG)
    assert found([*ana, Said(2, "k5", False)], bo, LOG) == ["answer: ana got none for k5"]


def test_one_cursor_with_two_histories_is_named():
    ana, bo = talk(LOG)
    other = bo[3]._replace(tag="0badcafe")
    assert "prefix" in names(found(ana, [*bo[:3], other, *bo[4:]], LOG))


def test_a_message_that_one_client_has_otherwise_is_named():
    ana, bo = talk(LOG)
    other = bo[5]._replace(tag="0badcafe")
    assert names(found(ana, [*bo[:5], other], LOG)) == {"same"}


def test_a_refusal_that_no_fault_excuses_is_named():
    ana, bo = talk(LOG)
    bad = [Refused(2, "bad_message", "k1"), Closed(2, 1008, "no"), Closed(2, 4409, "changed")]
    assert names(found(ana, [*bo, *bad], LOG)) == {"refusal"}
    assert len(found(ana, [*bo, *bad], LOG)) == 3
    excused = [Refused(2, "try_again", "k1"), Closed(2, 1006, ""), Closed(2, 1012, "restart")]
    assert found(ana, [*bo, *excused], LOG) == []


def test_who_left_may_lack_the_end_and_an_answer_but_nothing_else():
    ana, bo = talk(LOG)
    records = [record_of("ana", *ana), record_of("bo", *bo[:-1], Said(1, "b1", False))]
    records[1].left = True
    assert breaches(Evidence(records, LOG)) == []
    records[1] = record_of("bo", *bo[:3], *bo[4:])
    records[1].left = True
    assert names(breaches(Evidence(records, LOG))) == {"silence"}


def test_what_was_lost_with_the_store_is_no_breach_if_it_is_told():
    """The log lost what came after k2, and has k5 since. Everybody was told."""
    ana, bo = talk(LOG)
    log = log_of("k1", "k2", "k5")
    five = [Said(3, "k5", False), Acked(3, "k5", 3, log[2].tag, False)]
    told = opened(Cursor(4, LOG[3].tag), "diverged", place=Cursor(0, START.tag))
    told = [Closed(2, 4409, "the history has changed"), *told, *map(heard, log)]
    resets = [Reset(2.0, kept=2)]
    assert found([*ana, *told, *five], [*bo, *told], log, resets=resets) == []

    silent = [*opened(Cursor(4, LOG[3].tag))]
    assert names(found([*ana, *told, *five], [*bo, *silent], log, resets=resets)) == {"same"}
    early = [Reset(2.0, kept=3)]  # k3 was not to be lost
    assert names(found([*ana, *told, *five], [*bo, *told], log, resets=early)) == {"kept"}


def test_an_acknowledgement_that_was_on_its_way_may_come_after_the_loss():
    """The log lost k4, which everybody was told. Its acknowledgement came late."""
    ana, bo = talk(LOG)
    ana[-1] = ana[-1]._replace(at=3.0)
    told = [*opened(Cursor(4, LOG[3].tag), "diverged", place=START), *map(heard, LOG[:3])]
    until_then = frozenset(Cursor(kept.id, kept.tag) for kept in LOG)
    resets = [Reset(2.0, 3, until_then)]
    assert found([*ana, *told], [*bo, *told], LOG[:3], resets=resets) == []

    at_once = [Reset(2.0, 3)]  # when nothing was on its way
    assert names(found([*ana, *told], [*bo, *told], LOG[:3], resets=at_once)) == {"kept"}
    others = [Reset(2.0, 3, until_then - {Cursor(4, LOG[3].tag)})]  # it was never there
    assert names(found([*ana, *told], [*bo, *told], LOG[:3], resets=others)) == {"kept"}


def test_what_is_acknowledged_after_a_loss_has_to_be_there():
    ana, bo = talk(LOG)
    lost = [Said(3, "k5", False), Acked(3, "k5", 5, "00000005", False)]
    assert names(found([*ana, *lost], bo, LOG, resets=[Reset(2.0, kept=4)])) == {"kept"}


def test_a_store_that_keeps_little_may_trim_what_is_told():
    ana, bo = talk(LOG)
    told = opened(START, "trimmed", place=Cursor(LOG[1].id, LOG[1].tag))
    assert found(ana, [*told, *bo[4:]], LOG[2:], keeps=2) == []
    assert "silence" in names(found(ana, [*opened(), *bo[4:]], LOG[2:], keeps=2))


def test_presence_is_what_a_client_was_told_at_first_and_the_changes():
    bo = record_of("bo", *opened(), Changed(1, frozenset({"cy"}), frozenset({"ana"})))
    assert list(presence_breaches([bo], frozenset({"bo", "cy"}))) == []
    assert list(presence_breaches([bo], frozenset({"bo", "dee"}))) == [
        "presence: bo misses ['dee'] and sees ['cy']"
    ]


@pytest.mark.parametrize("store", KINDS)
def test_a_seed_decides_all(store):
    def plan(seed):
        return Plan.of(seed, store=store, workers=2, clients=20, messages=300, seconds=10.0)

    assert plan(7) == plan(7)
    assert plan(7).faults != plan(8).faults
    assert sum(len(part.due) for part in plan(7).parts) == 300


@pytest.mark.parametrize("store", KINDS)
def test_everything_that_a_plan_may_name_can_be_done(store):
    kinds = {*ANYWHERE, *KINDS[store].faults, *KINDS[store].told} - {TRIM}
    backing = BACKINGS[store]
    assert [kind for kind in kinds if not (hasattr(Faults, kind) or hasattr(backing, kind))] == []


@pytest.mark.parametrize("store", KINDS)
def test_a_short_storm_breaks_nothing(store, request):
    """The second round is one in which messages are lost, and told to be."""
    if store == "redis":
        request.getfixturevalue("needs_redis")
    words = f"--store {store} --seed 3 --rounds 2 --clients 8 --messages 300 --seconds 3"
    ran = subprocess.run(
        [sys.executable, "-m", "benchmarks.storm", *words.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=GUARD_SECONDS,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    *rounds, totals = ran.stdout.splitlines()
    assert [line.startswith(f"seed {3 + number}") for number, line in enumerate(rounds)] == [
        True
    ] * 2
    assert all(line.endswith(": OK") for line in rounds)
    assert ": told)" in rounds[1]
    assert "all OK" in totals
    assert ran.stderr == ""


def test_an_interrupted_storm_leaves_no_process_behind():
    command = [sys.executable, "-m", "benchmarks.storm", "--clients", "2", "--messages", "10"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as storm:
        workers = []
        end = time.monotonic() + GUARD_SECONDS
        while len(workers) < 2 and time.monotonic() < end:
            time.sleep(0.05)  # it tells nothing before the end of a round
            workers = psutil.Process(storm.pid).children(recursive=True)
        storm.send_signal(signal.SIGINT)
        out, _ = storm.communicate(timeout=GUARD_SECONDS)
        assert len(workers) == 2
        assert not any(worker.is_running() for worker in workers)
        assert (storm.returncode, out) == (1, "")
