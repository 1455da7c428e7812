"""Uncased BERT's WordPiece: text to the token ids that all-MiniLM-L6-v2 was trained on."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

_LONGEST_WORD = 100

_IDEOGRAPHS = (
    (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF),
    (0xF900, 0xFAFF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B920, 0x2CEAF),  # the block starts at 2B820; the reference tokenizer starts here
    (0x2F800, 0x2FA1F),
)


class WordPiece:
    """A tokenizer over ``vocabulary``, in which a token's position is its id.

    Text that spells a control token, ``[SEP]`` say, is text: a document can't end the sequence it is part of.
    """

    def __init__(self, vocabulary: Sequence[str]) -> None:
        self._ids = {token: number for number, token in enumerate(vocabulary)}
        self._longest_token = max(map(len, vocabulary))
        self._unknown, self._first, self._last = (self._ids[name] for name in ("[UNK]", "[CLS]", "[SEP]"))
        self._spelling = _Spelling()

    def encode(self, text: str, limit: int) -> list[int]:
        """The ids of ``text`` between those of ``[CLS]`` and ``[SEP]``, cut so that they are ``limit`` at most."""
        room = limit - 2
        ids: list[int] = []
        for word in text.translate(self._spelling).split():
            if len(ids) >= room:
                break
            ids += self._pieces(word)
        return [self._first, *ids[:room], self._last]

    def is_token(self, word: str) -> bool:
        """Whether the word, spelled as the model reads it, is in the vocabulary as a whole."""
        return word.translate(self._spelling) in self._ids

    def _pieces(self, word: str) -> list[int]:
        if len(word) > _LONGEST_WORD:
            return [self._unknown]
        pieces: list[int] = []
        start = 0
        while start < len(word):
            piece, start = self._longest_piece(word, start)
            if piece == self._unknown:
                return [self._unknown]
            pieces.append(piece)
        return pieces

    def _longest_piece(self, word: str, start: int) -> tuple[int, int]:
        """The longest token that ``word`` goes on with at ``start``, and where it ends."""
        prefix = "##" if start else ""
        for end in range(min(len(word), start + self._longest_token), start, -1):
            piece = self._ids.get(prefix + word[start:end])
            if piece is not None:
                return piece, end
        return self._unknown, len(word)


class _Spelling(dict[int, str]):
    """What ``str.translate`` makes of each character, so that spaces divide the words. Filled as it is asked.

    The rules (drop controls, set ideographs apart, decompose, drop marks, lower, set punctuation apart) look at one
    character at a time, so they run once for a character, not once for a text.
    """

    def __missing__(self, code: int) -> str:
        return self.setdefault(code, _spell(chr(code)))


def _spell(character: str) -> str:
    category = unicodedata.category(character)
    if character in "\t\n\r" or category.startswith("Z"):
        return " "
    if character == "\ufffd" or category in ("Cc", "Cf", "Co", "Cs"):
        return ""
    spelled = "".join(map(_apart, _unmarked(character).lower()))
    return f" {spelled} " if _is_ideograph(character) else spelled


def _unmarked(character: str) -> str:
    parts = unicodedata.normalize("NFD", character)
    return "".join(part for part in parts if unicodedata.category(part) != "Mn")


def _apart(character: str) -> str:
    return f" {character} " if _is_punctuation(character) else character


def _is_punctuation(character: str) -> bool:
    # In ASCII whatever is no letter and no digit: also ``$`` and ``+``, which Unicode calls symbols.
    if character.isascii():
        return not character.isalnum()
    return unicodedata.category(character).startswith("P")


def _is_ideograph(character: str) -> bool:
    return any(first <= ord(character) <= last for first, last in _IDEOGRAPHS)
