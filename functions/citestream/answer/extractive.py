"""The built-in answerer: no model, deterministic. It quotes the sentences that share most with the question."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

from citestream.answer.answerer import NO_ANSWER, Condensed, Ending
from citestream.answer.choice import chosen
from citestream.answer.history import Turn, carried
from citestream.answer.quotation import marked
from citestream.model import Passage


class ExtractiveAnswerer:
    """Sentences of the passages, the best source's first, each with the markers of those that say it."""

    async def condense(self, question: str, history: Sequence[Turn]) -> Condensed:
        return Condensed(carried(question, history))

    async def answer(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn] = ()
    ) -> AsyncGenerator[str | Ending]:
        # A long question over many passages takes some 100 ms, which no other stream is to wait for.
        sentences = await asyncio.to_thread(chosen, carried(question, history), passages)
        if not sentences:
            yield NO_ANSWER
            yield Ending("no_answer")
            return
        for i, sentence in enumerate(sentences):
            yield f"{' ' if i else ''}{marked(sentence.text, sentence.sources)}"
        yield Ending("stop")
