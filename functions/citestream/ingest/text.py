"""Plain text, and the bytes that text comes in."""

from __future__ import annotations

import codecs
import re

from citestream.ingest.normal import normalise
from citestream.ingest.parsed import Parsed, UnreadableFile

_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_CONTROL = re.compile(r"[\x01-\x08\x0e-\x1a\x1c-\x1f\x7f]")
_MAX_CONTROL_SHARE = 0.1


def parse_text(data: bytes) -> Parsed:
    return Parsed(normalise(decoded(data)))


def decoded(data: bytes) -> str:
    """The text of a UTF-8 file, or of a UTF-16 one that says so by its byte order mark."""
    text = strictly_decoded(data, bom_encoding(data) or "utf-8")
    if "\0" in text:
        raise UnreadableFile(f"binary: a NUL character at position {text.index(chr(0))}")
    if len(_CONTROL.findall(text)) > _MAX_CONTROL_SHARE * len(text):
        raise UnreadableFile("binary: mostly control characters")
    return text


def bom_encoding(data: bytes) -> str | None:
    return next((encoding for bom, encoding in _BOMS if data.startswith(bom)), None)


def strictly_decoded(data: bytes, encoding: str) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        culprit = f"byte 0x{data[error.start]:02X} at offset {error.start}"
        raise UnreadableFile(f"not {encoding.upper()} ({culprit}): save it as UTF-8") from None
