"""The origins that an operator lets in, without touching an app's code."""

import os
from collections.abc import Collection

from chatlib.core.browsers import expect_sendable

VARIABLE = "CHATLIB_ORIGINS"


def origins_from_environment(default: Collection[str] = ()) -> Collection[str]:
    """Return the origins that `$CHATLIB_ORIGINS` names, with spaces between, for a `Guard`.

    The finished apps read it, so it works whatever starts them, and in each worker. `*` lets in
    every origin. Where the variable is not set, or empty, it returns `default`.

    Raises:
        ValueError: one of them is no origin that a browser sends.
    """
    origins = os.environ.get(VARIABLE, "").split()
    try:
        expect_sendable(origins)
    except ValueError as error:
        raise ValueError(f"${VARIABLE}: {error}") from None
    return origins or default
