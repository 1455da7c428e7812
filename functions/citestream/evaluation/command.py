"""`citestream eval`: measures answers on public data, beside baselines."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import click

from citestream.evaluation import report
from citestream.evaluation.abstention import ABSTENTION
from citestream.evaluation.chunk_sizes import CHUNKS
from citestream.evaluation.embeddings import Cached
from citestream.evaluation.extracts import EXTRACTS
from citestream.evaluation.figures import Figure, Part, Run
from citestream.evaluation.negatives import NEGATIVES
from citestream.evaluation.report import Measured
from citestream.evaluation.retrieval import RETRIEVAL
from citestream.evaluation.selection import SELECTION
from citestream.evaluation.trust import TRUST
from citestream.evaluation.wice import WICE
from citestream.retrieval import minilm, weights

PARTS: Sequence[Part] = (RETRIEVAL, CHUNKS, SELECTION, EXTRACTS, ABSTENTION, NEGATIVES, WICE, TRUST)


def evaluate(data: Path, subset: bool, only: Sequence[str], folder: Path, readme: Path | None = None) -> bool:
    """Measure the parts whose data is there, print and write the report. Whether all guards hold."""
    embedder = minilm.load()
    if embedder is None:
        raise click.ClickException(f"the embedder's weights are not there: `python -m {weights.__name__}` sets them up")
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(data, subset, Cached(embedder, folder / "vectors.db"), folder)
    measured = []
    for part in PARTS:
        if not only or any(word.casefold() in part.title.casefold() for word in only):
            measured.append(_measured(part, run))
            for line in report.lines(measured[-1]):
                click.echo(line)
    table = report.markdown(measured, "citestream eval" + " --subset" * subset)
    (folder / "report.md").write_text(table + "\n", "utf-8")
    (folder / "report.json").write_text(json.dumps([asdict(each) for each in measured], indent=1) + "\n", "utf-8")
    if readme:
        readme.write_text(report.replaced(readme.read_text("utf-8"), table), "utf-8")
    return all(figure.holds for each in measured for figure in each.figures)


def _measured(part: Part, run: Run) -> Measured:
    if missing := [name for name in part.needs if not (run.data / name).is_dir()]:
        return Measured(part.title, skipped=f"as {run.data} has no {' and no '.join(missing)}")
    started = time.perf_counter()
    figures = asyncio.run(_figures(part, run))
    return Measured(part.title, figures, time.perf_counter() - started)


async def _figures(part: Part, run: Run) -> Sequence[Figure]:
    return await part.measure(run)
