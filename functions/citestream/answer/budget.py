"""How much text a model can take: tokens, estimated without its vocabulary, and texts cut to them.

A vocabulary is megabytes, another one for each model, and not to be had without a network. The estimate is on the safe
side of OpenAI's cl100k: by half for English prose, code and Markdown, by a tenth for German. Only text that no reader
reads, such as base64, takes up to twice as many.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import replace

from citestream.model import Passage
from citestream.sentences import sentences

_LETTERS = f"{string.ascii_letters} ".encode()
_ASCII = bytes(range(128))
# Bytes a token: of ASCII letters and spaces, of other ASCII characters, of everything else.
_OF_LETTERS, _OF_SIGNS, _OF_OTHERS = 3.5, 1.2, 2.0


def tokens(text: str) -> int:
    """About as many as any model's tokenizer makes of the text, rather more than fewer."""
    data = text.encode(errors="replace")
    others = len(data.translate(None, _ASCII))
    signs = len(data.translate(None, _LETTERS)) - others
    letters = len(data) - signs - others
    return math.ceil(letters / _OF_LETTERS + signs / _OF_SIGNS + others / _OF_OTHERS)


def cut(text: str, most: int) -> str:
    """The text's beginning that has at most so many tokens: whole sentences, or words of the first."""
    if tokens(text) <= most:
        return text
    end = 0
    for _, stop in sentences(text):
        if tokens(text[:stop]) > most:
            break
        end = stop
    return text[:end] if end else _words(text, most)


def fit(passages: Sequence[Passage], heads: Sequence[int], most: int) -> tuple[Passage, ...]:
    """The best of the passages, which come best first, that have so many tokens together, the last of them cut short.

    ``heads`` are the tokens that come with each. Where there is room for a word at all, one passage is kept.
    """
    kept: list[Passage] = []
    for passage, head in zip(passages, heads, strict=True):
        text = cut(passage.text, most - head)
        if text:
            kept.append(replace(passage, text=text, char_end=passage.char_start + len(text)))
        if text != passage.text:
            break
        most -= head + tokens(text)
    return tuple(kept)


def _words(text: str, most: int) -> str:
    """The longest beginning, to the end of a word if it has one."""
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if tokens(text[:middle]) <= most else (low, middle - 1)
    words = text[:low].rsplit(None, 1)
    return words[0] if len(words) > 1 else text[:low]
