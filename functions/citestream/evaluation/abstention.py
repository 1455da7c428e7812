"""Whether the answerer without a model knows when a passage does not answer.

CLAPnq asks real questions of one passage each, on their subject, that answers them or does not. What decides was fitted
on XQuAD, with an eye on these questions, and what a heading counts on every other one of them; what is reported is of
the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from citestream.answer.choice import chosen, held, ranked
from citestream.answer.overlap import Weights, stems
from citestream.evaluation.data import Passaged, clapnq
from citestream.evaluation.figures import Figure, Part, Run
from citestream.evaluation.likeness import Likeness
from citestream.evaluation.reliability import auroc
from citestream.model import Passage

# The part of the data that a quick run is content with: so many questions of each kind.
_QUESTIONS = 30
# What was measured with some 0.03 of margin, of all and of the part: the AUROC, and the shares that are answered.
_GUARDS = {False: (0.78, 0.78, 0.38), True: (0.80, 0.87, 0.37)}


async def measure(run: Run) -> Sequence[Figure]:
    answerable, unanswerable = (each[1::2][: _QUESTIONS if run.subset else None] for each in clapnq(run.data))
    texts = [text for each in (*answerable, *unanswerable) for text in (each.question, each.text)]
    likeness = await Likeness.of(run.embedder, texts)

    def told(score: Callable[[Passaged], float]) -> float:
        return auroc(*(list(map(score, asked)) for asked in (answerable, unanswerable)))

    baselines = {
        "question's words in the passage": told(_words_in_passage),
        "constant": told(lambda each: 0.0),
        "similarity of vectors": told(lambda each: likeness.between(each.question, each.text)),
    }
    area, most, least = _GUARDS[run.subset]
    return [
        Figure("CLAPnq, answerable or not, AUROC", told(_held), baselines, at_least=area),
        Figure("CLAPnq, answered of the answerable", _answered(answerable), at_least=most),
        Figure("CLAPnq, answered of the unanswerable", _answered(unanswerable), at_most=least),
    ]


ABSTENTION = Part("Abstention without a model", ("clapnq",), measure)


def _held(each: Passaged) -> float:
    return held(ranked(each.question, [_passage(each)]))


def _answered(asked: Sequence[Passaged]) -> float:
    return fmean(bool(chosen(each.question, [_passage(each)])) for each in asked)


def _passage(each: Passaged) -> Passage:
    """As it would be found: the best, below its article's title."""
    return Passage("chunk", "document", each.title, "kb", each.text, 0, len(each.text), None, each.title, 1.0)


def _words_in_passage(each: Passaged) -> float:
    terms = stems(each.text)
    return Weights([terms]).recall(stems(each.question), terms)
