"""How fast markers are found, and that the time grows as the text: `python tests/bench/markers.py`."""

from __future__ import annotations

import argparse
from time import process_time

from citestream.answer.markers import Markers

# What stands once before the many, where it matters.
BEGINNINGS = {"a long group": "[", "reasoning": "<think>", "items of a list of sources": "A.\nSources:\n"}
UNITS = {
    "prose": "Access tokens live for 15 minutes [1], and refresh tokens for 30 days [2][3]; see `a[1]`.\n\n",
    "text without markers": "Access tokens live for 15 minutes, and refresh tokens for 30 days. ",
    "[": "[",
    "[1": "[1",
    "`": "`",
    "[1, 1, 1, …": "[1, ",
    "[1]": "[1]",
    "made-up ones": "a [99].",
    "[[1]](": "[[1]](",
    "link not closed": "[1](a b",
    "maths": "$$[1]$$ \\(a ",
    "paragraphs of open maths": "\\[1]\n\n",
    "spaces": " ",
    "lines": "\n",
    "a long group": "1, ",
    "reasoning": "So <b> ",
    "lists of sources": "Sources:\n[1] a.md\nA.\n",
    "items of a list of sources": "[1] a\n",
    "headings": "## Sources\n",
    "bullets": "- - a\n",
    "rules": "---\n",
    "echoes": '<source n="1">a</source>\n',
    "unfinished tags": "<source \n",
}


def seconds(text: str, piece: int) -> float:
    markers, start = Markers(20), process_time()
    for at in range(0, len(text), piece):
        markers.feed(text[at : at + piece])
    markers.close()
    return process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--characters", type=int, default=1_000_000)
    size = parser.parse_args().characters
    columns = ("whole", "half of it", "by 5 characters", "by 1")
    print(f"seconds for {size:,} characters".ljust(40), *(f"{column:>16}" for column in columns))
    for name, unit in UNITS.items():
        text = (BEGINNINGS.get(name, "A.\n") + unit * (size // len(unit) + 1))[:size]
        taken = (seconds(text, size), seconds(text[: size // 2], size), seconds(text, 5), seconds(text, 1))
        print(name.ljust(40), *(f"{each:16.2f}" for each in taken))


if __name__ == "__main__":
    main()
