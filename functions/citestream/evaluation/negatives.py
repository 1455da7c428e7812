"""Whether support tells a right citation from a wrong one: swapped for a passage on the same subject, or on another;
and from one whose number or denial does not fit.

Nothing was fitted on these pairs. Support is a match of words, so what is hard for it is a passage with the same words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from citestream.answer.support import Grounds, read
from citestream.evaluation import expertqa
from citestream.evaluation.data import xquad
from citestream.evaluation.expertqa import passage
from citestream.evaluation.figures import Figure, Part, Run
from citestream.evaluation.likeness import Likeness
from citestream.evaluation.reliability import auroc
from citestream.sentences import sentences

# What a quick run is content with.
_ANSWERS, _ARTICLES = 10, 2
_NUMBER = re.compile(r"\d")
_VERB = re.compile(r"\b(is|are|was|were|can|may|will)\b (?!not\b|no\b)")
_DENIED = re.compile(r"\b(?:no|not|never|neither|nor|without|cannot)\b|n't\b")


@dataclass(frozen=True, slots=True)
class Case:
    """A sentence with the passages that it cites, and our support of it by them."""

    claim: str
    cited: Sequence[str]
    support: float


@dataclass(frozen=True, slots=True)
class Contrast:
    """Sentences whose citations are right, and such whose are wrong."""

    name: str
    at_least: float
    right: list[Case] = field(default_factory=list)
    wrong: list[Case] = field(default_factory=list)

    def figure(self, likeness: Likeness) -> Figure:
        ours = auroc([case.support for case in self.right], [case.support for case in self.wrong])
        right, wrong = ([_alike(likeness, case) for case in cases] for cases in (self.right, self.wrong))
        return Figure(self.name, ours, {"likeness of sentence and passage": auroc(right, wrong)}, self.at_least)


class Subject:
    """Passages on one subject, and others; a case of each claim that cites some of them."""

    def __init__(self, own: Sequence[str], others: Sequence[str]) -> None:
        self.own, self.others = own, others
        self._texts = [*own, *others]
        self._grounds = Grounds([passage(text) for text in self._texts])

    def case(self, claim: str, *cited: str) -> Case:
        places = [self._texts.index(text) for text in cited]
        supports = self._grounds.supports(claim, dict.fromkeys(places, read("")))
        return Case(claim, cited, supports.together if supports else 0.0)


async def measure(run: Run) -> Sequence[Figure]:
    contrasts = [*_expertqa(run), *_xquad(run)]
    cases = [case for contrast in contrasts for case in (*contrast.right, *contrast.wrong)]
    texts = [text for case in cases for text in (case.claim, *case.cited)]
    likeness = await Likeness.of(run.embedder, texts)
    return [contrast.figure(likeness) for contrast in contrasts]


NEGATIVES = Part("Support", (expertqa.FOLDER, "xquad"), measure)


def _alike(likeness: Likeness, case: Case) -> float:
    return max(likeness.between(case.claim, text) for text in case.cited)


def _expertqa(run: Run) -> list[Contrast]:
    """Sentences that experts call fully supported, and their citations swapped; and such that they don't."""
    found = [answer for answer in expertqa.answers(run.data) if len(answer.passages) > 1]
    found = found[: _ANSWERS if run.subset else None]
    judged = Contrast("ExpertQA, AUROC of support: judged full support against partial or none", 0.58)
    same = Contrast("ExpertQA, AUROC of support: own passage against another of the same question", 0.88)
    other = Contrast("ExpertQA, AUROC of support: own passage against one of another question", 0.97)
    for place, answer in enumerate(found):
        elsewhere = found[(place + len(found) // 2) % len(found)]
        subject = Subject(*([each.text for each in one.passages] for one in (answer, elsewhere)))
        for claim, complete in zip(answer.claims, answer.complete, strict=True):
            cited = [subject.own[number - 1] for number in claim.numbers]
            if not cited:
                continue
            own = subject.case(claim.text, *cited)
            (judged.right if complete else judged.wrong).append(own)
            if complete:
                same.right.append(own)
                same.wrong.extend(subject.case(claim.text, text) for text in subject.own if text not in cited)
                other.right.append(own)
                other.wrong.extend(subject.case(claim.text, text) for text in subject.others)
    return [judged, same, other]


def _xquad(run: Run) -> list[Contrast]:
    """Questions with their answers as claims, and their paragraphs swapped; and claims that were made false."""
    same = Contrast("XQuAD, AUROC of support: own paragraph against another of the same article", 0.95)
    other = Contrast("XQuAD, AUROC of support: own paragraph against one of another article", 0.97)
    numbers = Contrast("XQuAD, AUROC of support: answers with a number against the same with another number", 0.82)
    denials = Contrast("XQuAD, AUROC of support: verbatim sentences against the same denied", 0.95)
    corpus = xquad(run.data)
    names = list(corpus.documents)[: _ARTICLES if run.subset else None]
    paragraphs = {name: corpus.documents[name].split("\n\n")[:-1] for name in names}
    subjects = {name: Subject(paragraphs[name], paragraphs[names[place - 1]]) for place, name in enumerate(names)}
    for question in corpus.questions:
        if question.document in subjects:
            subject, text = subjects[question.document], corpus.documents[question.document]
            begin, end = question.spans[0]
            place = text.count("\n\n", 0, begin)
            own = subject.own[place]
            claim = f"{question.text} {text[begin:end]}"
            case = subject.case(claim, own)
            same.right.append(case)
            same.wrong.append(subject.case(claim, subject.own[place - 1]))
            other.right.append(case)
            other.wrong.append(subject.case(claim, subject.others[place % len(subject.others)]))
            if _NUMBER.search(text, begin, end):
                numbers.right.append(case)
                numbers.wrong.append(subject.case(f"{question.text} {changed(text[begin:end])}", own))
    for subject in subjects.values():
        for own in subject.own:
            for sentence in _deniable(own):
                denials.right.append(subject.case(sentence, own))
                denials.wrong.append(subject.case(_VERB.sub(r"\1 not ", sentence, count=1), own))
    return [same, other, numbers, denials]


def changed(answer: str) -> str:
    """The answer with another first digit: 1066 becomes 2066, and 9 becomes 1."""
    return _NUMBER.sub(lambda digit: str(int(digit[0]) % 9 + 1), answer, count=1)


def _deniable(text: str) -> list[str]:
    """The sentences that say that something is so, and deny nothing."""
    found = [text[start:end] for start, end in sentences(text)]
    return [sentence for sentence in found if _VERB.search(sentence) and not _DENIED.search(sentence)]
