"""A worker for gunicorn that takes ready frames: `gunicorn -k chatlib.worker.FanoutWorker app:app`.

It needs `pip install gunicorn uvicorn-worker`.
"""

from typing import Any, ClassVar

from chatlib.core.fanout import FanoutProtocol
from chatlib.core.guard import MAX_MESSAGE_BYTES
from chatlib.core.head import TimedHead

try:
    from uvicorn_worker import UvicornWorker
except ImportError as error:
    raise ImportError(
        f"FanoutWorker needs gunicorn and uvicorn-worker ({error}): "
        "pip install gunicorn uvicorn-worker"
    ) from error

LEFT_SECONDS = 2  # for what a stop does once the handlers have ended


class FanoutWorker(UvicornWorker):  # type: ignore[misc]
    """uvicorn's own worker, with `FanoutProtocol`, and with bounds.

    A message may have 64 KiB, and the head of a request has 10 seconds to come. A stop tells
    clients 1012 at once, and cancels handlers that go on for longer than gunicorn's
    `--graceful-timeout` less two seconds, before gunicorn kills them.
    Derive from it, and set what else `uvicorn.Config` takes in `CONFIG_KWARGS`.
    """

    CONFIG_KWARGS: ClassVar[dict[str, Any]] = {
        **UvicornWorker.CONFIG_KWARGS,
        "http": TimedHead,
        "ws": FanoutProtocol,
        "ws_max_size": MAX_MESSAGE_BYTES,
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.config.timeout_graceful_shutdown is None:
            seconds = max(self.cfg.graceful_timeout - LEFT_SECONDS, 0)
            self.config.timeout_graceful_shutdown = seconds
