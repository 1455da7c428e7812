"""A stream's events put together again: the JSON answer."""

from __future__ import annotations

from typing import Any


class Collected:
    """What a reader has, once it has read to the end."""

    def __init__(self) -> None:
        self._answer: list[str] = []
        self._citations: list[Any] = []
        self._results: list[Any] = []
        self._done: dict[str, Any] = {}
        #: The data of the ``failure`` that ended the stream, if one did.
        self.failure: dict[str, Any] | None = None

    @property
    def ended(self) -> bool:
        """Whether there was a terminal event; a stream that is broken off has none."""
        return bool(self._done or self.failure)

    def add(self, event: str, data: dict[str, Any]) -> None:
        """Take the next event, by its name and its data."""
        match event:
            case "token":
                self._answer.append(data["text"])
            case "citation":
                self._citations.append(data)
            case "results":
                self._results += data["results"]
            case "done":
                self._done = data
            case "failure":
                self.failure = data

    def body(self) -> dict[str, Any]:
        """The JSON answer's members."""
        gathered = {"answer": "".join(self._answer), "citations": self._citations, "results": self._results}
        return gathered | self._done
