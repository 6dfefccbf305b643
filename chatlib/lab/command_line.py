"""What a command line for `chatlib.lab.commands` says, and how it is run."""

import shlex

# It runs a module as `python -m` does. When the pipe to its stdin closes, which the system does
# however the process ends that started it, it ends with all that it has started itself. It heeds
# SIGHUP, which is ignored below `nohup jupyter lab`.
RUN = """
import os, runpy, signal, sys, threading

def watch():
    while os.read(0, 1024):
        pass
    os.killpg(0, signal.SIGKILL)

if __name__ == "__main__":
    threading.Thread(target=watch, daemon=True).start()
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


def module_of(line: str) -> list[str]:
    """Return the module that `python -m …`, or `uvicorn …`, runs, and its arguments.

    Raises:
        ValueError: `line` begins with something else.
    """
    words = shlex.split(line)
    if words[:1] == ["uvicorn"]:
        words = ["python", "-m", *words]
    if words[:2] != ["python", "-m"] or not words[2:]:
        wanted = "python -m chatlib chat, or uvicorn app:app"
        raise ValueError(f"expected a command such as {wanted}; got {line!r}")
    return words[2:]
