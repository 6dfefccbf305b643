"""The units in deploy/systemd: systemd's own judgement of them, and their command really run."""

import asyncio
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections import defaultdict

import pytest
from recipes import (
    DEPLOY,
    SECRET,
    Running,
    close_code,
    in_a_room,
    knock,
    listening_socket,
    run_async,
    with_this_python,
)

from chatlib.__main__ import STOP_SECONDS

UNITS = DEPLOY / "systemd"
ABORTED = "aborting the restart"  # what uvicorn says then
# What systemd does before it runs the command: the socket is descriptor 3.
HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ |= {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid())}
os.execvp(sys.argv[2], sys.argv[2:])
"""


def settings(unit):
    """Return the settings of a unit: by name, what each line says."""
    found = defaultdict(list)
    for line in (UNITS / unit).read_text("utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found[name].append(value)
    return found


SERVICE, SOCKET = settings("chatlib.service"), settings("chatlib.socket")
(COMMAND,) = [shlex.split(line) for line in SERVICE["ExecStart"]]


def needs(program):
    if shutil.which(program) is None:
        pytest.skip(f"there is no {program} here. On Debian and Ubuntu: apt install systemd")
    return program


@pytest.fixture
def units(tmp_path):
    """The two units in a folder, with a Python that is on this machine."""
    for unit in ("chatlib.service", "chatlib.socket"):
        text = (UNITS / unit).read_text("utf-8")
        (tmp_path / unit).write_text(text.replace(COMMAND[0], sys.executable), "utf-8")
    return tmp_path


def test_systemd_has_nothing_to_say_against_the_units(units):
    command = [needs("systemd-analyze"), "verify", "--man=no"]
    ran = subprocess.run(
        [*command, units / "chatlib.service", units / "chatlib.socket"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, "")


def test_systemd_calls_the_exposure_of_the_service_ok(units):
    """It goes from 0 to 10; below 2 there is little left that a chat can do without."""
    command = [needs("systemd-analyze"), "security", "--offline=true", "--threshold=20"]
    ran = subprocess.run(
        [*command, "--no-pager", units / "chatlib.service"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_systemd_waits_for_longer_than_a_stop_takes():
    (seconds,) = SERVICE["TimeoutStopSec"]
    drain = COMMAND[COMMAND.index("--drain") + 1] if "--drain" in COMMAND else "0"
    assert int(seconds) >= STOP_SECONDS + int(drain) + 10


def test_the_file_of_the_messages_is_in_the_folder_that_the_user_of_the_service_owns():
    variables = dict(line.split("=", 1) for line in SERVICE["Environment"])
    (folder,) = SERVICE["StateDirectory"]
    assert variables["CHATLIB_STORE"].startswith(f"sqlite:////var/lib/{folder}/")


def start(sock, folder):
    """Run the command of the unit as the socket's unit has it run, at the first connect."""
    variables = dict(line.split("=", 1) for line in SERVICE["Environment"])
    variables["CHATLIB_STORE"] = variables["CHATLIB_STORE"].replace("/var/lib/chatlib", str(folder))
    # It takes on no variable but these.
    variables |= {"CHATLIB_SECRET": SECRET}
    kept = [f"--setenv={name}" for name in [*variables, "PYTHONPATH"]]
    activate = [needs("systemd-socket-activate"), *kept, *with_this_python(COMMAND)]
    return Running(
        [sys.executable, "-c", HAND_OVER, str(sock.fileno()), *activate],
        variables,
        pass_fds=[sock.fileno()],
    )


@pytest.fixture
def sock():
    with listening_socket() as sock:
        yield sock


def test_a_client_that_connects_while_the_server_is_replaced_waits_and_gets_in(sock, tmp_path):
    port = sock.getsockname()[1]

    async def replace(old):
        async with in_a_room(port, "ana") as ana:
            old.send(signal.SIGTERM)
            assert await close_code(ana) == 1012
        assert await asyncio.to_thread(old.status) == 0
        async with asyncio.TaskGroup() as group:
            # Nobody serves, and it is not refused: it has a connection, and no answer yet.
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            knocking = group.create_task(welcome(port, "bea"))
            with start(sock, tmp_path) as new:
                await knocking
                writer.close()
                await writer.wait_closed()
                assert "Application startup complete" in new.printed

    async def welcome(port, name):
        async with in_a_room(port, name):
            pass

    with start(sock, tmp_path) as old:
        run_async(replace(old))


def test_a_reload_replaces_all_workers_and_refuses_nobody(sock, tmp_path):
    """It needs two workers at least: one alone does not survive the signal."""
    port = sock.getsockname()[1]
    (reload,) = SERVICE["ExecReload"]
    number = re.fullmatch(r"/bin/kill -(\w+) \$MAINPID", reload)[1]
    workers = int(COMMAND[COMMAND.index("--workers") + 1])
    assert workers > 1

    def replace(server):
        """Reload until both workers are replaced.

        uvicorn keeps a worker if the new one is not up in five seconds: this machine may be busy.
        """
        started = server.wait_for(r"Started server process \[(\d+)\]", workers)
        ends = [f"Finished server process [{worker}]" for worker in started]
        server.wait_for("startup complete", workers)
        kept = 0

        def is_over(printed):
            return printed.count(ABORTED) > kept or all(end in printed for end in ends)

        while not all(end in server.printed for end in ends):
            kept = server.printed.count(ABORTED)
            os.kill(server.pid, signal.Signals[f"SIG{number}"])
            server.wait_until(is_over)

    async def scenario(server):
        async with in_a_room(port, "ana") as ana:
            replaced = asyncio.create_task(asyncio.to_thread(replace, server))
            assert await knock(port, replaced) > 0
            await replaced
            assert await close_code(ana) == 1012

    with start(sock, tmp_path) as server:
        run_async(scenario(server))
        server.send(signal.SIGTERM)
        assert server.status() == 0
    assert "Traceback" not in server.printed
