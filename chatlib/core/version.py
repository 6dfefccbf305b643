"""Which chatlib this is."""

import functools
import importlib.metadata
from pathlib import Path

PROJECT = Path(__file__).parents[2] / "pyproject.toml"  # in a checkout alone
UNKNOWN = "0+unknown"


@functools.cache
def version() -> str:
    """Return the version of the code that runs: `0.1.0`, say.

    In a checkout, installed or not, that is what its pyproject.toml says: the metadata may be
    those of another installation, or older than the last change. Elsewhere it is what the metadata
    say. It is `0+unknown` where there are neither, as in a folder that somebody copied.
    """
    if PROJECT.is_file():
        import tomllib  # an installed chatlib starts without it

        project = tomllib.loads(PROJECT.read_text("utf-8")).get("project", {})
        if project.get("name") == "chatlib":
            return str(project["version"])
    try:
        return importlib.metadata.version("chatlib")
    except importlib.metadata.PackageNotFoundError:
        return UNKNOWN
