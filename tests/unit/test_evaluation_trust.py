"""The measures of confidence and support, on little answers in the forms of the public data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from citestream.answer.calibration import Calibration, Curve
from citestream.answer.citations import Claim
from citestream.evaluation import expertqa, negatives, trust
from citestream.evaluation.figures import Run
from citestream.evaluation.fit import distance, fit, main, matched
from tests.letters import Letters

FRUITS = ["apples", "pears", "plums", "grapes", "figs", "dates", "limes", "kiwis", "melons", "cherries"]


def answer(fruit: str) -> dict[str, object]:
    """Two sentences that are supported, one that is for some, one that cites nothing, one that nobody judged."""

    def claim(text: str, support: str, *evidence: str) -> dict[str, object]:
        return {"claim_string": text, "support": support, "evidence": list(evidence)}

    ripe = f"[1] https://example.org/{fruit}\n\nRipe {fruit} are sweet and 30 of them fill a basket."
    old = f"[2] https://example.org/old\n\nOld {fruit} rot. Worms are in the old {fruit}."
    return {
        "claims": [
            claim(f"Ripe {fruit} are sweet [1].", "Complete", ripe),
            claim(f"Worms live in old {fruit} [2].", "Complete", old),
            claim(
                f"Farmers export most {fruit} overseas [2][1].",
                "Complete" if fruit in FRUITS[::2] else "Partial",
                old,
                ripe,
            ),
            claim(f"Everybody loves {fruit}, of course.", "Missing"),
            claim("Is that all?", "N/A"),
        ]
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"question": f"Are {fruit} sweet?", "answers": {"rr_gs_gpt4": answer(fruit)}} for fruit in FRUITS]
    rows += [{"question": "Without passages?", "answers": {"gpt4": answer("nuts")}}]
    (tmp_path / "expertqa").mkdir()
    (tmp_path / "expertqa" / "rand_val.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    articles = [
        {
            "title": fruit,
            "paragraphs": [
                {
                    "context": f"The {fruit} {verb} sold in {year}. They were not {taste}.",
                    "qas": [
                        {
                            "question": f"When {verb} {fruit} sold?",
                            "answers": [{"text": str(year), "answer_start": 14 + len(fruit + verb)}],
                        },
                        {"question": f"What {verb} sold?", "answers": [{"text": f"The {fruit}", "answer_start": 0}]},
                    ],
                }
                for year, verb, taste in ((1950, "are", "sour"), (1960, "were", "bitter"))
            ],
        }
        for fruit in FRUITS
    ]
    (tmp_path / "xquad").mkdir()
    (tmp_path / "xquad" / "xquad.en.json").write_text(json.dumps({"data": articles}), "utf-8")
    return tmp_path


def test_answers_are_read_with_what_they_cite_and_what_experts_say(data: Path) -> None:
    found = expertqa.answers(data)
    assert len(found) == len(FRUITS)
    assert found[0].claims[:3] == [
        Claim("Ripe apples are sweet.", (1,)),
        Claim("Worms live in old apples.", (2,)),
        Claim("Farmers export most apples overseas.", (2, 1)),
    ]
    assert found[0].complete == [True, True, True, False]
    assert [each.text.partition(" ")[0] for each in found[0].passages] == ["Ripe", "Old"]


def test_curves_rise_from_what_is_wrong_to_what_is_right(data: Path) -> None:
    calibration = fit(matched(expertqa.answers(data)))
    for curve in (calibration.complete, calibration.on_source, calibration.on_question):
        assert curve(0.0) < curve(1.0)


def test_the_command_prints_what_is_committed(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(data)
    assert capsys.readouterr().out == f"{fit(matched(expertqa.answers(data)))}\n"


def test_fits_are_as_far_apart_as_their_curves_at_most() -> None:
    flat, rising = Curve(0.0, 0.0), Curve(0.0, 1000.0)
    one, other = Calibration(flat, flat, flat), Calibration(flat, rising, flat)
    assert distance(one, one) == 0.0
    assert distance(one, other) == pytest.approx(0.5)


@pytest.mark.parametrize("subset", [True, False])
async def test_confidence_is_measured_beside_its_baselines(data: Path, tmp_path: Path, subset: bool) -> None:
    figures = await trust.TRUST.measure(Run(data, subset, Letters(), tmp_path))
    assert (tmp_path / trust.PLOT).exists()
    for figure in figures[:-1]:
        assert 0 <= figure.ours <= 1
        assert ("likeness of sentences and passages" in figure.baselines) is not subset
    assert figures[0].baselines["base rate"] == 0.5


async def test_support_is_measured_on_wrong_citations(data: Path, tmp_path: Path) -> None:
    for subset in (True, False):
        figures = await negatives.NEGATIVES.measure(Run(data, subset, Letters(), tmp_path))
        assert all(figure.ours > 0.7 for figure in figures)
        # Other numbers, and denials, are all found.
        assert [figure.ours for figure in figures[-2:]] == [1.0, 1.0]
        assert all("likeness of sentence and passage" in figure.baselines for figure in figures)


@pytest.mark.parametrize(("number", "other"), [("1066", "2066"), ("9", "1"), ("about 30", "about 40")])
def test_a_number_is_made_another(number: str, other: str) -> None:
    assert negatives.changed(number) == other
