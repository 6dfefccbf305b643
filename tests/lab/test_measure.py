"""The instrument counts what it says, and always comes to an end."""

import contextlib
import socket
import subprocess
import sys

import pytest

from chatlib import ConnectionManager
from chatlib.lab import crowd, measure
from chatlib.lab.measure import FANOUT, MeasureError, Trial
from chatlib.lab.measured import config_on, program
from chatlib.lab.plain import PlainManager


class Failing(PlainManager):
    async def broadcast(self, message):
        raise ZeroDivisionError("of the manager's")


class Swallowing(PlainManager):
    async def broadcast(self, message):
        """Send it to nobody."""


class Talkative(PlainManager):
    async def broadcast(self, message):
        print("a line that is no answer")
        await super().broadcast(message)


# What a notebook holds: everything in it belongs to `__main__`.
NOTEBOOK = """
import asyncio as aio
from chatlib.lab import measure
from chatlib.lab.plain import PlainManager as Base

TIMES = 2
each = connections = object()  # as IPython's _ may be: no more than a like name

def times(message):
    return [message] * (TIMES - 1)

class Manager(Base):
    async def broadcast(self, message):
        for each in times(message):
            _, connections = 0, self.active_connections
            await aio.gather(*(c.send_text(each) for c in connections))

class Unused(Base):
    undefined = None

if __name__ == "__main__":
    with measure.Trial(Manager, members=3) as trial:
        print(trial.run(deliveries=30) > 0)
"""


# A process that starts a server, and is killed.
PARENT = """
import json
import sys
import time
from chatlib.lab.measure import Trial
from chatlib.lab.plain import PlainManager

class Blocking(PlainManager):
    async def connect(self, websocket):
        time.sleep(600)

if __name__ == "__main__":
    trial = Trial(globals()[sys.argv[1]]).__enter__()
    print(trial._ask(trial._order), flush=True)
    input()
"""


@pytest.mark.parametrize("compression", [False, True])
@pytest.mark.parametrize("in_flight", [1, 7])
def test_a_trial_measures_what_is_delivered_and_ends(compression, in_flight):
    with Trial(PlainManager, members=3, compression=compression) as trial:
        child = trial._child
        assert trial.run(in_flight=in_flight, deliveries=60) > 0
    assert not child.running


def test_the_plain_manager_writes_once_a_delivery():
    with Trial(PlainManager, members=5, watched=True) as trial:
        assert trial.writes(in_flight=1, deliveries=50) == 1
        assert trial.writes(in_flight=8, deliveries=80) == 1


def test_a_room_joins_what_comes_in_one_turn():
    with Trial(ConnectionManager, FANOUT, members=5, watched=True) as trial:
        assert trial.writes(in_flight=1, deliveries=50) == 1
        assert trial.writes(in_flight=32, deliveries=5 * 64) < 1


def test_the_layers_are_parts_of_the_whole():
    with Trial(PlainManager, members=5, watched=True) as trial:
        layers = trial.layers(deliveries=500)
    assert sum(layers.values()) == pytest.approx(1)
    assert {"the manager", "Starlette", "uvicorn", "websockets", "the kernel"} <= set(layers)


def test_trials_are_compared_by_name_and_by_what_is_in_flight_in_each_round():
    trials = {"one": Trial(PlainManager, members=2), "other": Trial(PlainManager, members=2)}
    costs = measure.compare(trials, in_flight=(1, 4), deliveries=8, rounds=2)
    counts = {name: {n: len(those) for n, those in row.items()} for name, row in costs.items()}
    assert counts == {"one": {1: 2, 4: 2}, "other": {1: 2, 4: 2}}
    assert all(cost > 0 for row in costs.values() for those in row.values() for cost in those)


def test_how_often_trials_are_repeated_can_be_set_for_a_whole_notebook(monkeypatch):
    monkeypatch.setenv("CHATLIB_ROUNDS", "2")
    costs = measure.compare({"one": Trial(PlainManager, members=2)}, in_flight=(1,), deliveries=8)
    assert len(costs["one"][1]) == 2


