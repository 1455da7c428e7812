"""From passages to an answer: sentences chosen, claims, excerpts, support, confidence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

import pytest

from citestream.answer.answerer import NO_ANSWER, Ending
from citestream.answer.citations import Claim, best_span, cite, claims
from citestream.answer.confidence import Components, components, score
from citestream.answer.extractive import ExtractiveAnswerer, plain
from citestream.answer.markers import Markers
from citestream.answer.overlap import Weights, stems
from citestream.answer.pipeline import Pipeline, Question
from citestream.model import Citation, Document, Done, Event, Passage, Results, Sources, Token
from citestream.retrieval.index import Principals

GUIDE = "Access tokens live for 15 minutes. Refresh tokens live for 30 days. Both are revoked at logout."
POLICY = "Laptops are encrypted. A lost laptop is reported within 1 hour. The desk is open all day."


def passage(
    text: str, name: str = "guide.md", score: float = 1.0, section: str | None = None, start: int = 0
) -> Passage:
    return Passage(f"{name}-0", name, name, "kb", text, start, start + len(text), None, section, score)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How do the tokens expire?", ["token", "expir"]),
        ("policies policy policied", ["polic", "polic", "polic"]),
        ("15 minutes, v4.1", ["15", "minut", "v4", "1"]),
        ("東京都", ["東京", "京都"]),
        ("is the a", []),
    ],
)
def test_stems(text: str, expected: list[str]) -> None:
    assert stems(text) == expected


def test_recall_weighs_rare_terms_more() -> None:
    weights = Weights([["common", "rare"], ["common"], ["common"]])
    assert weights.recall(["common", "rare"], ["rare"]) > 0.5 > weights.recall(["common", "rare"], ["common"])
    assert weights.recall(["common"], ["common", "x"]) == 1.0
    assert weights.recall([], ["x"]) == 0.0


class Counting(Weights):
    """Counts how often a term is weighed."""

    count = 0

    def __getitem__(self, term: str) -> float:
        self.count += 1
        return super().__getitem__(term)


def test_recall_is_of_the_same_terms_in_whatever_order_and_however_often() -> None:
    texts = [["a", "b", "c"], ["b", "c"], ["c"]]
    wanted, found = ["d", "c", "b", "a", "b"], ["c", "x", "a"]
    asked_once = Weights(texts).recall(wanted, found)
    weights = Weights(texts)
    for _ in range(2):
        for each in (wanted, sorted(wanted), set(wanted), frozenset(wanted)):
            assert weights.recall(each, iter(found)) == asked_once
    weight = Weights(texts).__getitem__
    whole = sum(map(weight, "abcd"))
    assert asked_once == pytest.approx((weight("a") + weight("c")) / whole)


def test_a_long_question_is_weighed_once() -> None:
    question = frozenset(map(str, range(2000)))
    weights = Counting([["1", "2"], ["3"]])
    for sentence in range(200):
        weights.recall(question, [str(sentence), "other", "words"])
    assert weights.count == 2000 + 200


def fed(passages: int, text: str) -> tuple[str, Markers]:
    markers = Markers(passages)
    return markers.feed(text) + markers.close(), markers


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("One [1]. Two [2].", [Claim("One .", (1,)), Claim("Two .", (2,))]),
        ("One. [1] Two. [2]", [Claim("One.", (1,)), Claim("Two.", (2,))]),
        ("Both [1][2]. None.", [Claim("Both .", (1, 2)), Claim("None.", ())]),
        ("[1] At the start.", [Claim("At the start.", (1,))]),
        ("No marker.", [Claim("No marker.", ())]),
        ("", []),
    ],
)
def test_a_marker_belongs_to_the_sentence_it_follows(answer: str, expected: list[Claim]) -> None:
    text, markers = fed(2, answer)
    assert claims(text, markers.marks) == expected


@pytest.mark.parametrize(
    ("claim", "excerpt"),
    [
        ("The refresh token lives 30 days", "Refresh tokens live for 30 days."),
        ("An access token lives 15 minutes", "Access tokens live for 15 minutes."),
        (
            "15 minutes for access, 30 days for refresh",
            "Access tokens live for 15 minutes. Refresh tokens live for 30 days.",
        ),
    ],
)
def test_the_excerpt_is_the_span_that_supports_the_claim(claim: str, excerpt: str) -> None:
    start, end = best_span(GUIDE, stems(claim), Weights([stems(GUIDE)]))
    assert GUIDE[start:end] == excerpt


def test_an_excerpt_is_never_empty_nor_endless() -> None:
    assert best_span("word " * 1000, ["nothing"], Weights([])) == (0, 700)
    assert best_span(GUIDE, [], Weights([])) == (0, len("Access tokens live for 15 minutes."))


def test_citations_are_numbered_as_the_markers_and_lie_in_their_passages() -> None:
    passages = [passage(GUIDE, start=100), passage(POLICY, "policy.md", start=50)]
    text, markers = fed(2, "Report a lost laptop within 1 hour [2]. Refresh tokens live 30 days [1]. It is open [2].")
    first, second = cite(claims(text, markers.marks), markers.sources, passages)
    assert (first.number, first.document_name) == (1, "policy.md")
    assert first.excerpt in POLICY
    assert POLICY[first.char_start - 50 : first.char_end - 50] == first.excerpt
    assert second.excerpt == "Refresh tokens live for 30 days."
    assert (second.char_start, second.support) == (100 + GUIDE.index("Refresh"), 1.0)


def citation(support: float) -> Citation:
    return Citation(1, "d", "n", "kb", "e", 0, 1, None, None, 1.0, support)


def test_components_say_what_was_counted() -> None:
    found = [
        Claim("Tokens live for fifteen minutes.", (1,)),
        Claim("Nobody said this long thing.", ()),
        Claim("Yes.", ()),
    ]
    parts = components("How long do tokens live?", found, [citation(0.8)], [passage(GUIDE)], 2)
    assert (parts.coverage, parts.support, parts.invalid_markers) == (0.5, 0.8, 2)
    assert 0 < parts.retrieval <= 1


GOOD = Components(coverage=1.0, support=1.0, retrieval=1.0, invalid_markers=0)


def test_a_well_cited_answer_is_trusted_and_less_so_with_each_fault() -> None:
    cited, found = [citation(1.0)], [passage(GUIDE)]
    assert score(GOOD, cited, "stop", found) == 100
    for worse in (
        Components(0.5, 1.0, 1.0, 0),
        Components(1.0, 0.5, 1.0, 0),
        Components(1.0, 1.0, 0.5, 0),
        Components(1.0, 1.0, 1.0, 1),
    ):
        assert 0 < score(worse, cited, "stop", found) < 100


def test_refusals_and_answers_without_sources_are_not_trusted() -> None:
    assert score(GOOD, [citation(1.0)], "no_answer", [passage(GUIDE)]) == 5
    assert score(GOOD, [], "stop", [passage(GUIDE)]) == 0
    assert score(GOOD, [citation(1.0)], "stop", []) == 0


async def extracted(question: str, *passages: Passage) -> tuple[str, Ending]:
    pieces = [piece async for piece in ExtractiveAnswerer().answer(question, passages)]
    ending = pieces.pop()
    assert isinstance(ending, Ending)
    return "".join(piece for piece in pieces if isinstance(piece, str)), ending


async def test_while_a_long_question_is_compared_others_go_on() -> None:
    text = "".join(chr(0x4E00 + i * 7919 % 20000) for i in range(2000))
    passages = [passage(f"{text[at:]}{text[:at]}。", f"{at}.md") for at in range(0, 2000, 100)]
    async with aclosing(ExtractiveAnswerer().answer(text, passages)) as pieces:
        first = asyncio.ensure_future(anext(pieces))
        for _ in range(3):
            await asyncio.sleep(0)
        assert not first.done()
        assert "[1]" in str(await first)


async def test_the_extractive_answer_quotes_the_sentence_that_answers() -> None:
    text, ending = await extracted("How long do refresh tokens live?", passage(POLICY), passage(GUIDE))
    assert text.startswith("Refresh tokens live for 30 days [2].")
    assert ending == Ending("stop")


async def test_it_says_so_when_nothing_answers() -> None:
    assert await extracted("Who won the chess championship?", passage(GUIDE)) == (NO_ANSWER, Ending("no_answer"))


@pytest.mark.parametrize(
    ("document", "question"),
    [("The frobnitz wheel is red.", "Is the frobnitz wheel red?"), ("Paris is the capital.", "What is the capital?")],
)
async def test_a_short_sentence_is_quoted_too(document: str, question: str) -> None:
    text, ending = await extracted(question, passage(document))
    assert (text, ending.finish_reason) == (f"{document[:-1]} [1].", "stop")


async def test_it_says_nothing_twice() -> None:
    text, _ = await extracted("How long do refresh tokens live?", passage(GUIDE), passage(GUIDE, "copy.md", 0.9))
    assert text.count("Refresh tokens live") == 1


async def test_a_heading_says_what_the_sentences_below_it_are_about() -> None:
    text, _ = await extracted(
        "What is the refund deadline?",
        passage("The deadline is 14 days after delivery.", section="Refund"),
        passage("The deadline is 9 days after the order.", section="Shipping"),
    )
    assert "14 days" in text.partition("[1]")[0]


@pytest.mark.parametrize(
    ("quoted", "shown"),
    [
        ("See [the guide](https://x.example/a) now", "See the guide now"),
        ("As shown [12], and [3, 4] and [^2]", "As shown , and and"),
        ("Run `make run` with **care**", "Run make run with care"),
        ("- an item\n  on two lines", "an item on two lines"),
        ("costs $$5 or \\(x\\) [TODO]", "costs 5 or x (TODO)"),
        ("```\ncode\n```", "code"),
    ],
)
def test_quoted_text_opens_nothing_and_holds_no_marker(quoted: str, shown: str) -> None:
    assert plain(quoted) == shown


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


class Scripted:
    """An answerer that says what it is told."""

    def __init__(self, *pieces: str) -> None:
        self.pieces = pieces

    async def answer(self, question: str, passages: Sequence[Passage]) -> AsyncGenerator[str | Ending]:
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
