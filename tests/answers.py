"""Passages and citations for the tests of answers."""

from __future__ import annotations

from collections.abc import Sequence

from citestream.answer.answerer import Condensed
from citestream.answer.history import Turn
from citestream.answer.markers import Markers
from citestream.model import Citation, Passage

GUIDE = "Access tokens live for 15 minutes. Refresh tokens live for 30 days. Both are revoked at logout."


POLICY = "Laptops are encrypted. A lost laptop is reported within 1 hour. The desk is open all day."


class Alone:
    """An answerer's way with questions of a conversation, where a test has none."""

    async def condense(self, question: str, history: Sequence[Turn]) -> Condensed:
        return Condensed(question)


def passage(
    text: str, name: str = "guide.md", score: float = 1.0, section: str | None = None, start: int = 0
) -> Passage:
    return Passage(f"{name}-0", name, name, "kb", text, start, start + len(text), None, section, score)


def fed(passages: int, text: str) -> tuple[str, Markers]:
    markers = Markers(passages)
    return markers.feed(text) + markers.close(), markers


def citation(support: float) -> Citation:
    return Citation(1, "d", "n", "kb", "e", 0, 1, None, None, 1.0, support)
