"""From a question to a stream's events: retrieve, answer, markers, citations, confidence. One way for all answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from citestream.answer.answerer import NO_ANSWER, Answerer, AnswerError, Condensed, Ending, Shown
from citestream.answer.citations import in_place
from citestream.answer.confidence import confidence
from citestream.answer.history import Turn, recent
from citestream.answer.judgement import judged
from citestream.answer.markers import Markers
from citestream.answer.refusal import is_refusal
from citestream.model import Citation, Done, Event, Passage, Results, Sources, Timing, Token, Usage, may_see
from citestream.retrieval.index import Index, Principals
from citestream.retrieval.selection import FETCHED, select

DEFAULT_TOP_K = 8
# Some models' answers come in one piece, which no other stream is to wait for: so many characters take some 10 ms.
_AT_ONCE = 8_192


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, of which knowledge bases, for how many passages; ``results`` when the reader wants these too.

    ``principals`` are the asker's: documents that are not for any of them are neither found nor shown.
    ``history`` are the turns of the conversation before it, oldest first.
    """

    text: str
    kb_ids: tuple[str, ...]
    top_k: int = DEFAULT_TOP_K
    results: bool = False
    principals: Principals = None
    history: tuple[Turn, ...] = ()


class Pipeline:
    """Answers questions from an index through an answerer."""

    def __init__(self, index: Index, answerer: Answerer) -> None:
        self._index = index
        self._answerer = answerer

    async def events(self, question: Question, stream_id: str) -> AsyncGenerator[Event]:
        """The answer's events, ``Done`` last; where documents may be withheld from the asker, ``Sources`` first.

        Raises AnswerError, EmbeddingFailed, StoreUnavailable and WrongIndex.
        """
        started = time.perf_counter()
        # Ten long answers take some 100 ms, which no other stream is to wait for.
        history = await asyncio.to_thread(recent, question.history, question.text) if question.history else ()
        asked = await self._answerer.condense(question.text, history) if history else Condensed(question.text)
        found = await self._index.search(asked.text, question.kb_ids, FETCHED, question.principals)
        passages = select(asked.text, found, question.top_k)
        retrieval = _milliseconds(started)
        if question.principals is not None:
            yield Sources(tuple(dict.fromkeys(passage.document_id for passage in passages)))
        if question.results:
            yield Results(tuple(passages))
        writing, first_token = _Writing(passages), 0
        text: list[str] = []
        async with aclosing(writing.pieces(self._answer(question.text, passages, history))) as pieces:
            async for piece in pieces:
                if not text:
                    first_token = _milliseconds(started)
                text.append(piece)
                yield Token(piece)
        answer, ending = "".join(text), writing.ending
        if not answer.strip():  # all of it was reasoning, or a list of sources
            raise AnswerError("upstream_error", "The model gave no answer.", retryable=True)
        judgement = await asyncio.to_thread(judged, asked.text, answer, writing.markers, writing.passages)
        citations = await self._verified(judgement.citations, question.principals)
        for citation in citations:
            yield citation
        reason = "no_answer" if is_refusal(answer) else ending.finish_reason
        parts = judgement.components(citations)
        yield Done(
            confidence_score=confidence(parts, reason),
            finish_reason=reason,
            stream_id=stream_id,
            components=parts.as_dict(),
            usage=_sum(asked.usage, ending.usage),
            timing_ms=Timing(retrieval, first_token, _milliseconds(started)),
        )

    async def _answer(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn]
    ) -> AsyncGenerator[str | Shown | Ending]:
        if not passages:
            yield NO_ANSWER
            yield Ending("no_answer")
            return
        async with aclosing(self._answerer.answer(question, passages, history)) as pieces:
            async for piece in pieces:
                yield piece

    async def _verified(self, citations: Sequence[Citation], principals: Principals) -> list[Citation]:
        """The citations, each checked against its document as it is now.

        A document that has been withdrawn from the asker meanwhile is as good as removed: no word of what it has
        become is shown.
        """
        ids = list({citation.document_id for citation in citations})
        found = dict(zip(ids, await asyncio.gather(*map(self._index.document, ids)), strict=True))
        readable = {id: each for id, each in found.items() if each and may_see(each.access, principals)}
        return [in_place(citation, readable.get(citation.document_id)) for citation in citations]


class _Writing:
    """An answer while it is written: what from, its markers, and how it ended."""

    def __init__(self, passages: Sequence[Passage]) -> None:
        self.passages = passages
        self.markers = Markers(len(passages))
        self._ending: Ending | None = None

    @property
    def ending(self) -> Ending:
        if self._ending is None:
            raise RuntimeError("the answerer stopped without an ending")
        return self._ending

    async def pieces(self, written: AsyncGenerator[str | Shown | Ending]) -> AsyncGenerator[str]:
        """The answer's text with its markers in order, no piece empty."""
        async with aclosing(written):
            async for piece in written:
                if isinstance(piece, Shown):
                    self.passages, self.markers = piece.passages, Markers(len(piece.passages))
                elif isinstance(piece, Ending):
                    self._ending = piece
                else:
                    for start in range(0, len(piece), _AT_ONCE):
                        if out := self.markers.feed(piece[start : start + _AT_ONCE]):
                            yield out
                        await asyncio.sleep(0)
        if rest := self.markers.close():
            yield rest


def _sum(one: Usage, other: Usage) -> Usage:
    return Usage(one.input_tokens + other.input_tokens, one.output_tokens + other.output_tokens)


def _milliseconds(since: float) -> int:
    return round((time.perf_counter() - since) * 1000)
