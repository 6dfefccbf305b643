"""The checklist in a terminal: `python -m chatlib.lab.check ready "uvicorn app:app" --path /ws`.

It exits with 1 where a point of it does not hold.
"""

import argparse
import sys
from collections.abc import Sequence

from chatlib.lab import check


def main(argv: Sequence[str] | None = None) -> None:
    """Check what the command line names, print the report, and exit where it does not pass."""
    parser = argparse.ArgumentParser(prog="python -m chatlib.lab.check", description=__doc__)
    parser.add_argument("what", choices=["ready"])
    parser.add_argument("server", help="a command that starts it, module:app, or an address")
    parser.add_argument("--path", help="of the WebSocket; default: the first that the app has")
    parser.add_argument("--header", action="append", default=[], metavar="NAME:VALUE")
    parser.add_argument("--say", help="a message that the app takes; default: any text")
    parser.add_argument("--secret", help="a parameter in the query that shall not be in the log")
    parser.add_argument("--only", nargs="+", metavar="POINT", help="origin size, say")
    given = parser.parse_args(argv)
    headers = dict(each.partition(":")[::2] for each in given.header)
    try:
        report = check.ready(
            given.server,
            given.path,
            headers={name: value.strip() for name, value in headers.items()},
            say=given.say,
            secret=given.secret,
            only=given.only,
        )
    except ValueError as error:
        parser.error(str(error))
    print(report)
    sys.exit(0 if report.passed else 1)


if __name__ == "__main__":
    main()
