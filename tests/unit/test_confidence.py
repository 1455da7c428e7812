"""How far an answer can be trusted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from citestream.answer.calibration import FITTED, Curve
from citestream.answer.citations import Claim
from citestream.answer.confidence import Components, confidence, expected
from citestream.answer.judgement import Judgement
from tests.answers import citation

GOOD = Components(coverage=1.0, support=1.0, supported=0.9, retrieval=1.0, relevance=1.0, markers=3, invalid_markers=0)
SHARES = st.floats(0, 1)


def judgement(supports: list[float | None], relevance: float = 1.0, invalid: int = 0) -> Judgement:
    """Of an answer with these supports of its sentences, None where one cites nothing."""
    found = [Claim("Who says this names no source.", () if each is None else (1,)) for each in supports]
    markers = sum(each is not None for each in supports)
    return Judgement([citation(1.0)], found, supports, 1.0, relevance, markers, invalid)


def value(found: Judgement) -> float:
    return expected(found.components(found.citations))


def test_the_score_is_in_hundredths_and_a_refusal_gets_few_of_them() -> None:
    assert confidence(GOOD, "stop") == confidence(GOOD, "length") == 90
    assert confidence(GOOD, "no_answer") == 5
    assert confidence(Components(0.0, 0.0, 0.0, 0.0, 0.0, 0, 0), "no_answer") == 0


def test_components_are_published() -> None:
    assert Components(2 / 3, 0.5, 1 / 3, 1.0, 0.75, 4, 2).as_dict() == {
        "coverage": 0.6667,
        "support": 0.5,
        "supported": 0.3333,
        "retrieval": 1.0,
        "relevance": 0.75,
        "markers": 4,
        "invalid_markers": 2,
    }


SUPPORTS = st.lists(st.none() | SHARES, min_size=1, max_size=6)


@given(SUPPORTS, SHARES, st.integers(0, 9), st.data())
def test_more_support_or_coverage_never_lowers_it(
    supports: list[float | None], relevance: float, invalid: int, data: st.DataObject
) -> None:
    place = data.draw(st.integers(0, len(supports) - 1))
    better = list(supports)
    better[place] = data.draw(st.floats(supports[place] or 0.0, 1))
    lower, higher = (value(judgement(each, relevance, invalid)) for each in (supports, better))
    assert 0 <= lower <= higher + 1e-12
    assert higher <= 1


@given(SUPPORTS, SHARES, SHARES)
def test_citations_that_hold_more_of_the_question_never_lower_it(
    supports: list[float | None], one: float, other: float
) -> None:
    assert value(judgement(supports, min(one, other))) <= value(judgement(supports, max(one, other)))


@given(SUPPORTS, st.integers(0, 20), st.integers(0, 20))
def test_more_invalid_markers_never_raise_it(supports: list[float | None], one: int, other: int) -> None:
    assert value(judgement(supports, invalid=max(one, other))) <= value(judgement(supports, invalid=min(one, other)))


@pytest.mark.parametrize("curve", [FITTED.complete, FITTED.on_source, FITTED.on_question])
def test_every_curve_rises(curve: Curve) -> None:
    assert curve.slope > 0
    assert 0 < curve(0.0) < curve(0.1) < 1


def test_what_shares_nothing_with_its_source_or_the_question_is_hardly_trusted() -> None:
    assert FITTED.supported(0.0) < 0.1
    assert value(judgement([1.0], relevance=0.0)) < value(judgement([1.0])) / 2
