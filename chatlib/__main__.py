"""`python -m chatlib chat --port 8000` runs one of the finished apps."""

import argparse
from collections.abc import Sequence

import uvicorn

from chatlib.core.guard import MAX_MESSAGE_BYTES


def main(argv: Sequence[str] | None = None) -> None:
    """Run the app that the command line names, until Ctrl+C."""
    parser = argparse.ArgumentParser(prog="python -m chatlib", description=__doc__)
    parser.add_argument("app", choices=["echo", "items", "chat"])
    parser.add_argument("--host", default="127.0.0.1", help="default: %(default)s")
    parser.add_argument("--port", type=int, default=8000, help="default: %(default)s; 0: any free")
    arguments = parser.parse_args(argv)
    uvicorn.run(
        f"chatlib.{arguments.app}:app",
        host=arguments.host,
        port=arguments.port,
        ws="chatlib.core.fanout:FanoutProtocol",
        ws_max_size=MAX_MESSAGE_BYTES,
        # Without it a stop waits for as long as any handler likes.
        timeout_graceful_shutdown=5,
    )


if __name__ == "__main__":
    main()
