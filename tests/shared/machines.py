"""Machines on this machine: network namespaces of Linux, with cables between them.

A machine is a thread in a network namespace of its own. What it starts is there too: processes,
threads, sockets. The namespace ends with the last of them, and so does a cable with its ends. So
nothing stays behind, however a test ends.
"""

import ctypes
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

CLONE_NEWNET = 0x40000000  # of <sched.h>
CALL_SECONDS = 120.0  # a guard
NOBODY = "02:00:00:00:00:77"  # the hardware address of no machine
PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def why_not():
    """Return a sentence that says why there can be no machines here; None if there can."""
    if sys.platform != "linux":
        return f"network namespaces are of Linux, and this is {sys.platform}"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip", path=PATH) is None:
        return "there is no `ip` on this machine. On Debian and Ubuntu: apt install iproute2"
    try:
        with Machine("probe"):
            return None
    except OSError as error:
        return f"this machine gives no network namespace: {error}"


def unshare():
    """Move this thread into a new network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Machine:
    """A machine with no network but its cables. It is a context manager.

    Args:
        name: of at most ten letters.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._thread = ThreadPoolExecutor(1, f"machine {name}")
        self._operator = ThreadPoolExecutor(1, f"operator of {name}")
        try:
            self.run(unshare)
            # A thread begins in the namespace of the one that starts it.
            self.run(lambda: self._operator.submit(threading.get_native_id).result())
            self.id = self.run(threading.get_native_id)
            self.ip("link", "set", "lo", "up")
        except BaseException:
            self.stop()
            raise

    def run(self, do: Callable, *args: object, **options: object) -> object:
        """Have something done on this machine; return its result. One thing after the other."""
        return self._thread.submit(do, *args, **options).result(CALL_SECONDS)

    def ip(self, *words: str) -> None:
        """Do what the command `ip` does, whatever else this machine is doing."""
        command = [shutil.which("ip", path=PATH), *words]
        ran = self._operator.submit(
            subprocess.run, command, capture_output=True, text=True, check=False
        ).result(CALL_SECONDS)
        if ran.returncode:
            raise OSError(f"`ip {' '.join(words)}` on {self.name}: {ran.stderr.strip()}")

    def stop(self) -> None:
        """Have it gone, once it has done all that it was asked for."""
        self._thread.shutdown()
        self._operator.shutdown()

    def __enter__(self):
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()


class Cable:
    """A network of two machines.

    Args:
        number: of the cable.
        ends: the machines.

    Attributes:
        hosts: the addresses of the two, on this cable.
    """

    def __init__(self, number: int, *ends: Machine) -> None:
        one, other = ends
        self.ends = {one: f"to-{other.name}", other: f"to-{one.name}"}
        self.hosts = {one: f"10.77.{number}.1", other: f"10.77.{number}.2"}
        names = [self.ends[one], "type", "veth", "peer", "name", self.ends[other]]
        one.ip("link", "add", *names, "netns", str(other.id))
        for machine, name in self.ends.items():
            machine.ip("address", "add", f"{self.hosts[machine]}/30", "dev", name)
        self.repair()

    def pull(self) -> None:
        """Have the link down: both ends notice."""
        for machine, name in self.ends.items():
            machine.ip("link", "set", name, "down")

    def drop(self, *senders: Machine) -> None:
        """Have all packets of `senders` lost, or of both ends: no end notices.

        They go to a hardware address that nobody has, so the other end takes none.
        """
        for machine in senders or self.ends:
            (peer,) = (host for other, host in self.hosts.items() if other is not machine)
            name = self.ends[machine]
            machine.ip("neigh", "replace", peer, "lladdr", NOBODY, "dev", name, "nud", "permanent")

    def repair(self) -> None:
        """Have it well again."""
        for machine, name in self.ends.items():
            machine.ip("link", "set", name, "up")
            machine.ip("neigh", "flush", "dev", name, "nud", "all")
