"""From a question to a stream's events: retrieve, answer, markers, citations, confidence. One way for all answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from citestream.answer.answerer import NO_ANSWER, Answerer, Ending
from citestream.answer.citations import cite, claims, in_place
from citestream.answer.confidence import components, score
from citestream.answer.markers import Markers
from citestream.model import Citation, Done, Event, Passage, Results, Sources, Timing, Token, may_see
from citestream.retrieval.index import Index, Principals

DEFAULT_TOP_K = 8


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, of which knowledge bases, for how many passages; ``results`` when the reader wants these too.

    ``principals`` are the asker's: documents that are not for any of them are neither found nor shown.
    """

    text: str
    kb_ids: tuple[str, ...]
    top_k: int = DEFAULT_TOP_K
    results: bool = False
    principals: Principals = None


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
        passages = await self._index.search(question.text, question.kb_ids, question.top_k, question.principals)
        retrieval = _milliseconds(started)
        if question.principals is not None:
            yield Sources(tuple(dict.fromkeys(passage.document_id for passage in passages)))
        if question.results:
            yield Results(tuple(passages))
        markers, ending, first_token = Markers(len(passages)), None, 0
        text: list[str] = []
        async with aclosing(self._written(question.text, passages, markers)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Ending):
                    ending = piece
                    continue
                if not text:
                    first_token = _milliseconds(started)
                text.append(piece)
                yield Token(piece)
        if ending is None:
            raise RuntimeError("the answerer stopped without an ending")
        answer = "".join(text)
        found = claims(answer, markers.marks)
        citations = await self._verified(cite(found, markers.sources, passages), question.principals)
        for citation in citations:
            yield citation
        parts = components(question.text, found, citations, passages, markers.invalid)
        yield Done(
            confidence_score=score(parts, citations, ending.finish_reason, passages),
            finish_reason=ending.finish_reason,
            stream_id=stream_id,
            components=parts.as_dict(),
            usage=ending.usage,
            timing_ms=Timing(retrieval, first_token, _milliseconds(started)),
        )

    async def _written(
        self, question: str, passages: Sequence[Passage], markers: Markers
    ) -> AsyncGenerator[str | Ending]:
        """The answer's text with its markers in order, no piece empty, and its ending."""
        if not passages:
            yield NO_ANSWER
            yield Ending("no_answer")
            return
        async with aclosing(self._answerer.answer(question, passages)) as pieces:
            async for piece in pieces:
                if isinstance(piece, Ending):
                    if rest := markers.close():
                        yield rest
                    yield piece
                elif out := markers.feed(piece):
                    yield out

    async def _verified(self, citations: Sequence[Citation], principals: Principals) -> list[Citation]:
        """The citations, each checked against its document as it is now.

        A document that has been withdrawn from the asker meanwhile is as good as removed: no word of what it has
        become is shown.
        """
        ids = list({citation.document_id for citation in citations})
        found = dict(zip(ids, await asyncio.gather(*map(self._index.document, ids)), strict=True))
        readable = {id: each for id, each in found.items() if each and may_see(each.access, principals)}
        return [in_place(citation, readable.get(citation.document_id)) for citation in citations]


def _milliseconds(since: float) -> int:
    return round((time.perf_counter() - since) * 1000)
