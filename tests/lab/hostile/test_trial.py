"""Attacks on a server of one's own, and what is said of them."""

import os
import signal

import pytest

from chatlib.lab import Server, hostile
from chatlib.lab.commands import Command
from chatlib.lab.hostile import trial
from chatlib.lab.hostile.witness import Witness
from chatlib.lab.shipped import app

QUICK = ("oversize", "connects")
LIMITS = "--ws chatlib.core.fanout:FanoutProtocol --ws-max-size 65536"


@pytest.fixture(autouse=True)
def none_left():
    yield
    hostile.stop()


@pytest.fixture(scope="module")
def alone():
    with Command("uvicorn chatlib.lab.shipped:app --port {port}") as server:
        yield server


def test_where_nothing_holds_it_up_an_attack_gets_what_it_would_like(alone):
    results = hostile.attack(alone, kinds=QUICK)
    assert [(result.got, result.held) for result in results.values()] == [
        ("all taken", False),
        ("all in", False),
    ]
    assert all(result.longest_wait > 0 for result in results.values())


def test_limits_hold_it_up_and_its_code_says_how():
    with Command(f"uvicorn chatlib.lab.shipped:guarded --port {{port}} {LIMITS}") as server:
        results = hostile.attack(server, kinds=QUICK)
    assert [(result.got, result.held) for result in results.values()] == [
        ("1009", True),
        ("503", True),
    ]


def test_an_attacker_that_was_killed_is_replaced(alone):
    hostile.attack(alone, kinds=["connects"])
    before = trial.attacker().pid
    os.kill(before, signal.SIGKILL)
    os.waitid(os.P_PID, before, os.WEXITED | os.WNOWAIT)
    hostile.attack(alone, kinds=["connects"])
    assert trial.attacker().pid != before


@pytest.mark.parametrize("pause", range(5))
def test_a_server_that_got_no_processor_for_a_few_looks_has_more_to_do(alone, monkeypatch, pause):
    used = [1.0] * (1 + pause) + [1.05, 1.1, 1.15] + [1.16] * 5
    monkeypatch.setattr(trial, "LOOK_SECONDS", 0)
    monkeypatch.setattr(trial, "cpu_seconds_of", lambda server: used.pop(0))
    trial.calm(alone)
    assert used == []


def test_an_attack_on_a_server_that_has_ended_says_what_to_do():
    with Command("uvicorn chatlib.lab.shipped:app --port {port}") as server:
        pass
    with pytest.raises(RuntimeError, match="start the server again"):
        hostile.attack(server)
    with Command("uvicorn chatlib.lab.shipped:app --port {port}") as server:
        server.kill()
        with pytest.raises(RuntimeError, match="server has ended; start the server again"):
            hostile.attack(server)


def test_a_witness_whose_connection_is_cut_waits_for_ever():
    with Server(app) as server, Witness(server.ws_url()) as witness:
        server.stop()
        witness.cut()
    assert witness.longest == float("inf")


def test_a_table_has_a_line_for_each_attack_and_a_column_for_each_server(capsys):
    fell, held = (
        hostile.Result(got, ok, 0, 0, 0) for got, ok in (("all in", False), ("503", True))
    )
    hostile.table({"one": {"connects": fell}, "two": {"connects": held}})
    assert capsys.readouterr().out.splitlines() == [
        "               one                 two",
        "connects       ✗ all in            ✓ 503",
    ]


def test_there_is_a_chart_for_each_thing_that_is_measured():
    result = hostile.Result("503", True, 0.5, 0.25, 2_000_000)
    charts = hostile.charts({"one": {"connects": result}})
    assert [repr(chart) for chart in charts] == [
        "[chart] The longest wait of another client: seconds of connects",
        "[chart] CPU time of the server: seconds of connects",
        "[chart] Memory that the server keeps: MB of connects",
    ]
