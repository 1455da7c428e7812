"""The measures of retrieval, chunks and selection, on a little data in the forms of the public sets."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path

import pytest

from citestream.evaluation import chunk_sizes, retrieval, selection
from citestream.evaluation.data import Question, Span
from citestream.evaluation.figures import Figure, Part, Run
from citestream.evaluation.ranking import HYBRID, MEANING, RANKS, WORDS, by_reciprocal_ranks, ndcg
from citestream.model import Passage
from tests.letters import Letters

SENTENCE = "The {} of {} was built by {} in the year {}. "
CITIES = ["Avignon", "Bergen", "Cuzco", "Dresden", "Evora", "Foshan", "Ghent"]
THINGS = ["bridge", "castle", "theatre", "harbour", "library", "market"]


def builder(city: str, thing: str) -> str:
    return f"{thing.title()}wright of {city}"


def told(city: str, thing: str) -> str:
    return SENTENCE.format(thing, city, builder(city, thing), 1500 + 10 * CITIES.index(city) + THINGS.index(thing))


def xquad() -> object:
    """An article a city, a paragraph a thing, and a question each."""

    def paragraph(city: str, thing: str) -> object:
        context = told(city, thing) + f"Many visitors of {city} photograph the {thing} at sunset. " * 9
        answer = {"text": builder(city, thing), "answer_start": context.index(builder(city, thing))}
        return {"context": context, "qas": [{"question": f"Who built the {thing} of {city}?", "answers": [answer]}]}

    articles = [{"title": city, "paragraphs": [paragraph(city, thing) for thing in THINGS]} for city in CITIES]
    return {"data": articles}


def write_scifact(folder: Path) -> None:
    folder.mkdir()
    corpus = [{"_id": n, "title": city, "sentences": [told(city, "bridge")]} for n, city in enumerate(CITIES)]
    queries = [
        {"_id": 1, "text": "Bridgewright of Cuzco built a bridge", "split": "validation", "cited": ["2"]},
        {"_id": 2, "text": "Ghent and Dresden have bridges", "split": "validation", "cited": ["6", "3"]},
        {"_id": 3, "text": "not asked", "split": "train", "cited": ["1"]},
    ]
    for name, rows in (("corpus", corpus), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def write_chunking_evaluation(folder: Path) -> None:
    folder.mkdir()
    speech = "\r\n\r\n".join(told(city, thing) * 4 for city in CITIES for thing in THINGS)
    reports = "\n\n".join(told("Ghent", thing) + "It was as in all reports before. " * 12 for thing in THINGS * 3)
    texts = {"state_of_the_union.md": speech, "finance.md": reports}
    with (folder / "questions_df.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["question", "references", "corpus_id"])
        for name, text in texts.items():
            (folder / name).write_bytes(text.encode())
            for thing in THINGS:
                gold = told("Ghent", thing).strip()
                at = text.index(gold)
                place = [{"content": gold, "start_index": at, "end_index": at + len(gold)}]
                table.writerow([f"Who built the {thing} of Ghent?", json.dumps(place), name.removesuffix(".md")])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    write_scifact(folder / "scifact")
    write_chunking_evaluation(folder / "chunking_evaluation")
    (folder / "xquad").mkdir()
    for language in ("en", "de"):
        (folder / "xquad" / f"xquad.{language}.json").write_text(json.dumps(xquad()), "utf-8")
    return folder


async def measured(part: Part, data: Path, *, subset: bool) -> Mapping[str, Figure]:
    assert all((data / name).is_dir() for name in part.needs)
    return {figure.name: figure for figure in await part.measure(Run(data, subset, Letters(), data))}


@pytest.mark.parametrize("subset", [False, True])
async def test_retrieval_beside_simpler_ways(data: Path, subset: bool) -> None:
    found = await measured(retrieval.RETRIEVAL, data, subset=subset)
    claims, english, german = found.values()
    assert claims.ours == 1
    assert 0.93 < english.ours == german.ours < 1
    assert german.at_least == english.ours - 0.05
    assert all(figure.holds for figure in found.values())
    for figure in found.values():
        assert set(figure.baselines) == {HYBRID, RANKS, MEANING, WORDS}
        assert figure.baselines[MEANING] < figure.baselines[WORDS] <= 1


async def test_a_part_of_the_articles_is_some_of_them(data: Path) -> None:
    whole, part = (retrieval.articles(Run(data, subset, Letters(), data), "en") for subset in (False, True))
    assert list(part.documents) == list(whole.documents)[:6]
    assert {each.document for each in part.questions} == set(part.documents)
    for each in whole.questions:
        (span,) = each.spans
        assert "wright of" in whole.documents[each.document][slice(*span)]


@pytest.mark.parametrize("subset", [False, True])
async def test_sizes_of_chunks(data: Path, subset: bool) -> None:
    found = await measured(chunk_sizes.CHUNKS, data, subset=subset)
    recall, iou, in_budget = found.values()
    assert recall.name == "chunking_evaluation, recall of 5 chunks"
    for figure in (recall, in_budget):
        assert 0.4 < figure.ours <= 1
    assert iou.baselines["chunks half as large"] > iou.ours > iou.baselines["chunks twice as large"] > 0


async def test_selection_leaves_out_versions_and_finds_what_is_compared(data: Path) -> None:
    found = list((await measured(selection.SELECTION, data, subset=False)).values())
    answered, copies, titles, answers, of_all, of_half = found
    for figure in (answered, titles, answers, of_all, of_half):
        assert figure.ours >= figure.baselines[HYBRID]
    assert 1 <= copies.ours < copies.baselines[HYBRID] <= 4
    assert titles.ours == 1
    assert (of_all.ours, of_half.ours) == (1, 1)


async def test_the_part_for_every_day_reads_no_reports(data: Path) -> None:
    assert len(await measured(selection.SELECTION, data, subset=True)) == 4


def passage(name: str, start: int = 0, end: int = 10) -> Passage:
    return Passage(f"{name}-{start}", name, name, "kb", "x" * (end - start), start, end, None, None, 0.5)


def test_ranks_are_added_up() -> None:
    a, b, c, d = map(passage, "abcd")
    assert by_reciprocal_ranks([a, b, c], [b, c]) == [b, c, a]
    assert by_reciprocal_ranks([a, b], [d, c]) == [a, d, b, c]
    assert by_reciprocal_ranks([], []) == []


@pytest.mark.parametrize(
    ("hits", "relevant", "value"),
    [
        ([True], 1, 1),
        ([False, True], 1, 1 / math.log2(3)),
        ([False] * 10 + [True], 1, 0),
        ([True, False, True], 2, 1.5 / (1 + 1 / math.log2(3))),
        ([True] * 10, 20, 1),
        ([], 3, 0),
    ],
)
def test_ndcg(hits: list[bool], relevant: int, value: float) -> None:
    assert ndcg(hits, relevant) == pytest.approx(value)


@pytest.mark.parametrize(
    ("retrieved", "recall", "iou"),
    [
        ([("a", (0, 100))], 1, 30 / 100),
        ([("a", (0, 15)), ("a", (15, 25))], 1 / 3, 10 / (25 + 20)),
        ([("b", (0, 100))], 0, 0),
        ([("b", (0, 100)), ("a", (10, 45))], 25 / 30, 25 / 140),
        ([], 0, 0),
    ],
)
def test_overlap_with_the_excerpts(retrieved: list[tuple[str, Span]], recall: float, iou: float) -> None:
    question = Question("?", "a", ((10, 20), (30, 50)))
    found = chunk_sizes.overlap(question, retrieved)
    assert [found.recall, found.iou] == pytest.approx([recall, iou])


def test_what_is_read_within_a_budget() -> None:
    found = [passage("a", 5, 15), passage("b", 0, 10), passage("c", 0, 10)]
    assert list(chunk_sizes.within(14, found)) == [("a", (5, 15)), ("b", (0, 4))]
    assert list(chunk_sizes.within(20, found)) == [("a", (5, 15)), ("b", (0, 10))]
    assert len(list(chunk_sizes.within(999, found))) == 3
