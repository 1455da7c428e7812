"""From a path to a parser: kinds, sizes, and files that aren't files."""

from __future__ import annotations

import os
import subprocess
import sys
import tracemalloc
from pathlib import Path

import pytest

from citestream.ingest.parse import MAX_BYTES, SUFFIXES, parse, parse_bytes
from citestream.ingest.parsed import Heading, Parsed, UnreadableFile, reading


def refusal_of(path: Path) -> str:
    with pytest.raises(UnreadableFile) as refusal:
        parse(path)
    return str(refusal.value)


@pytest.mark.parametrize("name", ["a.md", "a.MD", "a.markdown", "b.c.md"])
def test_the_suffix_chooses_the_parser(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("# A\n\nb")
    assert parse(path) == Parsed("# A\n\nb", headings=(Heading(0, 3, 1, "A"),))


def test_the_suffixes() -> None:
    assert {".txt", ".text", ".md", ".markdown", ".html", ".htm", ".pdf", ".docx"} == SUFFIXES


@pytest.mark.parametrize(("name", "kind"), [("a.doc", ".doc"), ("README", "no suffix"), (".md", "no suffix")])
def test_other_kinds_are_refused(name: str, kind: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("text")
    assert refusal_of(path) == (
        f"of an unknown kind ({kind}): .txt, .text, .md, .markdown, .html, .htm, .pdf, .docx are known"
    )


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.pdf"
    path.touch()
    assert refusal_of(path) == "empty"


def test_a_file_too_large_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    with path.open("wb") as file:
        file.truncate(1 << 30)
    tracemalloc.start()
    try:
        assert refusal_of(path) == "1,073,741,824 bytes: 100,000,000 is the limit"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 1_000_000


def test_bytes_too_many_are_refused() -> None:
    with pytest.raises(UnreadableFile, match=r"^100,000,001 bytes: 100,000,000 is the limit$"):
        parse_bytes("a.txt", bytes(MAX_BYTES + 1))


def test_what_is_no_regular_file_is_refused_unopened(tmp_path: Path) -> None:
    """A pipe without a writer would block whoever opens it."""
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "endless.txt").symlink_to("/dev/zero")
    for name in ("pipe.txt", "folder.md", "endless.txt"):
        assert refusal_of(tmp_path / name) == "not a regular file"


def test_what_cannot_be_opened_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    assert refusal_of(tmp_path / "absent.txt") == "No such file or directory"
    assert refusal_of(tmp_path / "file" / "a.txt") == "Not a directory"
    assert refusal_of(tmp_path / "loop.txt") == "Too many levels of symbolic links"


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "real").write_text("text")
    (tmp_path / "link.txt").symlink_to("real")
    assert parse(tmp_path / "link.txt").text == "text"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("x"), "broken: 'x'"),
        (AssertionError(), "broken: AssertionError"),
        (RecursionError("too deep"), "broken: too deep"),
        (UnreadableFile("known"), "known"),
    ],
)
def test_whatever_a_library_raises_is_an_unreadable_file(error: Exception, reason: str) -> None:
    with pytest.raises(UnreadableFile) as refusal, reading("broken"):
        raise error
    assert str(refusal.value) == reason


def test_an_interrupt_is_not() -> None:
    with pytest.raises(KeyboardInterrupt), reading("broken"):
        raise KeyboardInterrupt


def test_importing_the_parsers_imports_no_library() -> None:
    script = "import sys, citestream.ingest.parse; print({'pypdf', 'lxml', 'markdown_it'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
