"""With PYTHONASYNCIODEBUG=1 the instruments neither hold up an event loop nor measure asyncio."""

import asyncio
import subprocess
import sys

import pytest

from chatlib.lab import check
from chatlib.lab.check.rules import common
from chatlib.lab.check.tools import bench
from chatlib.lab.measure import Trial
from chatlib.lab.serve import Server


class Noting(Server):
    """A server that notes whether an event loop was held up while it started or stopped."""

    held_up: list

    def __init__(self, app):
        self.note()
        super().__init__(app)

    def stop(self):
        self.note()
        super().stop()

    def note(self):
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            self.held_up.append(False)
        else:
            self.held_up.append(True)


async def nothing(*_):
    """A solution that does nothing, and so fails."""


@pytest.mark.parametrize("exercise", ["guests_wait_outside", "bearer", "say"])
def test_a_check_starts_and_stops_its_servers_beside_its_event_loop(exercise, monkeypatch):
    monkeypatch.setattr(Noting, "held_up", [], raising=False)
    monkeypatch.setattr(bench, "Server", Noting)
    assert not getattr(check, exercise)(nothing).passed
    assert Noting.held_up
    assert not any(Noting.held_up)


def test_a_check_reads_no_certificates_to_look_at_a_page(monkeypatch):
    def read(*_):
        raise AssertionError("it read the certificates")

    monkeypatch.setattr("ssl.SSLContext.load_verify_locations", read)
    monkeypatch.setattr("ssl.SSLContext.load_default_certs", read)
    with Server(nothing, lifespan="off") as server, pytest.raises(bench.Wrong, match="500"):
        asyncio.run(common.page_of(bench.Bench(server)))


def test_a_check_looks_at_a_page_beside_its_event_loop():
    # In a process that has just started: what is imported once is not imported again.
    script = (
        "import asyncio, sys, threading\n"
        "from chatlib.lab.check.rules import common\n"
        "from chatlib.lab.check.tools import bench\n"
        "from chatlib.lab.serve import Server\n"
        "from chatlib.chat import app\n"
        "threads = []\n"
        "class Note:\n"
        "    def find_spec(self, *_):\n"
        "        threads.append(threading.current_thread())\n"
        "with Server(app) as server:\n"
        "    sys.meta_path.insert(0, Note())\n"
        "    asyncio.run(common.page_of(bench.Bench(server)))\n"
        "print(len(threads) > 0, threading.main_thread() in threads)\n"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout == "True False\n"


def test_what_is_measured_runs_without_the_debug_mode(monkeypatch):
    monkeypatch.setenv("PYTHONASYNCIODEBUG", "1")
    with Trial(Undebugged, members=1) as trial:
        trial.run(in_flight=1, deliveries=1)


class Undebugged:
    """A manager that works outside the debug mode alone."""

    def __init__(self):
        self.members = []

    async def connect(self, websocket):
        assert not asyncio.get_running_loop().get_debug()
        await websocket.accept()
        self.members.append(websocket)

    async def broadcast(self, message):
        for member in self.members:
            await member.send_text(message)

    def disconnect(self, websocket):
        self.members.remove(websocket)
