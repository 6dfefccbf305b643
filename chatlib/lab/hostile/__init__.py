"""What somebody may do to a server, done to one of your own: bounded, and on this machine alone.

results = {"uvicorn alone": hostile.attack(server)}
hostile.table(results)
"""

from chatlib.lab.hostile.attacks import KINDS, never_reads
from chatlib.lab.hostile.trial import Result, attack, charts, stop, table

__all__ = ["KINDS", "Result", "attack", "charts", "never_reads", "stop", "table"]
