"""The Dockerfile in deploy/docker, taken apart, and its command run as in a container."""

import contextlib
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ports import reserved_port
from recipes import DEPLOY, ROOT, Running, with_this_python

DOCKERFILE = DEPLOY / "docker" / "Dockerfile"
USER = 10001


def instructions():
    """Return the instructions of the Dockerfile: each a word in capitals, and the rest."""
    text = DOCKERFILE.read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]


class Image:
    """What the last stage of the Dockerfile says."""

    def __init__(self):
        everything = instructions()
        last = max(at for at, (word, _) in enumerate(everything) if word == "FROM")
        self.stage = everything[last:]
        self.environment = dict(
            assignment.split("=", 1) for text in self.all("ENV") for assignment in shlex.split(text)
        )
        self.command = json.loads(self.one("CMD"))
        self.check = json.loads(self.one("HEALTHCHECK").partition("CMD")[2])
        self.user = int(self.one("USER").partition(":")[0])
        self.port = int(self.one("EXPOSE"))

    def all(self, word):
        """Return what comes after `word`, wherever it stands."""
        return [rest for name, rest in self.stage if name == word]

    def one(self, word):
        """Return what comes after `word`, which stands there once."""
        (rest,) = self.all(word)
        return rest


class Container:
    """A process that runs as the Dockerfile says, at a free port of 127.0.0.1.

    Where the tests run as root, it is the first process of its own, and has the user of the image.

    Args:
        folder: what is `/data` in the image.
        command: in place of that of the image.
        port: where it listens; None: a free one.
        environment: more variables.

    Attributes:
        port: where it listens.
        pid: of the server.
    """

    def __init__(self, folder, command=None, port=None, **environment):
        image = Image()
        self._reserved = contextlib.ExitStack()
        self.port = port or self._reserved.enter_context(reserved_port())
        self.image = image
        self.environment = {
            name: value.replace("/data/", f"{folder}/")
            for name, value in image.environment.items()
            if name != "PATH"
        } | {"PORT": str(self.port), **environment}
        command = with_this_python(command or image.command)
        # Docker's port forwarding comes from outside the container; here nobody else may come in.
        command[command.index("0.0.0.0")] = "127.0.0.1"
        wrapper = in_namespaces()
        if wrapper:
            Path(folder).chmod(0o777)
        self.process = Running([*wrapper, *command], self.environment, cwd=folder)
        self.process.wait_for("Uvicorn running on")
        self.pid = self._first_process() if wrapper else self.process.pid
        self.is_first = bool(wrapper)

    def _first_process(self):
        text = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return int(text)

    def healthy(self):
        """Return with what the health check of the image ends."""
        check = with_this_python(self.image.check)
        return subprocess.run(
            check, env=self.environment, capture_output=True, check=False
        ).returncode

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, 15)
        self.process.__exit__(*exc_info)
        self._reserved.close()


@functools.cache
def in_namespaces():
    """Return what makes a command the first process of its own, without root; empty if not here."""
    programs = ["unshare", "setpriv"]
    if sys.platform != "linux" or os.geteuid() != 0 or not all(map(shutil.which, programs)):
        return []
    wrapper = [
        *["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"],
        *["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups", "--no-new-privs"],
        *["--pdeathsig", "KILL"],  # the change of the user has undone what unshare has set
    ]
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        probe = subprocess.run(
            [*wrapper, sys.executable, "-c", "import chatlib.rooms"],
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
            cwd=folder,
            capture_output=True,
            check=False,
        )
    return wrapper if probe.returncode == 0 else []


def bound_of(text):
    """Return the seconds of a duration as Docker writes it: `20s`."""
    return int(re.fullmatch(r"(\d+)s", text)[1])
