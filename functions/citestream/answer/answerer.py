"""What writes an answer from passages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from citestream.model import FailureCode, FinishReason, Passage, Usage

#: What both answerers say when the passages don't answer; a model is told to say exactly this.
NO_ANSWER = "The documents do not answer this question."


@dataclass(frozen=True, slots=True)
class Ending:
    """Why and at what price the answer ended; the last thing an answerer yields."""

    finish_reason: FinishReason = "stop"
    usage: Usage = field(default_factory=Usage)


class AnswerError(Exception):
    """The answerer failed. ``message`` is shown to the user: it holds no internals."""

    def __init__(self, code: FailureCode, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.code: FailureCode = code
        self.message = message
        self.retryable = retryable


class Answerer(Protocol):
    """Writes an answer that cites its passages by ``[n]``, n counting them from 1 as they are given."""

    def answer(self, question: str, passages: Sequence[Passage]) -> AsyncGenerator[str | Ending]:
        """Yield the answer's text piece by piece (pieces may be empty), then one ``Ending``.

        ``passages`` is never empty. Closing the generator ends the work, upstream requests included.
        Raises ``AnswerError``.
        """
        ...
