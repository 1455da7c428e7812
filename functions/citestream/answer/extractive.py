"""The built-in answerer: no model, deterministic. It quotes the sentences that share most with the question."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from citestream.answer.answerer import NO_ANSWER, Condensed, Ending
from citestream.answer.history import Turn, carried
from citestream.answer.overlap import Weights, stems
from citestream.model import Passage
from citestream.sentences import sentences

_MOST_SENTENCES = 5
# A sentence must hold so much of the question (by weight of terms), and so much of what the best one holds. On CLAPnq
# a least of 0.3 answers 83 % of the answerable questions and 37 % of those that their passage does not answer.
_LEAST = 0.3
_LEAST_OF_BEST = 0.7
# What a sentence's heading adds: "Token lifetimes" says what the sentences below it are about.
_HEADING_SHARE = 0.5
# How much of a sentence may have been said already.
_REPEATED = 0.7
# What holds fewer terms tells nothing: a label, a heading; a whole sentence may be short.
_FEWEST = 4
_FEWEST_IN_A_SENTENCE = 2
_ENDED = re.compile(r"[.!?…。！？।][\"'”’»)\]]*$")

# Quoted text becomes plain text, so that nothing in it opens code, maths or a link, or looks like a marker.
_LINK = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)")
_NUMBERED = re.compile(r"\[\^?\d[\d\s,;–-]*\]|【[^】]*】|[［］]")
_MARKUP = re.compile(r"`+|~{3,}|\$\$|\\[()\[\]]|^\s*(?:#{1,6}|[-*+•>]|\d{1,3}[.)])\s+|\*\*|__", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class _Candidate:
    source: int
    position: int
    text: str
    terms: frozenset[str]
    score: float


class ExtractiveAnswerer:
    """Sentences of the passages, in the passages' order, each with its marker."""

    async def condense(self, question: str, history: Sequence[Turn]) -> Condensed:
        return Condensed(carried(question, history))

    async def answer(
        self, question: str, passages: Sequence[Passage], history: Sequence[Turn] = ()
    ) -> AsyncGenerator[str | Ending]:
        # A long question over many passages takes some 70 ms, which no other stream is to wait for.
        chosen = await asyncio.to_thread(_choose, carried(question, history), passages)
        if not chosen:
            yield NO_ANSWER
            yield Ending("no_answer")
            return
        for i, candidate in enumerate(chosen):
            yield f"{' ' if i else ''}{_marked(candidate)}"
        yield Ending("stop")


def _marked(candidate: _Candidate) -> str:
    """The marker goes before the full stop, where writers put it."""
    text, marker = candidate.text, f" [{candidate.source}]"
    body = text.rstrip(".!?…。！？")
    return f"{body}{marker}{text[len(body) :] or '.'}"


def plain(text: str) -> str:
    """The text of a quotation: no markup, no bracketed numbers, one line."""
    text = _LINK.sub(r"\1", text)
    text = _MARKUP.sub("", _NUMBERED.sub("", text))
    return " ".join(text.replace("[", "(").replace("]", ")").split())


def _without_heading(quoted: str, section: str | None) -> str:
    """Where no full stop or blank line parts them, a heading runs into the first sentence below it."""
    heading = (section or "").rpartition(" > ")[2]
    return quoted.removeprefix(heading).lstrip() if heading else quoted


def _choose(question: str, passages: Sequence[Passage]) -> list[_Candidate]:
    wanted = frozenset(stems(question))
    weights = Weights(stems(passage.text) for passage in passages)
    candidates = [
        candidate
        for source, passage in enumerate(passages, start=1)
        for candidate in _candidates(source, passage, wanted, weights)
    ]
    candidates.sort(key=lambda each: (-each.score, each.source, each.position))
    if not candidates or candidates[0].score < _LEAST:
        return []
    floor = max(_LEAST, candidates[0].score * _LEAST_OF_BEST)
    chosen: list[_Candidate] = []
    for candidate in candidates:
        if candidate.score < floor or len(chosen) == _MOST_SENTENCES:
            break
        if all(weights.recall(candidate.terms, other.terms) < _REPEATED for other in chosen):
            chosen.append(candidate)
    # The best source first, and within a source in the order of its text.
    best = {each.source: chosen.index(each) for each in reversed(chosen)}
    return sorted(chosen, key=lambda each: (best[each.source], each.position))


def _candidates(source: int, passage: Passage, wanted: frozenset[str], weights: Weights) -> list[_Candidate]:
    heading = stems(passage.section or "")
    found = []
    for position, (start, end) in enumerate(sentences(passage.text)):
        quoted = passage.text[start:end]
        text = plain(_without_heading(quoted, passage.section))
        own = stems(text)
        if quoted.startswith("#") or len(own) < (_FEWEST_IN_A_SENTENCE if _ENDED.search(text) else _FEWEST):
            continue
        direct = weights.recall(wanted, own)
        with_heading = weights.recall(wanted, [*own, *heading])
        relevance = direct + _HEADING_SHARE * (with_heading - direct)
        found.append(_Candidate(source, position, text, frozenset(own), relevance * (0.7 + 0.3 * passage.score)))
    return found
