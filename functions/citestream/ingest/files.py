"""Which files are meant by the paths of a command line, and the names that their documents get."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from citestream.ingest.parse import SUFFIXES


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to ingest, and its document's name: the path below what was named, with forward slashes."""

    path: Path
    name: str


@dataclass(slots=True)
class Found:
    """The files to ingest by name, how many of other kinds were passed over, and what can't be used, with reasons."""

    files: dict[str, SourceFile] = field(default_factory=dict)
    other_kinds: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)


def find_files(paths: Iterable[str]) -> Found:
    """Files as named, folders with all below them, and globs, which our shell may not have expanded.

    Hidden files and kinds that are not known are passed over inside folders and globs; what is named itself is meant.
    """
    found = Found()
    for path in paths:
        if os.path.isdir(path):
            _add_all(found, Path(path), _walk(path))
        elif os.path.lexists(path):
            _add(found, Path(path), Path(path).name)
        elif glob.has_magic(path):
            matches = sorted(map(Path, glob.iglob(path, recursive=True)))
            if not matches:
                found.refused.append((path, "no file matches"))
            _add_all(found, _fixed_part(path), (match for match in matches if match.is_file()))
        else:
            found.refused.append((path, "no such file or folder"))
    return found


def _add_all(found: Found, root: Path, paths: Iterable[Path]) -> None:
    for path in paths:
        if path.suffix.lower() in SUFFIXES:
            _add(found, path, path.relative_to(root).as_posix())
        else:
            found.other_kinds += 1


def _add(found: Found, path: Path, name: str) -> None:
    other = found.files.get(name)
    if other is None:
        found.files[name] = SourceFile(path, name)
    elif other.path.resolve() != path.resolve():
        found.refused.append((str(path), f"its name, {name}, is taken by {other.path}"))


def _walk(folder: str) -> Iterator[Path]:
    for root, folders, names in os.walk(folder):
        folders[:] = sorted(each for each in folders if not each.startswith("."))
        yield from (Path(root, name) for name in sorted(names) if not name.startswith("."))


def _fixed_part(pattern: str) -> Path:
    """The folder below which a glob's matches lie."""
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed])
