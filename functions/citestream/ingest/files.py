"""Which files are meant by the paths of a command line, and the names that their documents get."""

from __future__ import annotations

import glob
import os
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

from citestream.ingest.access import SUFFIX as ACCESS_SUFFIX
from citestream.ingest.parse import SUFFIXES
from citestream.ingest.paths import leads_out, printable


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file to ingest, and its document's name: the path below what was named, with forward slashes, in NFC."""

    path: Path
    name: str

    @property
    def shown(self) -> str:
        """The path as it can be printed."""
        return printable(self.path)


@dataclass(slots=True)
class Found:
    """The files to ingest by name, how many of other kinds were passed over, and what can't be used.

    That is pairs of a path, as it can be printed, and the reason.
    """

    files: dict[str, SourceFile] = field(default_factory=dict)
    other_kinds: int = 0
    refused: list[tuple[str, str]] = field(default_factory=list)

    def refuse(self, path: str | Path, reason: str) -> None:
        self.refused.append((printable(path), reason))


def find_files(paths: Iterable[str]) -> Found:
    """Files as named, folders with all below them, and globs, which our shell may not have expanded.

    Hidden files and kinds that are not known are passed over inside folders and globs; what is named itself is meant.
    There, links lead to files of the same folder only, never to folders: so nothing is found twice or without end,
    and nobody who may write to a folder can have other files read.
    """
    found = Found()
    for path in paths:
        if os.path.isdir(path):
            _add_all(found, Path(path), ("**", "*"))
        elif os.path.lexists(path):
            _add(found, Path(path), Path(path).name)
        elif glob.has_magic(path):
            refused = len(found.refused)
            if not _add_all(found, *_split(path)) and len(found.refused) == refused:
                found.refuse(path, "no file matches")
        else:
            found.refuse(path, "no such file or folder")
    return found


def _split(pattern: str) -> tuple[Path, tuple[str, ...]]:
    """The folder below which a glob's matches lie, and the pattern's parts from there."""
    parts = Path(pattern).parts
    fixed = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:fixed]), parts[fixed:] + (("*",) if parts[-1] == "**" else ())


def _add_all(found: Found, root: Path, pattern: tuple[str, ...]) -> bool:
    """Add what matches below the folder; False where nothing does."""
    matched = False
    for path in _walk(found, root, pattern):
        matched = True
        if path.suffix.lower() not in SUFFIXES:
            found.other_kinds += not path.name.endswith(ACCESS_SUFFIX)
        elif leads_out(path, root):
            found.refuse(path, "a link to a file outside of the folder")
        else:
            _add(found, path, path.relative_to(root).as_posix())
    return matched


def _walk(found: Found, top: Path, pattern: tuple[str, ...]) -> Iterator[Path]:
    """The files that match, whatever they are; only folders that may hold some are entered."""

    def refuse(error: OSError) -> None:
        found.refuse(error.filename, error.strerror or "it can't be read")

    places = {os.fspath(top): _passed(pattern, {0})}
    for root, folders, names in os.walk(top, onerror=refuse):
        here = places.pop(root)
        below = {name: _after(pattern, here, name) for name in sorted(folders)}
        folders[:] = [name for name, there in below.items() if there - {len(pattern)}]
        for name in folders:
            path = os.path.join(root, name)
            places[path] = below[name]
            if leads_out(path, top):
                found.refuse(path, "a link to a folder outside of the folder")
        yield from (Path(root, name) for name in sorted(names) if len(pattern) in _after(pattern, here, name))


def _after(pattern: tuple[str, ...], places: set[int], name: str) -> set[int]:
    """Where in the pattern one may be after the name, having been at these places before it."""
    hidden = name.startswith(".")
    stay = {i for i in places if i < len(pattern) and pattern[i] == "**" and not hidden}
    named = (i for i in places - stay if i < len(pattern) and (pattern[i].startswith(".") or not hidden))
    return _passed(pattern, stay | {i + 1 for i in named if fnmatch(name, pattern[i])})


def _passed(pattern: tuple[str, ...], places: set[int]) -> set[int]:
    """With the places behind each ``**``, which stands for no folder, too."""
    for i, part in enumerate(pattern):
        if i in places and part == "**":
            places = places | {i + 1}
    return places


def _add(found: Found, path: Path, name: str) -> None:
    # What a Mac wrote and what a Linux machine wrote is one document: their file names differ in accents only.
    name = unicodedata.normalize("NFC", name)
    other = found.files.get(name)
    if other is None:
        found.files[name] = SourceFile(path, name)
    elif os.path.realpath(other.path) != os.path.realpath(path):
        found.refuse(path, f"its name, {printable(name)}, is taken by {other.shown}")
