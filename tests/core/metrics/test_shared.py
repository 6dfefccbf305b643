"""The figures of several processes, in a folder: who is counted, and who no more."""

import asyncio
import os
import signal
import subprocess
import sys

import pytest
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from scrape import Scrape

from chatlib.core.hub.hub import Hub
from chatlib.core.metrics.add import Metrics
from chatlib.core.metrics.figures import figures_of
from chatlib.core.metrics.folder import VARIABLE, fresh_folder
from chatlib.core.metrics.shared import Shared, runs, text_of_all
from chatlib.core.metrics.sources import Sources
from chatlib.core.metrics.traffic import Traffic


class Process:
    """What a process has counted: as many connections and appends as a test says."""

    def __init__(self, folder):
        self.hub, self.traffic = Hub("memory:"), Traffic()
        self.shared = Shared(folder)

    def count(self, number):
        for _ in range(number):
            self.traffic.begin()
            self.hub.appends.outcomes["kept"] += 1
            self.hub.appends.times.note(0.002)
        self.write()

    def write(self, *, up=True):
        self.shared.write(figures_of(Sources([self.hub]), self.traffic, up))


@pytest.fixture
def processes(tmp_path):
    """Make one that writes into the folder of the test."""
    made = []

    def make():
        made.append(Process(tmp_path))
        return made[-1]

    yield make
    for process in made:
        process.shared.close()


def scrape(folder):
    return Scrape(text_of_all(folder).decode())


COUNTED = """
import sys
from pathlib import Path
from chatlib.core.hub.hub import Hub
from chatlib.core.metrics.figures import figures_of
from chatlib.core.metrics.shared import Shared
from chatlib.core.metrics.sources import Sources
from chatlib.core.metrics.traffic import Traffic
traffic = Traffic()
for _ in range(3):
    traffic.begin()
shared = Shared(Path(sys.argv[1]))
shared.write(figures_of(Sources([Hub("memory:")]), traffic, True))
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def other(tmp_path):
    """A real process that has counted three, and waits."""
    command = [sys.executable, "-c", COUNTED, tmp_path]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **pipes) as process:
        try:
            assert process.stdout.readline() == "written\n"
            yield process
        finally:
            process.kill()


def test_the_figures_of_all_processes_are_added_up(processes, tmp_path):
    processes().count(2)
    processes().count(5)
    found = scrape(tmp_path)
    assert (found["processes"], found["connections"]) == (2, 7)
    assert found["connections_accepted_total"] == found["appends_total"] == 7
    assert found["append_duration_seconds_count"] == 7
    assert found["append_duration_seconds_sum"] == pytest.approx(0.014)
    assert found["store_info"] == 1


def test_the_store_is_up_if_it_answers_all_of_them(processes, tmp_path):
    processes().write()
    processes().write(up=False)
    assert scrape(tmp_path)["store_up"] == 0


def test_the_timestamp_is_that_of_the_process_that_wrote_first(processes, tmp_path):
    processes().write()
    first = scrape(tmp_path)["figures_timestamp_seconds"]
    processes().write()
    assert scrape(tmp_path)["figures_timestamp_seconds"] == first


def test_figures_that_are_written_again_are_not_added_to_themselves(processes, tmp_path):
    process = processes()
    process.count(2)
    process.write()
    assert scrape(tmp_path)["appends_total"] == 2


def test_what_a_store_is_worth_no_more_is_told_no_more(processes, tmp_path):
    process = processes()
    process.write()
    process.hub.store.durable = "unknown"
    process.write()
    assert scrape(tmp_path).by("store_info", "durable") == {"unknown": 1}


def test_a_killed_process_is_in_the_sums_and_in_no_gauge(processes, other, tmp_path):
    processes().count(2)
    before = scrape(tmp_path)
    assert (before["processes"], before["connections"]) == (2, 5)
    os.kill(other.pid, signal.SIGKILL)
    other.wait()
    after = scrape(tmp_path)
    assert (after["processes"], after["connections"]) == (1, 2)
    assert after["connections_accepted_total"] == 5
    assert after.fallen_since(before) == set()
    assert len(list(tmp_path.glob("gauge_*.db"))) == 3
    assert len(list(tmp_path.glob("*.alive"))) == 1


def test_a_process_that_is_stopped_for_a_while_lives(other, tmp_path):
    os.kill(other.pid, signal.SIGSTOP)
    try:
        assert scrape(tmp_path)["processes"] == 1
    finally:
        os.kill(other.pid, signal.SIGCONT)


def test_a_process_that_ends_leaves_its_sums(processes, tmp_path):
    ends, stays = processes(), processes()
    ends.count(2)
    stays.count(1)
    before = scrape(tmp_path)
    ends.shared.close()
    after = scrape(tmp_path)
    assert after["connections"] == 1
    assert after.fallen_since(before) == set()


def test_processes_that_come_and_go_leave_no_more_files_than_live_at_one_time(processes, tmp_path):
    processes().count(1)
    for _ in range(5):
        process = processes()
        process.count(2)
        assert scrape(tmp_path)["connections"] == 3
        process.shared.close()
    assert scrape(tmp_path)["appends_total"] == 11
    assert scrape(tmp_path)["append_duration_seconds_count"] == 11
    assert len(list(tmp_path.glob("counter_*.db"))) == 2


def test_a_process_goes_on_in_the_sums_of_one_that_was_killed(processes, other, tmp_path):
    other.kill()
    other.wait()
    before = scrape(tmp_path)
    process = processes()
    for _ in range(2):
        process.write()
        assert scrape(tmp_path).fallen_since(before) == set()
    process.count(1)
    assert scrape(tmp_path)["connections_accepted_total"] == 4
    assert len(list(tmp_path.glob("counter_*.db"))) == 1


TIDIES = {"all": "*", "the locks": "*.[as]l*", "the gauges": "gauge*", "the sums": "[ch]*.db"}


@pytest.mark.parametrize("what", TIDIES)
def test_when_somebody_has_tidied_up_the_files_are_there_again(processes, tmp_path, what):
    process = processes()
    process.count(2)
    for path in list(tmp_path.glob(TIDIES[what])):
        path.unlink()
    if what == "all":
        tmp_path.rmdir()
    for _ in range(2):
        process.write()
        found = scrape(tmp_path)
        assert found["connections"] == found["appends_total"] == 2
        assert found["processes"] == 1


def test_files_in_use_look_so_to_what_tidies_up_by_age(processes, tmp_path):
    process = processes()
    process.count(2)
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    process.write()
    assert [path.name for path in tmp_path.iterdir() if path.stat().st_mtime == 0] == []


@pytest.mark.parametrize("lives", [True, False])
def test_gauges_that_an_app_has_by_itself_go_with_their_process(processes, tmp_path, lives):
    """Those have nothing but the process id in their names."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    number = os.getpid() if lives else gone.pid
    file = MmapedDict(str(tmp_path / f"gauge_livesum_{number}.db"))
    file.write_value(mmap_key("mine", "mine", [], [], "Mine."), 1.0, 0.0)
    file.close()
    names = {sample.name for sample in scrape(tmp_path).samples}
    assert ("mine" in names) == lives


