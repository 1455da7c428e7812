"""WiCE: sentences of an encyclopaedia beside the articles they cite, each labelled by how much of it these support.

The articles are long; what supports a sentence best is looked for in windows of them. Nothing was fitted on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from citestream.answer.overlap import Weights
from citestream.answer.support import Grounds, read
from citestream.evaluation.expertqa import passage
from citestream.evaluation.figures import Figure, Part, Run
from citestream.evaluation.reliability import auroc

FOLDER = "wice"

_SUPPORTED, _NOT_SUPPORTED = "supported", "not_supported"
# Sentences of a window, and from each to the next.
_SIZE, _STEP = 6, 3
# What a quick run is content with.
_CLAIMS = 60
# What was measured, 0.94 and 0.79, and of the quick run 0.80 and 0.67, less a margin.
_LEAST, _LEAST_OF_SUBSET = (0.91, 0.76), (0.75, 0.62)
_TERMS = "recall of terms alone"


@dataclass(frozen=True, slots=True)
class Found:
    """A sentence's label, our support of it, and how many of its terms one window holds."""

    label: str
    support: float
    recall: float


async def measure(run: Run) -> Sequence[Figure]:
    lines = (run.data / FOLDER / "claim_dev.jsonl").read_text("utf-8").splitlines()
    found = [_found(json.loads(line)) for line in islice(lines, _CLAIMS if run.subset else None)]
    others = [each for each in found if each.label != _SUPPORTED]
    supported = [each for each in found if each.label == _SUPPORTED]
    unsupported = [each for each in others if each.label == _NOT_SUPPORTED]
    least = _LEAST_OF_SUBSET if run.subset else _LEAST
    return [
        _figure("WiCE, AUROC of support: supported against not supported", supported, unsupported, least[0]),
        _figure("WiCE, AUROC of support: supported against partially or not supported", supported, others, least[1]),
    ]


WICE = Part("Support by long articles", (FOLDER,), measure)


def _found(row: Mapping[str, Any]) -> Found:
    claim, windows = row["claim"], _windows(row["evidence"])
    grounds, said = Grounds([passage(text) for text in windows]), read(claim)
    terms = [read(text).terms for text in windows]
    weights = Weights(terms)
    supports = (grounds.supports(claim, {place: read("")}) for place in range(len(windows)))
    return Found(
        row["label"],
        max(each.together if each else 0.0 for each in supports),
        max(weights.recall(said.terms, each) for each in terms),
    )


def _windows(lines: Sequence[str]) -> list[str]:
    return [" ".join(lines[start : start + _SIZE]) for start in range(0, max(1, len(lines) - _STEP), _STEP)]


def _figure(name: str, right: Sequence[Found], wrong: Sequence[Found], at_least: float) -> Figure:
    ours = auroc([each.support for each in right], [each.support for each in wrong])
    terms = auroc([each.recall for each in right], [each.recall for each in wrong])
    return Figure(name, ours, {_TERMS: terms}, at_least)
