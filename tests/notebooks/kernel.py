"""A kernel of one's own, for the scripts and tests that run notebooks."""

import os
import queue
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from jupyter_client.manager import KernelManager
from nbformat import NotebookNode

CELL_SECONDS = 60.0
# They say where a page is embedded from, which an output shall not depend on.
ENVIRONMENT_OF_A_HUB = ("CHATLIB_PROXY_PREFIX", "JUPYTERHUB_SERVICE_PREFIX")


@dataclass
class Run:
    """What one execution of a cell gave; `count` is None if the kernel refused to execute it."""

    count: int | None = None
    outputs: list[NotebookNode] = field(default_factory=list)
    error: NotebookNode | None = None


class Kernel:
    """A fresh kernel with `folder` as its working directory; a context manager, which ends it."""

    def __init__(self, folder: Path) -> None:
        environment = {k: v for k, v in os.environ.items() if k not in ENVIRONMENT_OF_A_HUB}
        self._manager = KernelManager(kernel_name="python3")
        self._manager.start_kernel(
            cwd=str(folder),
            env=environment,
            stderr=subprocess.DEVNULL,  # ipykernel's own remarks; a cell's come by message
            extra_arguments=["--HistoryManager.hist_file=:memory:"],
        )
        self._client = self._manager.client()
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=CELL_SECONDS)
        except RuntimeError:
            self.close()
            raise

    def run(
        self,
        sources: Iterable[str],
        *,
        may_raise: Iterable[bool] | None = None,
        seconds: float = CELL_SECONDS,
    ) -> list[Run]:
        """Queue all of `sources`, as Run All does, and return what each gave.

        After a cell that raised the rest is refused, but for cells that `may_raise`.

        Raises:
            TimeoutError: a cell took more than `seconds`; it was interrupted.
            RuntimeError: the kernel died.
        """
        sources = list(sources)
        stops = [not may for may in may_raise or [False] * len(sources)]
        runs = {
            self._client.execute(source, allow_stdin=False, stop_on_error=stop): Run()
            for source, stop in zip(sources, stops, strict=True)
        }
        for source, request in zip(sources, list(runs), strict=True):
            deadline = time.monotonic() + seconds
            while not self._receive(runs, request, deadline, source):
                pass
        return list(runs.values())

    def _receive(self, runs: dict[str, Run], request: str, deadline: float, source: str) -> bool:
        """Handle one message; return whether it says that `request` is done."""
        try:
            left = max(0.0, deadline - time.monotonic())
            message = self._client.get_iopub_msg(timeout=min(left, 1.0))
        except queue.Empty:
            first = source.strip().partition("\n")[0]
            if not self._manager.is_alive():
                raise RuntimeError(f"the kernel died in the cell that starts {first!r}") from None
            if time.monotonic() >= deadline:
                self._manager.interrupt_kernel()
                raise TimeoutError(f"the cell that starts {first!r} does not end") from None
            return False
        parent, kind = message["parent_header"].get("msg_id"), message["msg_type"]
        content = message["content"]
        if parent not in runs:
            return False
        if kind == "execute_input":
            runs[parent].count = content["execution_count"]
        elif kind in ("stream", "display_data", "execute_result", "error"):
            output = nbformat.v4.output_from_msg(message)
            runs[parent].outputs.append(output)
            if kind == "error":
                runs[parent].error = output
        return kind == "status" and content["execution_state"] == "idle" and parent == request

    def close(self) -> None:
        """End the kernel."""
        self._client.stop_channels()
        self._manager.shutdown_kernel()
        self._manager.cleanup_resources()

    def __enter__(self) -> "Kernel":
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()
