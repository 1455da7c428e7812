"""What an evaluation prints, and the table that it puts into a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from citestream.cli import main
from citestream.evaluation import command, report
from citestream.evaluation.figures import Figure, Part, Run
from citestream.evaluation.report import Measured

GOOD = Figure("Made up, recall", 0.75, {"nothing": 0.5}, at_least=0.7)


@pytest.mark.parametrize(
    ("at_least", "at_most", "holds"),
    [(None, None, True), (0.5, None, True), (0.51, None, False), (None, 0.5, True), (0.1, 0.49, False)],
)
def test_a_guard_holds_up_to_its_bound(at_least: float | None, at_most: float | None, holds: bool) -> None:
    assert Figure("", 0.5, at_least=at_least, at_most=at_most).holds is holds


def test_a_figure_stands_beside_its_baselines_and_a_broken_guard_is_told() -> None:
    low = Figure("Made up, error", 0.5, {}, at_least=0.1, at_most=0.4)
    assert list(report.lines(Measured("Part", [GOOD, low], 12.4))) == [
        "Part (12 s)",
        "    0.750  Made up, recall; nothing 0.500",
        "    0.500  Made up, error",
        "  FAILED   must be at least 0.1 and at most 0.4",
    ]


def test_the_table_takes_the_place_of_the_one_before() -> None:
    table = report.markdown([Measured("Part", [GOOD])], "citestream eval")
    text = report.replaced(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n", table)
    assert text.startswith(f"before\n{report.BEGIN}\n")
    assert text.endswith(f"| Made up, recall | **0.750** | nothing 0.500 |\n{report.END}\nafter\n")
    assert "old" not in text
    with pytest.raises(ValueError, match="citestream eval: begin"):
        report.replaced("no marks", table)


@pytest.fixture
def parts(monkeypatch: pytest.MonkeyPatch) -> list[Part]:
    """The parts that are measured, none at first."""
    listed: list[Part] = []
    monkeypatch.setattr(command, "PARTS", listed)
    return listed


def part(title: str, *figures: Figure, needs: tuple[str, ...] = ("there",)) -> Part:
    async def measure(run: Run) -> Sequence[Figure]:
        return figures

    return Part(title, needs, measure)


def run(folder: Path, *options: str) -> tuple[int, str]:
    (folder / "data" / "there").mkdir(parents=True, exist_ok=True)
    arguments = ["eval", str(folder / "data"), "--report", str(folder / "report"), *options]
    result = CliRunner().invoke(main, arguments)
    return result.exit_code, result.output


def test_what_has_no_data_is_skipped_and_the_rest_reported(tmp_path: Path, parts: list[Part]) -> None:
    parts += [part("First", GOOD), part("Second", GOOD, needs=("there", "gone", "lost"))]
    status, output = run(tmp_path)
    assert status == 0
    assert f"Second: skipped, as {tmp_path / 'data'} has no gone and no lost" in output
    first, second = json.loads((tmp_path / "report" / "report.json").read_text("utf-8"))
    assert first["figures"][0]["ours"] == 0.75
    assert second["figures"] == []
    assert "Made up, recall" in (tmp_path / "report" / "report.md").read_text("utf-8")


def test_the_exit_status_tells_of_a_broken_guard(tmp_path: Path, parts: list[Part]) -> None:
    parts += [part("First", GOOD), part("Second", Figure("Bad", 0.1, at_least=0.2))]
    assert run(tmp_path)[0] == 1
    assert run(tmp_path, "--only", "first")[0] == 0


def test_only_a_whole_table_is_put_into_a_readme(tmp_path: Path, parts: list[Part]) -> None:
    parts += [part("First", GOOD)]
    readme = tmp_path / "README.md"
    readme.write_text(f"{report.BEGIN}\n{report.END}\n", "utf-8")
    assert run(tmp_path, "--readme", str(readme), "--subset")[0] == 2
    assert run(tmp_path, "--readme", str(readme))[0] == 0
    assert "**0.750**" in readme.read_text("utf-8")
