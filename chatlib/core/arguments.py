"""What the command line takes: each kind of value, and what is said where it is something else."""

import argparse
import functools
import os
from collections.abc import Callable

from chatlib.core.browsers import expect_sendable
from chatlib.core.ops.stopping import Stopping


def whole_number(least: int, most: int, text: str) -> int:
    """Return the number that `text` writes, from `least` to `most`."""
    if not (text.isascii() and text.isdecimal() and least <= int(text) <= most):
        raise argparse.ArgumentTypeError(f"expected a number from {least} to {most}, got {text!r}")
    return int(text)


port_number = functools.partial(whole_number, 0, 65535)
worker_count = functools.partial(whole_number, 1, 1000)
descriptor = functools.partial(whole_number, 0, 2**31 - 1)


def seconds(text: str) -> float:
    """Return the number of seconds that `text` writes."""
    try:
        return Stopping(float(text)).drain
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected seconds from 0 on, got {text!r}") from None


def from_environment(name: str, kind: Callable[[str], int], default: int) -> int:
    """Return what the variable `name` says, or `default` if it is not set, or empty."""
    text = os.environ.get(name)
    try:
        return kind(text) if text else default
    except argparse.ArgumentTypeError as error:
        raise ValueError(f"${name}: {error}") from None


def root_path(text: str) -> str:
    """Return `text` if a path can follow it."""
    if text and (not text.startswith("/") or text.endswith("/")):
        raise argparse.ArgumentTypeError(
            f"expected a path that begins with / and does not end so, such as /chat; got {text!r}"
        )
    return text


def origin(text: str) -> str:
    """Return `text` if it is an origin."""
    try:
        expect_sendable([text])
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
