"""What a store writes to the log: to the logger of `chatlib.core.log`, which says more of it."""

import logging

logger = logging.getLogger("uvicorn.error.chatlib")
