"""Where a text may be cut: between what readers take for characters, most of which are one code point, but not all.

The rules of UAX #29 for extended grapheme clusters, as far as the standard library knows the properties they go by:
marks, joined emoji, flags, Hangul, and Indic conjuncts are whole. Offsets are in code points.
"""

from __future__ import annotations

import unicodedata
from itertools import takewhile

_JOINER = "\u200d"
_VIRAMA = 9  # the combining class of what joins two consonants of an Indic script
# What belongs to the character before it without being a mark: joiners, the second half of Thai and Lao AM, Japanese
# half-width voicing, skin tones, and the tags of flags.
_EXTENDING = frozenset("\u200c\u200d\u0e33\u0eb3\uff9e\uff9f") | set(
    map(chr, [*range(0x1F3FB, 0x1F400), *range(0xE0020, 0xE0080)])
)


def divides(text: str, index: int) -> bool:
    """Whether a cut at ``index`` would divide a character, or part it from what stands before the text.

    Takes time linear in the flags before the cut, constant elsewhere.
    """
    if index >= len(text):
        return False
    char = text[index]
    if char in _EXTENDING or unicodedata.category(char)[0] == "M":
        return index == 0 or text[index - 1] != "\n"
    if index == 0:
        return False
    before = text[index - 1]
    if before == _JOINER or (unicodedata.combining(before) == _VIRAMA and char.isalpha()):
        return True
    if _is_flag_half(char):
        before_it = (text[place] for place in range(index - 1, -1, -1))
        return sum(1 for _ in takewhile(_is_flag_half, before_it)) % 2 == 1
    return _is_hangul_within(before, char)


def cut_before(text: str, start: int, end: int) -> int:
    """The last place up to ``end``, and behind ``start``, that divides nothing; ``end`` where there is none."""
    return next((place for place in range(end, start, -1) if not divides(text, place)), end)


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _is_hangul_within(before: str, char: str) -> bool:
    kinds = _hangul(before), _hangul(char)
    return kinds[0] != "" and (kinds[1] in ("V", "T") or (kinds[0] == "L" and kinds[1] in ("L", "S")))


def _hangul(char: str) -> str:
    """What a conjoining letter is, leading, vowel or trailing, or a whole syllable."""
    if "\u1100" <= char <= "\u115f" or "\ua960" <= char <= "\ua97c":
        return "L"
    if "\u1160" <= char <= "\u11a7" or "\ud7b0" <= char <= "\ud7c6":
        return "V"
    if "\u11a8" <= char <= "\u11ff" or "\ud7cb" <= char <= "\ud7fb":
        return "T"
    return "S" if "\uac00" <= char <= "\ud7a3" else ""