def test_a_process_of_another_user_runs(monkeypatch):
    def refuse(*arguments):
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    assert runs(1)


def test_a_fresh_folder_is_in_the_environment_and_goes(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    with fresh_folder(2):
        folder = os.environ[VARIABLE]
        assert os.path.isdir(folder)  # noqa: PTH112
    assert VARIABLE not in os.environ
    assert not os.path.exists(folder)  # noqa: PTH110


def test_one_process_needs_no_folder_and_a_given_one_is_kept(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    with fresh_folder(1):
        assert VARIABLE not in os.environ
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with fresh_folder(2):
        assert os.environ[VARIABLE] == str(tmp_path)
    assert os.environ[VARIABLE] == str(tmp_path)
    assert tmp_path.is_dir()


def test_without_prometheus_client_there_is_no_folder(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    with fresh_folder(2):
        assert VARIABLE not in os.environ


def test_each_process_writes_by_itself_from_time_to_time(tmp_path, monkeypatch):
    monkeypatch.setattr("chatlib.core.metrics.add.WRITE_SECONDS", 0.01)
    hub, traffic = Hub("memory:"), Traffic()
    metrics = Metrics(Sources([hub]), traffic, tmp_path)

    def has_written(number):
        return list(tmp_path.glob("*.db")) and scrape(tmp_path)["connections"] == number

    async def run():
        async with asyncio.timeout(20), hub, metrics.running():
            for number in range(1, 4):
                traffic.begin()
                while not has_written(number):  # noqa: ASYNC110 - there is no event to wait for
                    await asyncio.sleep(0.01)
                assert len(list(tmp_path.glob("counter_*.db"))) == 1
            traffic.begin()

    asyncio.run(run())
    found = scrape(tmp_path)
    assert found["connections_accepted_total"] == 4  # it writes once more as it ends
    assert "chatlib_connections" not in found.names


def test_a_folder_that_cannot_be_used_does_not_stop_the_app(tmp_path, logged):
    (tmp_path / "file").write_text("")
    metrics = Metrics(Sources([Hub("memory:")]), Traffic(), tmp_path / "file" / "below")

    async def run():
        async with metrics.sources.hub, metrics.running():
            await asyncio.sleep(0)
            metrics._write(True)

    asyncio.run(run())
    assert logged
    assert "the figures cannot be written: " in logged[0].getMessage()
