"""How far an answer can be trusted."""

from __future__ import annotations

from citestream.answer.citations import Claim
from citestream.answer.confidence import Components, components, score
from tests.answers import GUIDE, citation, passage


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
