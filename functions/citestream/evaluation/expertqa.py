"""ExpertQA: answers whose every sentence an expert of the field has judged by what it cites.

Of the answers in the validation set, 151 of 217 come with the passages that they cite; the others name web pages only,
and are left out. "Complete" is full support, "Partial", "Incomplete" and "Missing" are not; "N/A" is left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from citestream.answer.citations import Claim
from citestream.answer.judgement import Judgement, weighed
from citestream.model import Passage

FOLDER = "expertqa"

_SYSTEMS_WITHOUT_PASSAGES = {"bing_chat", "gpt4"}
_COMPLETE = "Complete"
_JUDGED = {_COMPLETE, "Partial", "Incomplete", "Missing"}
_MARKER = re.compile(r"\s*\[\d{1,3}\]")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a question: its judged sentences, the passages that they cite, counted from 1 as first cited.

    ``complete`` says of each sentence whether the expert calls it fully supported.
    """

    question: str
    claims: Sequence[Claim]
    complete: Sequence[bool]
    passages: Sequence[Passage]

    @property
    def sources(self) -> list[int]:
        return list(range(1, len(self.passages) + 1))

    def judgement(self) -> Judgement:
        """As for an answer that has just been written from these passages."""
        markers = sum(len(claim.numbers) for claim in self.claims)
        return weighed(self.question, self.claims, self.sources, self.passages, markers)


def answers(data: Path) -> list[Answer]:
    """The answers that come with passages and have a judged sentence; no two of them to the same question."""
    rows = map(json.loads, (data / FOLDER / "rand_val.jsonl").read_text("utf-8").splitlines())
    found = [
        _answer(row["question"], answer["claims"])
        for row in rows
        for system, answer in row["answers"].items()
        if system not in _SYSTEMS_WITHOUT_PASSAGES
    ]
    return [answer for answer in found if answer.claims]


def _answer(question: str, rows: Sequence[Mapping[str, Any]]) -> Answer:
    judged = [row for row in rows if row["support"] in _JUDGED]
    numbers: dict[str, int] = {}
    claims = []
    for row in judged:
        cited = [numbers.setdefault(_text(each), len(numbers) + 1) for each in row["evidence"]]
        claims.append(Claim(_MARKER.sub("", row["claim_string"]).strip(), tuple(dict.fromkeys(cited))))
    return Answer(
        question,
        claims,
        [row["support"] == _COMPLETE for row in judged],
        [passage(text, name=str(number)) for text, number in numbers.items()],
    )


def _text(evidence: str) -> str:
    """An evidence is its number and address, a blank line, and the passage."""
    return evidence.partition("\n\n")[2].strip()


def passage(text: str, name: str = "") -> Passage:
    """A text as a passage of a document of its own."""
    return Passage(name, name, name, "", text, 0, len(text), None, None, 1.0)
