"""The measures of answers without a model, on a little data in the forms of the public sets."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from citestream.evaluation.abstention import ABSTENTION
from citestream.evaluation.extracts import EXTRACTS, in_runs, reported, whole
from citestream.evaluation.figures import Run
from tests.letters import Letters

CITIES = ["Avignon", "Bergen", "Cuzco", "Dresden", "Evora", "Foshan", "Ghent", "Hanoi"]
BEFORE = "Nobody knows why it was wanted. "


def article(city: str) -> object:
    built = f"The bridge of {city} was built by the {city} wright in 1849."
    context = f"{BEFORE}{built} {BEFORE}"
    answer = {"text": f"the {city} wright", "answer_start": context.index(f"the {city} wright")}
    question = {"question": f"Who built the bridge of {city}?", "answers": [answer]}
    return {"title": city, "paragraphs": [{"context": context, "qas": [question]}]}


def clapnq_row(question: str, text: str) -> str:
    return json.dumps({"input": question, "passages": [{"title": "Bridges", "text": text}]})


@pytest.fixture
def run(tmp_path: Path) -> Run:
    for name in ("xquad", "chunking_evaluation", "clapnq"):
        (tmp_path / name).mkdir()
    for language in ("en", "de"):
        articles = json.dumps({"data": list(map(article, CITIES))})
        (tmp_path / "xquad" / f"xquad.{language}.json").write_text(articles, "utf-8")
    leans = "The tower leans by four degrees"
    text = f"{BEFORE}{leans} since it was built. {BEFORE}"
    start = text.index(leans)
    (tmp_path / "chunking_evaluation" / "state_of_the_union.md").write_text(text, "utf-8")
    (tmp_path / "chunking_evaluation" / "other.md").write_text("# Other\n\nRivers are long.\n", "utf-8")
    with (tmp_path / "chunking_evaluation" / "questions_df.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["question", "references", "corpus_id"])
        references = json.dumps([{"start_index": start, "end_index": start + len(leans)}])
        writer.writerow(["How far does the tower lean?", references, "state_of_the_union"])
    answered = [clapnq_row(f"who built bridge {n}", f"Bridge {n} was built by Ada .") for n in range(8)]
    unanswered = [clapnq_row(f"who built bridge {n}", "Rivers are long and wide .") for n in range(8)]
    for kind, rows in (("answerable", answered), ("unanswerable", unanswered)):
        (tmp_path / "clapnq" / f"clapnq_half_a_{kind}.jsonl").write_text("\n".join(rows), "utf-8")
    return Run(tmp_path, False, Letters(0.0), tmp_path)


@pytest.mark.parametrize("subset", [False, True])
async def test_answers_are_quoted_and_cited_where_they_stand(run: Run, subset: bool) -> None:
    figures = {each.name: each for each in await EXTRACTS.measure(replace(run, subset=subset))}
    for name in ("XQuAD in English, answers quoted", "XQuAD in German, answers quoted"):
        assert figures[name].ours == 1.0
        assert figures[name].baselines["the top passage's first sentence"] == 0.0
        assert figures[f"{name}: by the first sentence"].ours == 1.0
        assert 9 <= figures[f"{name}: words an answer"].ours < 40
    assert figures["chunking_evaluation, words of the excerpts quoted (in threes)"].ours == 1.0
    assert figures["XQuAD in English, answered where the answer was found"].ours == 1.0
    excerpts = figures["XQuAD in English, excerpts that hold the answer"]
    assert (excerpts.ours, *excerpts.baselines.values()) == (1.0, 0.0)


async def test_an_answer_from_other_documents_is_counted(run: Run) -> None:
    figures = {each.name: each for each in await EXTRACTS.measure(run)}
    assert figures["XQuAD in English, answered where the document is missing"].ours == 1.0  # of another bridge


async def test_what_does_not_answer_is_told_from_what_does(run: Run) -> None:
    area, answered, unanswered = await ABSTENTION.measure(run)
    assert (area.ours, answered.ours, unanswered.ours) == (1.0, 1.0, 0.0)
    assert area.baselines["similarity of vectors"] > area.baselines["constant"] == 0.5


@pytest.mark.parametrize(
    ("gold", "text", "share"),
    [
        ("one two three four", "zero one two three", 0.5),
        ("one two", "zero one two", 1.0),
        ("one two", "two one", 0.0),
        ("One, two: three", "one two three.", 1.0),
    ],
)
def test_what_is_quoted_is_counted_in_runs_of_words(gold: str, text: str, share: float) -> None:
    assert in_runs(gold, text) == share


def test_a_short_answer_is_quoted_or_not() -> None:
    assert (whole("the wright", "by the wright of"), whole("the wright", "the other wright")) == (1.0, 0.0)


def test_about_half_of_the_articles_are_reported() -> None:
    assert 40 < sum(reported(f"{number}.txt") for number in range(100)) < 60
    assert 2 <= sum(reported(f"{city}.txt") for city in CITIES) < len(CITIES)