@pytest.mark.parametrize(("rounds", "deliveries"), [("1", 2), ("2", 20)])
def test_where_nobody_looks_there_are_fewer_deliveries(monkeypatch, rounds, deliveries):
    asked = []
    monkeypatch.setenv("CHATLIB_ROUNDS", rounds)
    monkeypatch.setattr(Trial, "run", lambda _, **options: asked.append(options["deliveries"]))
    measure.compare({"one": Trial(PlainManager, members=2)}, in_flight=(1,), deliveries=20)
    assert set(asked) == {deliveries}


def test_a_manager_of_a_notebook_is_sent_with_what_it_uses(tmp_path):
    script = tmp_path / "notebook.py"
    script.write_text(NOTEBOOK, "utf-8")
    command = [sys.executable, "-W", "error", script]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("True\n", "")


def test_a_manager_of_a_module_is_imported():
    assert program(PlainManager) == ("from chatlib.lab.plain import PlainManager as PlainManager")


def test_a_manager_without_source_is_refused():
    made = type("Made", (), {"__module__": "__main__"})
    with pytest.raises(TypeError, match="the source of"):
        program(made)


def test_a_manager_that_fails_is_quoted():
    with Trial(Failing, members=3) as trial, pytest.raises(MeasureError, match="of the manager's"):
        trial.run(deliveries=3)


def test_deliveries_that_do_not_come_are_counted(monkeypatch):
    monkeypatch.setattr(crowd, "SILENCE_SECONDS", 0.1)
    with Trial(Swallowing, members=3) as trial, pytest.raises(MeasureError, match="3 of 3 deliv"):
        trial.run(deliveries=3)


def test_what_a_manager_prints_disturbs_nothing():
    with Trial(Talkative, members=3) as trial:
        assert trial.run(deliveries=9) > 0


def test_a_server_that_does_not_start_says_why():
    with (
        Trial(PlainManager, ws="no.such:Protocol") as trial,
        pytest.raises(MeasureError, match="No module named 'no'"),
    ):
        trial.run()


def test_outside_of_with_nothing_runs():
    with pytest.raises(MeasureError, match="inside `with`"):
        Trial(PlainManager).run()


def test_a_trial_may_be_entered_again():
    trial = Trial(PlainManager, members=2)
    for _ in range(2):
        with trial:
            assert trial.run(deliveries=4) > 0


def test_a_server_ends_when_nobody_is_there_to_ask_it():
    with Trial(PlainManager, members=2) as trial:
        trial.connect()
        trial._child._process.stdin.close()
        assert trial._child._process.wait(10) == 0


@pytest.mark.parametrize("manager", ["PlainManager", "Blocking"])
def test_a_server_ends_when_its_parent_is_killed(tmp_path, manager):
    """Even while the manager blocks its event loop."""
    script = tmp_path / "notebook.py"
    script.write_text(PARENT, "utf-8")
    with subprocess.Popen(
        [sys.executable, script, manager], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        port = int(parent.stdout.readline())
        with socket.create_connection(("127.0.0.1", port), timeout=30) as client:
            client.sendall(crowd.REQUEST.format(host="127.0.0.1", offer="").encode())
            if manager == "PlainManager":
                assert client.recv(4096).startswith(b"HTTP/1.1 101")
            parent.kill()
            with contextlib.suppress(ConnectionResetError):
                assert client.recv(4096) == b""


def test_a_server_asks_no_client_for_a_sign_of_life():
    """A crowd answers none, and a measurement may take longer than the server would wait."""
    order = {"program": program(PlainManager), "manager": "PlainManager", "ws": "auto"}
    assert config_on(order | {"watched": False}).ws_ping_interval is None


def test_stop_ends_what_was_left_running():
    trial = Trial(PlainManager, members=2).__enter__()
    child = trial._child
    measure.stop()
    assert not child.running
    measure.stop()


def test_a_client_that_says_nothing_takes_some_memory_of_the_server():
    with Trial(ConnectionManager, FANOUT, members=200) as trial:
        assert 2_000 < trial.memory() < 200_000
