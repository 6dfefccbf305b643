"""What was started, by name."""

import subprocess
import sys

import pytest

from chatlib.lab.started import Started


class Server:
    """It notes that it was stopped."""

    def __init__(self):
        self.stopped = False

    def stop(self):
        self.stopped = True


def test_the_next_of_a_name_takes_the_place_of_the_last_one():
    started = Started()
    first = started.start(Server)
    assert not first.stopped
    second = started.start(Server)
    assert (first.stopped, second.stopped) == (True, False)


def test_those_of_other_names_stay():
    started = Started()
    one, other = started.start(Server, "one"), started.start(Server, "other")
    started.start(Server, "one")
    assert (one.stopped, other.stopped) == (True, False)


def test_one_that_cannot_be_made_leaves_none():
    started = Started()
    first = started.start(Server)
    with pytest.raises(ZeroDivisionError):
        started.start(lambda: 1 // 0)
    assert first.stopped
    assert len(started) == 0


def test_all_are_stopped_at_once():
    started = Started()
    servers = [started.start(Server, name) for name in "abc"]
    started.stop()
    assert all(server.stopped for server in servers)
    started.stop()  # which is harmless


def test_what_runs_is_stopped_when_the_process_ends():
    code = (
        "from chatlib.lab.started import Started\n"
        "class Server:\n"
        "    def stop(self): print('stopped')\n"
        "Started().start(Server)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout == "stopped\n"
