"""Whether an answer is that there is none: models are told by which sentence to say so, and some find other words."""

from __future__ import annotations

import re

from citestream.answer.answerer import NO_ANSWER

_MARKER = re.compile(r"\[\d{1,3}\]")
_MOST_WORDS = 60
_NOT = r"(?:not|cannot|cant|couldnt|dont|doesnt|didnt)"
_BEFORE = (
    "unfortunately|sorry|im|i|am|but|based|on|in|from|of|the|these|those|your|given|provided|available"
    "|sources|documents"
)
# On words in lower case, one space between them: "unfortunately the sources given do not say".
_OTHER_WORDS = re.compile(
    rf"""
    (?: (?:{_BEFORE})\  )*?
    (?: (?:document|source|passage|excerpt|text|material|context)s?\ (?:\w+\ ){{0,2}}?{_NOT}\ (?:\w+\ )?
          (?:answer|say|state|tell|mention|contain|include|provide|give|address|cover|specify|discuss)
      | i\ (?:\w+\ )?{_NOT}\ (?:able\ to\ )?(?:find|answer|know|tell|determine)
      | there\ (?:is|was)\ no\ (?:\w+\ )?(?:information|mention|answer)
    )\b
    """,
    re.VERBOSE,
)


def is_refusal(answer: str) -> bool:
    """True for the agreed sentence alone, in any dress, even with markers; where nothing is cited, also for one that
    says it among others, or that is short and begins with the like of it in English."""
    said = _words(_MARKER.sub("", answer))
    agreed = _words(NO_ANSWER)
    if said == agreed or _MARKER.search(answer):
        return said == agreed
    if f" {agreed} " in f" {said} ":
        return True
    return said.count(" ") < _MOST_WORDS and _OTHER_WORDS.match(said) is not None


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", re.sub("['’]", "", text).casefold()))
