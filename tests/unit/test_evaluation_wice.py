"""The measure of support by long articles."""

from __future__ import annotations

import json
from pathlib import Path

from citestream.evaluation.figures import Run
from citestream.evaluation.wice import WICE
from tests.letters import Letters

ARTICLE = [f"This is line {number} on weather." for number in range(20)] + ["The mill burned down in 1950."]


async def test_support_is_looked_for_in_the_whole_article(tmp_path: Path) -> None:
    claims = [
        ("The mill burned down in 1950.", "supported"),
        ("The mill burned down in 1960.", "partially_supported"),
        ("Elephants never forget.", "not_supported"),
        ("…", "not_supported"),
    ]
    (tmp_path / "wice").mkdir()
    (tmp_path / "wice" / "claim_dev.jsonl").write_text(
        "".join(json.dumps({"claim": claim, "label": label, "evidence": ARTICLE}) + "\n" for claim, label in claims),
        "utf-8",
    )
    for subset in (True, False):
        figures = await WICE.measure(Run(tmp_path, subset, Letters(), tmp_path))
        assert [figure.ours for figure in figures] == [1.0, 1.0]
        assert all(figure.baselines == {"recall of terms alone": 1.0} for figure in figures)
