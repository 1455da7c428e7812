"""Paths of files that others have named."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable
from pathlib import Path


def leads_out(path: str | Path, folder: Path) -> bool:
    """Whether the path is a link to what is not below the folder."""
    return os.path.islink(path) and not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))


def printable(path: str | Path) -> str:
    """The path on one line, escaped where it is not UTF-8, breaks the line, or would steer a terminal."""
    text = os.fsencode(path).decode(errors="backslashreplace")
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def spellings(name: str) -> Iterable[str]:
    """What may be meant by the name, each once: systems differ in how they write an accent."""
    return dict.fromkeys((unicodedata.normalize("NFC", name), unicodedata.normalize("NFD", name), name))
