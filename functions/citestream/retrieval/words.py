"""Words, as the full-text index and the answer count them, and how scripts without spaces are cut.

SQLite's tokenizer takes a run of Chinese, Japanese, Thai … for one word. Overlapping pairs of characters, in
documents and in queries alike, find as well as a dictionary does and need none.
"""

from __future__ import annotations

import re
import unicodedata

#: For FTS5: Porter stems, no diacritics; marks (Mn, Mc) are parts of words in Indic and Thai scripts.
TOKENIZER = "porter unicode61 remove_diacritics 2 categories ''L* N* Co Mc Mn''"

# Thai, Lao, Myanmar, Khmer; kana; CJK ideographs with their extensions.
_UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U00020000-\U0003ffff]+"
)
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f]")
_LETTER = re.compile(r"[^\W\d_]")
_MOST_TERMS = 128


class _Spaces(dict[int, int]):
    """For ``str.translate``: a space for whatever is no part of a word to ``TOKENIZER``; fills as characters come.

    Python's ``\\w`` has no marks, and would cut words of Indic scripts and vocalised Arabic into letters.
    """

    def __missing__(self, char: int) -> int:
        category = unicodedata.category(chr(char))
        within = category[0] in "LN" or category in ("Co", "Mc", "Mn")
        self[char] = char if within else ord(" ")
        return self[char]


_SPACES = _Spaces()

STOP_WORDS = frozenset(
    """
    a about an and any are as at be been but by can could did do does for from had has have he her his how i if in
    into is it its just may me might must my no not of on one or our shall she should so some such than that the
    their them then there these they this those to up us was we were what when where which who whom why will with
    would you your
    """.split()  # noqa: SIM905  a hundred quoted words are no easier to read
)


def segment(text: str) -> str:
    """The text with unspaced scripts as overlapping pairs of characters; other scripts as they are."""
    return _UNSPACED.sub(lambda run: f" {' '.join(_pairs(run.group()))} ", text)


def words(text: str) -> list[str]:
    """The text's words in order, lower-cased; of unspaced scripts, pairs of characters."""
    return segment(unicodedata.normalize("NFC", text)).lower().translate(_SPACES).split()


def terms(query: str) -> list[str]:
    """The words worth searching for, in order, each once; stop words only where there is nothing else."""
    found = list(dict.fromkeys(words(query)))
    chosen = [word for word in found if word not in STOP_WORDS] or found
    return chosen[:_MOST_TERMS]


def latin_share(text: str) -> float:
    """The share of Latin letters among the text's letters; 0 where it has none."""
    letters = len(_LETTER.findall(text))
    return len(_LATIN.findall(text)) / letters if letters else 0.0


def _pairs(run: str) -> list[str]:
    return [run[i : i + 2] for i in range(len(run) - 1)] or [run]
