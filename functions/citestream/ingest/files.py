"""Which files are meant by the paths of a command line, and the names that their documents get."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from citestream.ingest.parse import SUFFIXES


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to ingest, and its document's name: the path below what was named, with forward slashes, in NFC."""

    path: Path
    name: str

    @property
    def shown(self) -> str:
        """The path as it can be printed."""
        return _printable(self.path)


@dataclass(slots=True)
class Found:
    """The files to ingest by name, how many of other kinds were passed over, and what can't be used.

    That is pairs of a path, as it can be printed, and the reason.
    """

    files: dict[str, SourceFile] = field(default_factory=dict)
    other_kinds: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self, path: str | Path, reason: str) -> None:
        self.refused.append((_printable(path), reason))


def find_files(paths: Iterable[str]) -> Found:
    """Files as named, folders with all below them, and globs, which our shell may not have expanded.

    Hidden files and kinds that are not known are passed over inside folders and globs; what is named itself is meant.
    """
    found = Found()
    for path in paths:
        if os.path.isdir(path):
            _add_all(found, Path(path), _walk(path, found))
        elif os.path.lexists(path):
            _add(found, Path(path), Path(path).name)
        elif glob.has_magic(path):
            matches = sorted(map(Path, glob.iglob(path, recursive=True)))
            if not matches:
                found.refuse(path, "no file matches")
            _add_all(found, _fixed_part(path), (match for match in matches if not os.path.isdir(match)))
        else:
            found.refuse(path, "no such file or folder")
    return found


def _add_all(found: Found, root: Path, paths: Iterable[Path]) -> None:
    for path in paths:
        if path.suffix.lower() in SUFFIXES:
            _add(found, path, path.relative_to(root).as_posix())
        else:
            found.other_kinds += 1


def _add(found: Found, path: Path, name: str) -> None:
    # What a Mac wrote and what a Linux machine wrote is one document: their file names differ in accents only.
    name = unicodedata.normalize("NFC", name)
    other = found.files.get(name)
    if other is None:
        found.files[name] = SourceFile(path, name)
    elif os.path.realpath(other.path) != os.path.realpath(path):
        found.refuse(path, f"its name, {_printable(name)}, is taken by {other.shown}")


def _walk(folder: str, found: Found) -> Iterator[Path]:
    def refuse(error: OSError) -> None:
        found.refuse(error.filename, error.strerror or "it can't be read")

    for root, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def _fixed_part(pattern: str) -> Path:
    """The folder below which a glob's matches lie."""
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])


def _printable(path: str | Path) -> str:
    """The path on one line, escaped where it is not UTF-8, breaks the line, or would steer a terminal."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)
