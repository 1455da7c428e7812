"""A client that follows the contract and nothing else, over sockets that may break at any byte."""

from __future__ import annotations

import json
import random
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from urllib.parse import urlsplit

# A connection of this many breaks at most.
_ATTEMPTS = 20


class ContractClient:
    """Asks once, and comes back with what it has until the stream has ended. ``frames`` are as they arrived.

    It does not wait for as long as ``retry:`` says before it comes back.
    """

    def __init__(self, url: str, query: str, key: str, rng: random.Random) -> None:
        self._address = urlsplit(url).netloc
        self._body = json.dumps({"query": query})
        self._headers = {"Accept": "text/event-stream", "Content-Type": "application/json", "Idempotency-Key": key}
        self._rng = rng
        self.frames: list[bytes] = []
        self.cursor = ""

    @property
    def stream_id(self) -> str:
        return self.cursor.rpartition("-")[0]

    @property
    def ended(self) -> bool:
        return bool(self.frames) and self.frames[-1].startswith((b"event: done\n", b"event: failure\n"))

    def read(self) -> None:
        for _ in range(_ATTEMPTS):
            with suppress(OSError, HTTPException), closing(HTTPConnection(self._address, timeout=60)) as connection:
                self._ask(connection)
                self._listen(connection)
            if self.ended:
                return
        raise AssertionError(f"{len(self.frames)} frames and no end")

    def _ask(self, connection: HTTPConnection) -> None:
        cursor = {"Last-Event-ID": self.cursor} if self.cursor else {}
        if self.cursor and self._rng.random() < 0.5:
            connection.request("GET", f"/api/v1/streams/{self.stream_id}", headers=cursor)
        else:
            connection.request("POST", "/api/v1/search", self._body, self._headers | cursor)

    def _listen(self, connection: HTTPConnection) -> None:
        response = connection.getresponse()
        assert response.status == 200, response.read()
        rest = b""
        while data := response.read1(65536):
            *whole, rest = (rest + data).split(b"\n\n")
            for each in whole:
                self._take(b"\n".join(line for line in each.split(b"\n") if not line.startswith(b":")) + b"\n\n")

    def _take(self, frame: bytes) -> None:
        self.cursor = frame.rstrip(b"\n").rpartition(b"\nid: ")[2].decode()
        assert self.cursor.rpartition("-")[2] == str(len(self.frames) + 1)  # no repeat and no gap
        self.frames.append(frame)
