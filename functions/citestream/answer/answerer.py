"""What writes an answer from passages."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from citestream.answer.history import Turn
from citestream.model import FailureCode, FinishReason, Passage, Usage

#: What both answerers say when the passages don't answer; a model is told to say exactly this.
NO_ANSWER = "The documents do not answer this question."


@dataclass(frozen=True, slots=True)
class Condensed:
    """A question as it can be understood without the turns before it, and what it took to find that out."""

    text: str
    usage: Usage = field(default_factory=Usage)


@dataclass(frozen=True, slots=True)
class Shown:
    """The passages as the answer is written from them: the last may be missing, the last of these cut short."""

    passages: tuple[Passage, ...]


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
    """Writes an answer that cites its passages by ``[n]``, n counting them from 1 as they are given.

    ``history`` are the turns before the question, as ``history.recent`` has them.
    """

    async def condense(self, question: str, history: Sequence[Turn]) -> Condensed:
        """The question for a search, with what it leaves to the turns before it, of which there is at least one.

        Never fails: at worst it is the question itself.
        """
        ...

    def answer(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn] = ()
    ) -> AsyncGenerator[str | Shown | Ending]:
        """Yield the answer's text piece by piece (pieces may be empty), then one ``Ending``.

        Before all else comes ``Shown``, where the passages were too much to be taken whole.
        ``passages`` is never empty. Closing the generator ends the work, upstream requests included.
        Raises ``AnswerError``.
        """
        ...
