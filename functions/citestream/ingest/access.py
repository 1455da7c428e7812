"""The file beside a document that lists who may read it.

Beside ``handbook/pay.pdf`` that is ``handbook/pay.pdf.access.json``: ``{"principals": ["alice", "hr"]}``. The limits
are those of what an index can filter by.
"""

from __future__ import annotations

import errno
import json
import os
import reprlib
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeVar

from citestream.ingest.parsed import UnreadableFile
from citestream.ingest.paths import leads_out, printable, spellings
from citestream.model import Access

T = TypeVar("T")
SUFFIX: Final = ".access.json"
#: What an access file has at most.
MAX_BYTES: Final = 16_384
_MOST = 32
_LONGEST = 128
_MOST_BYTES = 1_500


def parse_access(data: bytes) -> tuple[str, ...]:
    """The principals, sorted, each once; an empty list is nobody. Raises UnreadableFile."""
    if len(data) > MAX_BYTES:
        raise UnreadableFile(f"over {MAX_BYTES:,} bytes")
    try:
        content = json.loads(data, object_pairs_hook=_Pairs)
    except (ValueError, RecursionError) as error:
        raise UnreadableFile(f"not JSON: {error}") from error
    if not isinstance(content, _Pairs) or [key for key, _ in content] != ["principals"]:
        raise UnreadableFile('not of the form {"principals": ["…", "…"]}')
    ((_, principals),) = content
    if type(principals) is not list:
        raise UnreadableFile("principals is not a list")
    for each in principals:
        _check(each)
    found = sorted(set(principals))
    if len(found) > _MOST:
        raise UnreadableFile(f"{len(found)} principals: {_MOST} is the limit")
    if sum(len(each.encode()) for each in found) > _MOST_BYTES:
        raise UnreadableFile(f"principals of over {_MOST_BYTES:,} bytes of UTF-8 together")
    return tuple(found)


def read_access(path: Path) -> Access:
    """The principals who may read the document at ``path``: those listed beside it, or beside what it is a link to.

    None where there is no such file. Raises UnreadableFile where there is one, and it is not known whom it lists.
    """
    return _beside(path, parse_access)


def access_file(path: Path) -> bytes | None:
    """The content of the list of who may read the document at ``path``, also where it is broken; None without one.

    It ends a byte behind what a list has at most. Raises UnreadableFile where it can't be opened.
    """
    return _beside(path, lambda data: data)


def _beside(path: Path, read: Callable[[bytes], T]) -> T | None:
    for beside in _places(path):
        try:
            data = _content(beside)
            if data is not None:
                return read(data)
        except UnreadableFile as error:
            raise UnreadableFile(f"{printable(beside.name)}: {error}") from error
    return None


def _places(path: Path) -> Iterator[Path]:
    """Where the list may lie: its name may be written in another way than the document's, which opens nothing."""
    for place in dict.fromkeys((path, Path(os.path.realpath(path)))):
        for name in spellings(place.name):
            yield place.with_name(name + SUFFIX)


def _content(path: Path) -> bytes | None:
    """Its content; None where there is no such file. Raises UnreadableFile."""
    try:
        path.lstat()
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENAMETOOLONG):
            return None
        raise UnreadableFile(error.strerror or "it can't be read") from error
    if leads_out(path, path.parent):
        raise UnreadableFile("a link to a file outside of its folder")
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise UnreadableFile("not a regular file")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableFile(error.strerror or "it can't be read") from error


class _Pairs(list[tuple[str, Any]]):
    """An object of JSON with all its keys, also one that stands there twice."""


def _check(principal: object) -> None:
    shown = reprlib.repr(principal)  # it may be as long as the file
    if not isinstance(principal, str):
        raise UnreadableFile(f"{shown} is not a principal: not a string")
    if not 1 <= len(principal) <= _LONGEST:
        raise UnreadableFile(f"{shown} is not a principal: 1 to {_LONGEST} characters")
    if not principal.isprintable():
        raise UnreadableFile(f"{shown} is not a principal: it holds characters that can't be shown")
    if principal == "*":
        raise UnreadableFile("'*' is not a principal: without this file, everybody may read the document")
