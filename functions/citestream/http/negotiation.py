"""Which of two forms an answer takes, from the Accept header (RFC 9110, section 12.5.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.datastructures import Headers

from citestream.http.problems import Problem

STREAM = "text/event-stream"
JSON = "application/json"

_TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105  a `token` of RFC 9110
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_OWS = r"[ \t]*+"
_RANGE = re.compile(rf"{_OWS}({_TOKEN})/({_TOKEN})((?:{_OWS};{_OWS}(?:{_TOKEN}=(?:{_TOKEN}|{_QUOTED}))?)*+){_OWS}")
_PARAMETER = re.compile(rf"({_TOKEN})=({_TOKEN}|{_QUOTED})")
_QVALUE = re.compile(r"0(?:\.\d{0,3})?|1(?:\.0{0,3})?")
# What stands behind this is not read: nobody's honest Accept is longer, and the work stays bounded.
_LONGEST = 4096
_ELEMENT = re.compile(rf'(?:{_QUOTED}|[^,"])+|"')


@dataclass(frozen=True, slots=True)
class MediaRange:
    """One element of Accept. Parameters other than ``q`` do not tell our two types apart and are left out."""

    main: str
    sub: str
    quality: float

    def covers(self, media_type: str) -> int:
        """How exactly it names the type: 3 in full, 2 by its main type, 1 by ``*/*``, 0 not at all."""
        main, sub = media_type.split("/")
        if (self.main, self.sub) == (main, sub):
            return 3
        if (self.main, self.sub) == (main, "*"):
            return 2
        return int((self.main, self.sub) == ("*", "*"))


def parse_accept(header: str) -> list[MediaRange]:
    """The ranges of an Accept header; elements that break the grammar are left out."""
    matches = (_RANGE.fullmatch(element) for element in _ELEMENT.findall(header))
    ranges = (_media_range(match) for match in matches if match)
    return [each for each in ranges if each is not None]


def _media_range(match: re.Match[str]) -> MediaRange | None:
    weights = [value for name, value in _PARAMETER.findall(match[3]) if name.lower() == "q"]
    weight = weights[0] if weights else "1"
    if not _QVALUE.fullmatch(weight):
        return None
    return MediaRange(match[1].lower(), match[2].lower(), float(weight))


def quality(ranges: list[MediaRange], media_type: str) -> float:
    """The quality of the most specific range that covers the type; 0 where none does."""
    best = max(ranges, key=lambda each: (each.covers(media_type), each.quality), default=None)
    return best.quality if best is not None and best.covers(media_type) else 0.0


def wants_stream(headers: Headers) -> bool:
    """True for a stream, False for JSON. Raises Problem 406.

    A stream must be asked for by name, and not be liked less than JSON: ``*/*`` alone gets JSON.
    """
    accept = _accept(headers)
    if not accept:
        return False
    ranges = parse_accept(accept)
    json_quality = quality(ranges, JSON)
    named = [each.quality for each in ranges if each.covers(STREAM) == 3]
    if named and max(named) > 0 and max(named) >= json_quality:
        return True
    if json_quality > 0:
        return False
    raise Problem(406, f"Accept must allow {STREAM} or {JSON}.", headers={"Vary": "Accept"})


def require_stream(headers: Headers) -> None:
    """Raise Problem 406 unless the client takes an event stream, by name or by a wildcard."""
    accept = _accept(headers)
    if accept and quality(parse_accept(accept), STREAM) == 0:
        raise Problem(406, f"Accept must allow {STREAM}.", headers={"Vary": "Accept"})


def _accept(headers: Headers) -> str:
    return ", ".join(headers.getlist("accept")).strip(" \t,")[:_LONGEST]
