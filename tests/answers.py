"""Passages and citations for the tests of answers."""

from __future__ import annotations

from citestream.answer.markers import Markers
from citestream.model import Citation, Passage

GUIDE = "Access tokens live for 15 minutes. Refresh tokens live for 30 days. Both are revoked at logout."


POLICY = "Laptops are encrypted. A lost laptop is reported within 1 hour. The desk is open all day."


def passage(
    text: str, name: str = "guide.md", score: float = 1.0, section: str | None = None, start: int = 0
) -> Passage:
    return Passage(f"{name}-0", name, name, "kb", text, start, start + len(text), None, section, score)


def fed(passages: int, text: str) -> tuple[str, Markers]:
    markers = Markers(passages)
    return markers.feed(text) + markers.close(), markers


def citation(support: float) -> Citation:
    return Citation(1, "d", "n", "kb", "e", 0, 1, None, None, 1.0, support)
