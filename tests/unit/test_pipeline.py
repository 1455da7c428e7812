"""From a question to a stream's events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace

import pytest

from citestream.answer.answerer import NO_ANSWER, AnswerError, Condensed, Ending, Shown
from citestream.answer.history import Turn
from citestream.answer.pipeline import Pipeline, Question
from citestream.model import Citation, Document, Done, Event, Passage, Results, Sources, Token, Usage
from citestream.retrieval.index import Principals
from tests.answers import GUIDE, POLICY, passage


class OneIndex:
    """An index that has one document and finds what it is given, for whomever it is."""

    def __init__(
        self, passages: Sequence[Passage], text: str | None, access: tuple[str, ...] | None = None, at_once: int = 1
    ) -> None:
        self.passages = passages
        self.text = text
        self.access = access
        self.asked_for: list[Principals] = []
        self.queries: list[str] = []
        self.asked_together = asyncio.Barrier(at_once)

    async def search(self, query: str, kb_ids: Sequence[str], top_k: int, principals: Principals) -> Sequence[Passage]:
        self.asked_for.append(principals)
        self.queries.append(query)
        return self.passages[:top_k]

    async def document(self, document_id: str) -> Document | None:
        await self.asked_together.wait()
        return Document(document_id, document_id, "kb", self.text, self.access) if self.text is not None else None


class Scripted:
    """An answerer that says what it is told, and keeps what it is given."""

    def __init__(self, *pieces: str | Shown, condensed: str = "") -> None:
        self.pieces = pieces
        self.condensed = condensed
        self.given: list[object] = []

    async def condense(self, question: str, history: Sequence[Turn]) -> Condensed:
        self.given.append((question, history))
        return Condensed(self.condensed, Usage(20, 3))

    async def answer(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn] = ()
    ) -> AsyncGenerator[str | Shown | Ending]:
        self.given.append((question, passages, history))
        for piece in self.pieces:
            yield piece
        yield Ending("stop", Usage(100, 10))


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


async def test_pieces_without_text_are_no_events_and_what_was_held_back_comes_out_at_the_end() -> None:
    seen = await events(OneIndex([passage(GUIDE)], GUIDE), Scripted("", "See [", "", "1"))
    assert [event.text for event in seen if isinstance(event, Token)] == ["See", " [1"]


async def test_a_long_piece_lets_others_run_while_it_is_read() -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(take_turns())
    pipeline = Pipeline(OneIndex([passage(GUIDE)], GUIDE), Scripted("Tokens live [1]. " * 3_000))  # type: ignore[arg-type]
    at = [turns async for event in pipeline.events(Question("How long?", ("kb",)), "s") if isinstance(event, Token)]
    other.cancel()
    assert len(set(at)) == len(at) > 6


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
    other = passage("Keys are rotated each quarter.", "guide.md")
    index = OneIndex([passage(GUIDE), passage(POLICY, "policy.md"), other], GUIDE)
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
    index = OneIndex([passage(GUIDE), passage(POLICY, "policy.md")], GUIDE, at_once=2)
    async with asyncio.timeout(5):
        seen = await events(index, Scripted("One [1]. Two [2]. Three [1]."))
    assert [event.document_name for event in seen if isinstance(event, Citation)] == ["guide.md", "policy.md"]


async def test_what_repeats_a_better_passage_is_no_source() -> None:
    index = OneIndex([passage(GUIDE), passage(GUIDE, "copy.md"), passage(POLICY, "policy.md")], GUIDE)
    seen = await events(index, Scripted("A lost laptop is reported [2]."), results=True, top_k=2)
    assert isinstance(seen[0], Results)
    assert [each.document_name for each in seen[0].results] == ["guide.md", "policy.md"]
    assert [event.document_name for event in seen if isinstance(event, Citation)] == ["policy.md"]


def done(seen: list[Event]) -> Done:
    last = seen[-1]
    assert isinstance(last, Done)
    return last


async def test_a_follow_up_is_searched_for_as_it_is_condensed_and_answered_as_it_was_asked() -> None:
    index, answerer = OneIndex([passage(GUIDE)], GUIDE), Scripted("15 minutes [1].", condensed="access tokens live")
    history = (Turn("user", "How long do refresh tokens live?"), Turn("assistant", "30 days [1]."))
    seen = await events(index, answerer, history=history)
    unmarked = (history[0], Turn("assistant", "30 days."))
    question = "How long do tokens live?"
    assert answerer.given == [(question, unmarked), (question, [passage(GUIDE)], unmarked)]
    assert index.queries == ["access tokens live"]
    assert done(seen).usage == Usage(120, 13)
    assert done(seen).components["retrieval"] == 1.0


@pytest.mark.parametrize("history", [(), (Turn("assistant", "[1]"),), (Turn("user", "How long do tokens live?"),)])
async def test_without_turns_before_it_nobody_condenses_a_question(history: tuple[Turn, ...]) -> None:
    index, answerer = OneIndex([passage(GUIDE)], GUIDE), Scripted("15 minutes [1].")
    seen = await events(index, answerer, history=history)
    assert answerer.given == [("How long do tokens live?", [passage(GUIDE)], ())]
    assert index.queries == ["How long do tokens live?"]
    assert done(seen).usage == Usage(100, 10)


async def test_what_condensing_took_counts_where_nothing_is_found() -> None:
    seen = await events(OneIndex([], None), Scripted(condensed="x"), history=(Turn("user", "How long?"),))
    assert (done(seen).finish_reason, done(seen).usage) == ("no_answer", Usage(20, 3))


async def test_only_what_the_answer_was_written_from_is_cited() -> None:
    start = "Access tokens live for 15 minutes."
    shown = Shown((replace(passage(GUIDE), text=start, char_end=len(start)),))
    answerer = Scripted(shown, "Refresh tokens live for 30 days [1]. Laptops are encrypted [2].")
    seen = await events(OneIndex([passage(GUIDE), passage(POLICY, "policy.md")], GUIDE), answerer, results=True)
    assert [event.excerpt for event in seen if isinstance(event, Citation)] == [start]
    assert done(seen).components["invalid_markers"] == 1
    assert [len(event.results) for event in seen if isinstance(event, Results)] == [2]


@pytest.mark.parametrize(
    ("text", "citations", "reason"),
    [
        (NO_ANSWER, 0, "no_answer"),
        (f"{NO_ANSWER[:-1]} [1].", 1, "no_answer"),
        (f"{NO_ANSWER} [9]", 0, "no_answer"),
        (f"{NO_ANSWER} But tokens live for 15 minutes [1].", 1, "stop"),
        ("The sources do not say how long tokens live.", 0, "no_answer"),
    ],
)
async def test_a_refusal_is_told_as_one_and_its_markers_have_their_citations(
    text: str, citations: int, reason: str
) -> None:
    seen = await events(OneIndex([passage(GUIDE)], GUIDE), Scripted(text))
    assert len([event for event in seen if isinstance(event, Citation)]) == citations
    assert done(seen).finish_reason == reason
    assert reason == "stop" or done(seen).confidence_score <= 5


async def test_an_answerer_without_an_ending_is_a_defect() -> None:
    class Unended(Scripted):
        async def answer(self, *_: object) -> AsyncGenerator[str | Shown | Ending]:
            yield "So."

    with pytest.raises(RuntimeError, match="without an ending"):
        await events(OneIndex([passage(GUIDE)], GUIDE), Unended())


async def test_an_answer_of_which_nothing_is_left_is_none() -> None:
    with pytest.raises(AnswerError, match="gave no answer") as failed:
        await events(OneIndex([passage(GUIDE)], GUIDE), Scripted("<think>It says [1]. So ", "I would say [1]"))
    assert (failed.value.code, failed.value.retryable) == ("upstream_error", True)
