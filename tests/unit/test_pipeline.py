"""From a question to a stream's events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from citestream.answer.answerer import NO_ANSWER, Ending
from citestream.answer.history import Turn
from citestream.answer.pipeline import Pipeline, Question
from citestream.model import Citation, Document, Done, Event, Passage, Results, Sources, Token
from citestream.retrieval.index import Principals
from tests.answers import GUIDE, POLICY, Alone, passage


class OneIndex:
    """An index that has one document and finds what it is given, for whomever it is."""

    def __init__(
        self, passages: Sequence[Passage], text: str | None, access: tuple[str, ...] | None = None, at_once: int = 1
    ) -> None:
        self.passages = passages
        self.text = text
        self.access = access
        self.asked_for: list[Principals] = []
        self.asked_together = asyncio.Barrier(at_once)

    async def search(self, query: str, kb_ids: Sequence[str], top_k: int, principals: Principals) -> Sequence[Passage]:
        self.asked_for.append(principals)
        return self.passages[:top_k]

    async def document(self, document_id: str) -> Document | None:
        await self.asked_together.wait()
        return Document(document_id, document_id, "kb", self.text, self.access) if self.text is not None else None


class Scripted(Alone):
    """An answerer that says what it is told."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces

    async def answer(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn] = ()
    ) -> AsyncGenerator[str | Ending]:
        for piece in self.pieces:
            yield piece
        yield Ending("stop")


async def events(index: OneIndex, answerer: Scripted, **question: object) -> list[Event]:
    asked = Question("How long do tokens live?", ("kb",), **question)  # type: ignore[arg-type]
    return [event async for event in Pipeline(index, answerer).events(asked, "s")]  # type: ignore[arg-type]


async def test_the_pipelines_events_come_in_the_contracts_order() -> None:
    seen = await events(
        OneIndex([passage(GUIDE)], GUIDE), Scripted("Refresh tokens ", "live for 30 days [", "1]. [7]"), results=True
    )
    assert [type(event) for event in seen] == [Results, Token, Token, Token, Citation, Done]
    done = seen[-1]
    assert isinstance(done, Done)
    assert (done.stream_id, done.finish_reason, done.components["invalid_markers"]) == ("s", "stop", 1)


async def test_without_passages_no_answerer_is_asked() -> None:
    seen = await events(OneIndex([], None), Scripted("made up"))
    assert seen[0] == Token(NO_ANSWER)
    assert isinstance(seen[1], Done)
    assert (seen[1].confidence_score, seen[1].finish_reason) == (0, "no_answer")


@pytest.mark.parametrize(("text", "start"), [(GUIDE, 35), ("New first sentence. " + GUIDE, 55)])
async def test_an_excerpt_is_verified_in_the_document_as_it_is_now(text: str, start: int) -> None:
    seen = await events(OneIndex([passage(GUIDE)], text), Scripted("Refresh tokens live for 30 days [1]."))
    (found,) = (event for event in seen if isinstance(event, Citation))
    assert (found.char_start, found.support) == (start, 1.0)
    assert text[found.char_start : found.char_end] == found.excerpt


@pytest.mark.parametrize(
    ("text", "excerpt", "support"),
    [
        ("New. Refresh tokens now live for 60 days. More.", "Refresh tokens now live for 60 days.", (0.5, 0.9)),
        ("All is different.", "All is different.", (0.0, 0.0)),
        ("", "", (0.0, 0.0)),
        (None, "Refresh tokens live for 30 days.", (0.0, 0.0)),
    ],
)
async def test_an_excerpt_that_stands_there_no_more_gives_way_to_what_does(
    text: str | None, excerpt: str, support: tuple[float, float]
) -> None:
    seen = await events(OneIndex([passage(GUIDE)], text), Scripted("Refresh tokens live for 30 days [1]."))
    (found,) = (event for event in seen if isinstance(event, Citation))
    assert found.excerpt == excerpt
    assert text is None or text[found.char_start : found.char_end] == excerpt
    assert support[0] <= found.support <= support[1]


@pytest.mark.parametrize(
    ("principals", "before"),
    [
        (None, []),
        (frozenset({"ada"}), [Sources(("guide.md", "policy.md"))]),
        (frozenset(), [Sources(("guide.md", "policy.md"))]),
    ],
)
async def test_where_documents_may_be_withheld_the_sources_come_before_all_else(
    principals: Principals, before: list[Event]
) -> None:
    index = OneIndex([passage(GUIDE), passage(POLICY, "policy.md"), passage(GUIDE)], GUIDE)
    seen = await events(index, Scripted("Nothing."), principals=principals, results=True)
    assert index.asked_for == [principals]
    assert seen[: seen.index(Results(tuple(index.passages)))] == before
    assert [event for event in seen if isinstance(event, Sources)] == before


@pytest.mark.parametrize(
    ("access", "excerpt", "support"),
    [
        (None, "Refresh tokens now live for 60 days.", True),
        (("ada", "hr"), "Refresh tokens now live for 60 days.", True),
        (("hr",), "Refresh tokens live for 30 days.", False),
        ((), "Refresh tokens live for 30 days.", False),
    ],
)
async def test_a_new_version_that_is_not_for_the_asker_is_not_shown(
    access: tuple[str, ...] | None, excerpt: str, support: bool
) -> None:
    index = OneIndex([passage(GUIDE)], "Refresh tokens now live for 60 days.", access)
    answerer = Scripted("Refresh tokens live for 30 days [1].")
    seen = await events(index, answerer, principals=frozenset({"ada"}))
    (found,) = (event for event in seen if isinstance(event, Citation))
    assert (found.excerpt, found.support > 0) == (excerpt, support)


async def test_all_cited_documents_are_asked_for_at_once() -> None:
    index = OneIndex([passage(GUIDE), passage(GUIDE, "copy.md")], GUIDE, at_once=2)
    async with asyncio.timeout(5):
        seen = await events(index, Scripted("One [1]. Two [2]. Three [1]."))
    assert [event.document_name for event in seen if isinstance(event, Citation)] == ["guide.md", "copy.md"]
