"""The process in which an attacker runs: it would take the interpreter from who looks on."""

import json
import sys

from chatlib.lab.hostile.attacks import KINDS
from chatlib.lab.hostile.raw import Place


def main() -> None:
    """Do what each line of stdin says: at the first begin an attack, at the second end it."""
    for line in sys.stdin:
        order = json.loads(line)
        place = Place("127.0.0.1", order["port"], order["path"])
        attack = KINDS[order["kind"]].run(place)
        next(attack)
        print(json.dumps("it holds what it holds"), flush=True)
        sys.stdin.readline()
        try:
            next(attack)
        except StopIteration as end:
            print(json.dumps(end.value), flush=True)
