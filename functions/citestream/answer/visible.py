"""Text of others as a model is shown it: what a reader would see, and nothing that ends or begins a part of a prompt.

Only the prompt has it so: what is cited is the document's own text.
"""

from __future__ import annotations

import re

# What nobody sees, and a model may be told by: controls, soft hyphens, marks of direction, fillers, tags, selectors of
# variants. Joiners stay, by which some scripts are written, and so does the selector of emoji.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e"
    "\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff9-\ufffb\U000e0000-\U000e0fff]"
)
_JOINERS = "[\u200c\u200d\ufe0f]*"
# The letters of our tags as ASCII has them, as wide ones, and as others that look the same.
_LOOKS = {
    "c": "cｃсϲ",
    "e": "eｅе",
    "n": "nｎ",
    "o": "oｏоο",
    "r": "rｒ",
    "s": "sｓѕ",
    "t": "tｔ",
    "u": "uｕ",
}
_NAMES = "|".join(_JOINERS.join(f"[{_LOOKS[letter]}]" for letter in name) for name in ("source", "turn"))
# What could begin or end a source or a turn, and what servers of open models take for the beginning of a role, where a
# chat template puts a text among its own marks: <|im_start|>, <start_of_turn>, </s>, <<SYS>>, [INST].
_MARK = re.compile(
    rf"""
      [<＜﹤] (?= [\s/／\u200c\u200d\ufe0f]* (?:{_NAMES}) )
    | [<＜﹤] (?= [|｜] )
    | <       (?= /? (?: s | bos | eos | (?:start|end)_of_turn ) > | </?SYS>> )
    | \[      (?= /? (?: INST | SYSTEM_PROMPT ) \] )
    """,
    re.IGNORECASE | re.VERBOSE,
)


def harmless(text: str) -> str:
    """The text without what can't be seen; what looks like a mark of ours, or of a chat template, begins with ``‹``."""
    return _MARK.sub("‹", _UNSEEN.sub("", text))
