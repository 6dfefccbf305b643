"""A server that the check starts, as the reader's own command line does, and may stop."""

import contextlib
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from chatlib.lab.check.readiness.paths import Door
from chatlib.lab.check.readiness.targets import Target
from chatlib.lab.loopback import HOST, ServerError, except_loopback_from_proxies, listen

START_SECONDS = 20.0
LOOK_SECONDS = 0.05
NAMED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
PORT_OPTIONS = ("--port", "-p", "--bind", "-b")


class Command(Target):
    """A server that a command line starts, in a process of its own.

    Args:
        command: a command line, or its words; or `module:app` alone, for `uvicorn module:app`. In
            place of `{port}` a free port is put. Without that, and without an option such as
            `--port`, the port is in the environment, as PORT and UVICORN_PORT.
        look: whether a second process shall import the app, if the command names it, to learn
            which WebSockets it has.

    Raises:
        ServerError: it does not start. The message has the last line that it wrote.
    """

    restarts = True

    def __init__(self, command: str | Sequence[str], *, look: bool = True) -> None:
        words = shlex.split(command) if isinstance(command, str) else list(map(str, command))
        if len(words) == 1 and NAMED.fullmatch(words[0]):
            words = ["uvicorn", *words]
        if not words:
            raise ValueError("expected a command that starts a server, got none")
        if os.name != "posix":
            raise ServerError("a command can be checked on Linux and macOS; here, hand in the app")
        port = port_in(words) or free_port()
        words = [word.replace("{port}", str(port)) for word in words]
        if words[0] in {"python", "python3"}:
            words[0] = sys.executable
        self.lacks = {}
        self.url = f"http://{HOST}:{port}"
        except_loopback_from_proxies()
        self._words, self._port, self._env = words, port, environment(port)
        # In this mode the process appends, wherever the check reads.
        self._log = tempfile.TemporaryFile("a+", errors="replace")  # noqa: SIM115 - see `end`
        try:
            self._start()
        except OSError as error:
            self._log.close()
            raise ServerError(f"cannot run {words[0]!r}: {error.strerror}") from error
        try:
            self.doors = self._look_for_doors(words) if look else []
            self._wait(port)
        except BaseException:
            self.end()
            raise

    def _start(self) -> None:
        self._process = subprocess.Popen(
            self._words,
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=self._env,
            start_new_session=True,
        )

    def restart(self) -> None:
        self._kill()
        self._start()
        self._wait(self._port)

    def _look_for_doors(self, words: list[str]) -> list[Door]:
        """Return the WebSockets of the app, which a second process imports, if it is named."""
        name = app_in(words)
        if name is None:
            return []
        looking = [sys.executable, "-m", "chatlib.lab.check.readiness.paths", name]
        try:
            came = subprocess.run(
                looking, env=self._env, capture_output=True, text=True, timeout=START_SECONDS
            )
            return [Door(**each) for each in json.loads(came.stdout.rpartition("\n\n")[2])]
        except (subprocess.TimeoutExpired, ValueError):
            return []  # what is wrong with it, the command itself says

    def _wait(self, port: int) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            if not self.running:
                raise ServerError(f"the command ended instead of listening: {self._last_words()}")
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                return
            time.sleep(LOOK_SECONDS)
        raise ServerError(
            f"nobody listens at port {port} within {START_SECONDS:.0f} s; write {{port}} into the "
            f"command where its port belongs. Its last words: {self._last_words()}"
        )

    def _last_words(self) -> str:
        return self.log().strip().rpartition("\n")[2] or "it said nothing"

    @property
    def running(self) -> bool:  # type: ignore[override]
        return self._process.poll() is None

    def log(self) -> str:
        self._log.seek(0)
        return self._log.read()

    def memory(self) -> int | None:
        try:
            pages = [
                int(each.joinpath("statm").read_text().split()[1])
                for each in Path("/proc").glob("[0-9]*")
                if is_of_session(each, self._process.pid)
            ]
        except (OSError, ValueError, IndexError):
            return None
        return sum(pages) * os.sysconf("SC_PAGE_SIZE") or None

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        self._kill()
        self._log.close()

    def _kill(self) -> None:
        with contextlib.suppress(OSError):  # all of them have ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def environment(port: int) -> dict[str, str]:
    """Return the environment of a command: what this Python finds, it finds too."""
    beside = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PATH": os.pathsep.join([beside, os.environ.get("PATH", os.defpath)]),
        "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *filter(None, sys.path)]),
        "PYTHONUNBUFFERED": "1",
        "PORT": str(port),
        "UVICORN_PORT": str(port),
    }


def port_in(words: Sequence[str]) -> int | None:
    """Return the port that a command names, or None."""
    for option, value in zip(words, [*words[1:], ""], strict=True):
        name, _, same = option.partition("=")
        number = (same or value).rpartition(":")[2]
        if name in PORT_OPTIONS and number.isdecimal() and int(number):
            return int(number)
    return None


def free_port() -> int:
    """Return a port at which nobody listens."""
    with listen(0) as sock:
        port: int = sock.getsockname()[1]
        return port


def app_in(words: Sequence[str]) -> str | None:
    """Return the app that a command names, as `module:app`, or None."""
    for before, word in zip(["", *words], words, strict=False):
        if not before.startswith("-") and NAMED.fullmatch(word):
            return word
    module = words[words.index("chatlib") + 1 :] if "chatlib" in words else ()
    return f"chatlib.{module[0]}:app" if module else None


def is_of_session(process: Path, session: int) -> bool:
    """Return whether a process, a folder in /proc, belongs to what a command has started."""
    try:
        fields = process.joinpath("stat").read_text().rpartition(")")[2].split()
    except OSError:  # it has just ended
        return False
    return fields[3] == str(session)
