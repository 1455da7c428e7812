"""How much text a model can take: tokens, estimated without its vocabulary, and texts cut to them.

A vocabulary is megabytes, another one for each model, and not to be had without a network. The estimate is on the safe
side of OpenAI's cl100k: by half for English prose, code and Markdown, by a tenth for German. Only text that no reader
reads, such as base64, takes up to twice as many.
"""

from __future__ import annotations

import math
import re
import string
from collections.abc import Sequence
from dataclasses import replace

from citestream.model import Passage
from citestream.sentences import sentences

_LETTERS = f"{string.ascii_letters} ".encode()
_ASCII = bytes(range(128))
_ENDED_WORDS = re.compile(r".*\S(?=\s)", re.DOTALL)
# Bytes a token: of ASCII letters and spaces, of other ASCII characters, of everything else.
_OF_LETTERS, _OF_SIGNS, _OF_OTHERS = 3.5, 1.2, 2.0


def tokens(text: str) -> int:
    """About as many as any model's tokenizer makes of the text, rather more than fewer."""
    data = text.encode(errors="replace")
    others = len(data.translate(None, _ASCII))
    signs = len(data.translate(None, _LETTERS)) - others
    letters = len(data) - signs - others
    return math.ceil(letters / _OF_LETTERS + signs / _OF_SIGNS + others / _OF_OTHERS)


def cut(text: str, most: int, *, within_sentence: bool = False) -> str:
    """The text's whole sentences, from its beginning on, that have so many tokens at most together.

    Where not even the first fits, that is nothing, or the words of it that do.
    """
    if tokens(text) <= most:
        return text
    end = 0
    for _, stop in sentences(text):
        if tokens(text[:stop]) > most:
            break
        end = stop
    return text[:end] if end or not within_sentence else _words(text, most)


def fit(passages: Sequence[Passage], heads: Sequence[int], most: int) -> tuple[Passage, ...]:
    """The first of the passages that have so many tokens together, the last of them cut to whole sentences.

    ``heads`` are the tokens that come with each. Where there is room for a word at all, one passage is kept.
    """
    kept: list[Passage] = []
    for passage, head in zip(passages, heads, strict=True):
        text = cut(passage.text, most - head, within_sentence=not kept)
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
    ended = _ENDED_WORDS.match(text[: low + 1])
    return ended[0] if ended else text[:low]
