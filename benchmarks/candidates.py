"""The candidates, as the tables call them."""

from benchmarks.measure import Candidate

CANDIDATES: dict[str, Candidate] = {
    "plain manager": ("plain", False),
    "plain manager, as a browser connects": ("plain", True),
    "plain manager with gather": ("gather", False),
    "a queue and a task per client": ("queues", False),
    "encode/broadcaster in memory": ("broadcaster", False),
    "python-socketio": ("socketio", False),
    "`websockets` and its broadcast()": ("websockets", False),
    "chatlib": ("chatlib", False),
    "chatlib, as a browser connects": ("chatlib", True),
    "floor of uvloop: a loop of `transport.write`": ("writes", False),
    "floor: a loop of `send(2)`": ("floor", False),
}
PLAIN, PLAIN_BROWSER, *_ = CANDIDATES
*_, WEBSOCKETS, OURS, OURS_BROWSER, UVLOOP, FLOOR = CANDIDATES

NUMBER = 100  # clients of the chats, and of the other servers

CHATS: dict[str, Candidate] = {
    "the chat on the plain manager": ("chat on plain", False),
    "the chat on chatlib": ("chat on chatlib", False),
}

# The servers that take no ready frames: what the plain manager on it is called, and what ours is.
OTHERS = {
    "uvicorn's own protocol": ("plain", "chatlib on uvicorn"),
    "Hypercorn": ("plain on hypercorn", "chatlib on hypercorn"),
    "Granian": ("plain on granian", "chatlib on granian"),
}
ON_OTHERS: dict[str, Candidate] = {
    name: (name, False) for pair in OTHERS.values() for name in pair
} | {FLOOR: CANDIDATES[FLOOR]}

# Whose connects are measured. The first is what the others are compared to.
CONNECTS = {
    "stock uvicorn, FastAPI, plain manager": "fastapi",
    "the chat on chatlib": "chat on chatlib",
    "the chat on chatlib, `gc.freeze()` and rarer collections": "chat, settled",
    "`websockets`": "websockets",
    FLOOR: "floor",
}
STOCK, _, SETTLED, *_ = CONNECTS
