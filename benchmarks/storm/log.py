"""The log of a room, as a worker tells it over HTTP."""

import contextlib
import http.client
import json

from benchmarks.storm.evidence import Kept


def read_log(host: str, port: int, token: str, room: str) -> list[Kept]:
    """Return all that the store has of `room`, from its oldest message to its newest. It blocks."""
    log: list[Kept] = []
    before = ""
    while True:
        connection = http.client.HTTPConnection(host, port, timeout=10)
        with contextlib.closing(connection):
            connection.request(
                "GET",
                f"/rooms/{room}/messages?limit=200{before}",
                headers={"Authorization": f"Bearer {token}"},
            )
            past = json.loads(connection.getresponse().read())
        log = [
            Kept(*(message[key] for key in ("id", "tag", "key", "from")))
            for message in past["messages"]
        ] + log
        if not past["more"]:
            return log
        before = f"&before={log[0].id}"
