"""Words: what is searched for, and what the answer is compared by."""

from __future__ import annotations

import unicodedata

import pytest

from citestream.answer.overlap import stems
from citestream.retrieval.words import latin_share, segment, terms, words


@pytest.mark.parametrize(
    ("text", "segmented"),
    [
        ("plain words", "plain words"),
        ("東京都の天気", " 東京 京都 都の の天 天気 "),
        ("in 東 only", "in  東  only"),
        ("ภาษาไทย", " ภา าษ ษา าไ ไท ทย "),
    ],
)
def test_unspaced_scripts_become_pairs(text: str, segmented: str) -> None:
    assert segment(text) == segmented


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Plain, WORDS: v4.1", ["plain", "words", "v4", "1"]),
        ("snake_case-name", ["snake", "case", "name"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("বাংলা ভাষা", ["বাংলা", "ভাষা"]),
        ("தமிழ் மொழி", ["தமிழ்", "மொழி"]),
        ("كِتَابٌ، الشَّايِ", ["كِتَابٌ", "الشَّايِ"]),
        ("น้ำ", ["น้", "้ำ"]),
        ("Bu\u0308cher", ["bücher"]),
        ("½ x² \ue000", ["½", "x²", "\ue000"]),
        ("a\u20ddb", ["a", "b"]),
        ("“—…” 😀\x00", []),
    ],
)
def test_words_are_letters_numbers_and_their_marks(text: str, found: list[str]) -> None:
    assert words(text) == [unicodedata.normalize("NFC", word) for word in found]


def test_the_answer_is_compared_by_the_words_that_are_searched_for() -> None:
    for text in ("हिन्दी में", "東京都", "كِتَابٌ"):
        assert stems(text) == terms(text) == words(text)
    assert stems("Bu\u0308cher") == stems("Bücher")


def test_stop_words_count_only_where_there_is_nothing_else() -> None:
    assert terms("How do I get THE token, the Token?") == ["get", "token"]
    assert terms("who are you") == ["who", "are", "you"]
    assert terms("?!") == []
    assert len(terms(" ".join(f"w{i}" for i in range(500)))) == 128


@pytest.mark.parametrize(
    ("text", "share"), [("abc", 1.0), ("東京", 0.0), ("ab 東京", 0.5), ("12 !", 0.0), ("über", 1.0)]
)
def test_latin_share(text: str, share: float) -> None:
    assert latin_share(text) == share
