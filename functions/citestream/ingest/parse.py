"""From a file to its text: the size is checked first, then its kind is chosen by its name."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path, PurePath

from citestream.ingest.docx import parse_docx
from citestream.ingest.html import parse_html
from citestream.ingest.markdown import parse_markdown
from citestream.ingest.parsed import Parsed, UnreadableFile
from citestream.ingest.pdf import parse_pdf
from citestream.ingest.text import parse_text

MAX_BYTES = 100_000_000

_PARSERS: dict[str, Callable[[bytes], Parsed]] = {
    ".txt": parse_text,
    ".text": parse_text,
    ".md": parse_markdown,
    ".markdown": parse_markdown,
    ".html": parse_html,
    ".htm": parse_html,
    ".pdf": parse_pdf,
    ".docx": parse_docx,
}
SUFFIXES = frozenset(_PARSERS)


def parse(path: Path) -> Parsed:
    """The text of the file at ``path``. Raises ``UnreadableFile``, for files that can't be opened too."""
    require_readable(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UnreadableFile(error.strerror or str(error)) from error
    return parse_bytes(path.name, data)


def require_kind(name: str) -> None:
    """Raises ``UnreadableFile`` where the name is of a kind that can't be read."""
    _parser(PurePath(name))


def require_readable(path: Path) -> None:
    """Raises ``UnreadableFile`` where kind or size tell that the file can't be read, without opening it."""
    _parser(path)
    try:
        status = path.stat()
    except OSError as error:
        raise UnreadableFile(error.strerror or str(error)) from error
    if not stat.S_ISREG(status.st_mode):
        raise UnreadableFile("not a regular file")
    _require_size(status.st_size)


def parse_bytes(name: str, data: bytes) -> Parsed:
    """The text of a file of that name with that content. Raises ``UnreadableFile``."""
    parser = _parser(PurePath(name))
    _require_size(len(data))
    if not data.strip():
        raise UnreadableFile("empty")
    parsed = parser(data)
    if not parsed.text.strip():
        raise UnreadableFile("empty: no text in it")
    return parsed


def _parser(path: PurePath) -> Callable[[bytes], Parsed]:
    parser = _PARSERS.get(path.suffix.lower())
    if parser is None:
        raise UnreadableFile(f"of an unknown kind ({path.suffix or 'no suffix'}): {', '.join(_PARSERS)} are known")
    return parser


def _require_size(size: int) -> None:
    if size == 0:
        raise UnreadableFile("empty")
    if size > MAX_BYTES:
        raise UnreadableFile(f"{size:,} bytes: {MAX_BYTES:,} is the limit")
