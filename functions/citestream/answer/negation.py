"""What a sentence denies: the terms behind its "not", "no", "never" … in English and German."""

from __future__ import annotations

import re
from collections.abc import Mapping

from citestream.answer.overlap import stems

#: For each term, whether it is denied where it stands; it may be in one place and not in another.
Denials = Mapping[str, set[bool]]

_CLAUSE_END = re.compile(r"[,;:.!?()\n—–]+")
# "Not only", "no more than five": nothing is denied by it.
_NEGATOR = re.compile(
    r"""\b(?:
      no|not|never|neither|nor|without|cannot|[a-z]+n['’]t
    | nicht|nie|niemals|kein(?:e[mnrs]?)?|ohne|weder
    )\b(?!\ (?:only|just|merely|more|less|fewer|later|earlier|longer|sooner|nur|mehr|weniger)\b)""",
    re.VERBOSE | re.IGNORECASE,
)
# How many terms a negator denies.
_REACH = 2


def denials(text: str) -> Denials:
    """The text's terms, each with whether a negator stands shortly before it in its clause."""
    found: dict[str, set[bool]] = {}
    for clause in _CLAUSE_END.split(text):
        head, *rest = _NEGATOR.split(clause)
        before = stems(head)
        _note(found, before, 0)
        for part in rest:
            terms = stems(part)
            if not terms and before:
                # "Die Karte gilt nicht": nothing follows, so what stands before it is denied.
                found[before[-1]] = {True}
            _note(found, terms, _REACH)
            before = terms or before
    return found


def contradict(one: Denials, other: Denials) -> bool:
    """Whether a term of both is denied in one of them and nowhere in the other."""
    return any(one[term].isdisjoint(other[term]) for term in one.keys() & other.keys())


def _note(found: dict[str, set[bool]], terms: list[str], reach: int) -> None:
    for place, term in enumerate(terms):
        found.setdefault(term, set()).add(place < reach)
