from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from citestream.retrieval.wordpiece import WordPiece
from tests.unit import installed_minilm

CONTROL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


SMALL = [*CONTROL, "un", "##aff", "##able", "##a", "unaff", "a", "cafe", "$", "[", "]", "sep", "東", "京", "σ"]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        pytest.param("", "", id="nothing"),
        pytest.param(" \t\r\n\u00a0\u3000\u2028", "", id="only white space"),
        pytest.param("unaffable", "unaff ##able", id="the longest piece first"),
        pytest.param("ununaff", "[UNK]", id="one unknown part makes the word unknown"),
        pytest.param("un unaff", "un unaff", id="words"),
        pytest.param("Café CAFE\u0301 cafe", "cafe cafe cafe", id="case and accents"),
        pytest.param("ΣΑ Σ", "[UNK] σ", id="capital sigma"),
        pytest.param("a$a", "a $ a", id="ASCII symbols divide"),
        pytest.param("un—a", "un [UNK] a", id="punctuation divides"),
        pytest.param("un€a", "[UNK]", id="other symbols do not"),
        pytest.param("東京a", "東 京 a", id="ideographs stand alone"),
        pytest.param("u\x00n\u200b\ufffd\ue000\ud800 a", "un a", id="control characters vanish"),
        pytest.param("u\u0378n", "[UNK]", id="unassigned characters do not"),
        pytest.param("[SEP]", "[ sep ]", id="control tokens are text"),
        pytest.param("a" * 100, " ".join(["a"] + ["##a"] * 99), id="100 characters"),
        pytest.param("a" * 101, "[UNK]", id="a word too long"),
    ],
)
def test_small_vocabulary(text: str, tokens: str) -> None:
    ids = WordPiece(SMALL).encode(text, 256)
    assert [SMALL[number] for number in ids] == ["[CLS]", *tokens.split(), "[SEP]"]


@pytest.mark.parametrize(
    ("word", "whole"),
    [("unaff", True), ("CAFÉ", True), ("unaffable", False), ("##a", False), ("東京", False), ("", False)],
)
def test_a_word_is_a_token_or_several(word: str, whole: bool) -> None:
    assert WordPiece(SMALL).is_token(word) is whole


@pytest.mark.parametrize(
    ("text", "limit", "tokens"),
    [
        ("a un a", 5, "[CLS] a un a [SEP]"),
        ("a un a", 4, "[CLS] a un [SEP]"),
        ("a a unaffable", 5, "[CLS] a a unaff [SEP]"),
        ("a", 2, "[CLS] [SEP]"),
    ],
)
def test_is_cut_to_the_limit_and_ended(text: str, limit: int, tokens: str) -> None:
    ids = WordPiece(SMALL).encode(text, limit)
    assert " ".join(SMALL[number] for number in ids) == tokens


VECTORS = json.loads(Path(__file__).with_name("wordpiece_vectors.json").read_text("utf-8"))["cases"]


@pytest.fixture(scope="module")
def minilm() -> WordPiece:
    return WordPiece(installed_minilm.required()["vocabulary"].tobytes().decode().split("\n"))


@pytest.mark.parametrize("case", VECTORS, ids=lambda case: ascii(case["text"][:20]))
def test_the_models_vocabulary(minilm: WordPiece, case: dict[str, str | list[int]]) -> None:
    assert minilm.encode(str(case["text"]), 256) == case["ids"]


# Blocks without characters that are newer than the reference tokenizer's tables, which are those of Unicode 8.
BLOCKS = [
    *[(0x0000, 0x052F), (0x0591, 0x05F4), (0x0620, 0x06FF), (0x0900, 0x097F), (0x0E00, 0x0E7F)],
    *[(0x1E00, 0x2E42), (0x3000, 0x33FF), (0x3400, 0x3500), (0x4D00, 0x4F00), (0x9F00, 0xA0FF)],
    *[(0xAC00, 0xAE00), (0xD700, 0xD7FF), (0xE000, 0xE010), (0xF900, 0xFFFF), (0x1F000, 0x1FAFF)],
    *[(0x20000, 0x20010), (0x2A6D0, 0x2A710), (0x2B730, 0x2B830), (0x2B900, 0x2B930), (0x2F800, 0x2FA1F)],
]
CHARACTERS = [chr(code) for first, last in BLOCKS for code in range(first, last + 1)]
# Each character is a token, so that the ids tell where the words are and what is in them.
LETTERS = sorted({letter for character in CHARACTERS for letter in (character, character.lower()[0])} - {"\0"})
EVERY = [*CONTROL, *LETTERS, *(f"##{letter}" for letter in LETTERS)]


@pytest.fixture(scope="module")
def reference() -> Tokenizer:
    ids = {token: number for number, token in enumerate(EVERY)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"]))
    return tokenizer


@pytest.fixture(scope="module")
def ours() -> WordPiece:
    return WordPiece(EVERY)


def test_every_character_is_spelled_as_the_reference_spells_it(ours: WordPiece, reference: Tokenizer) -> None:
    texts = [f"a{character}b {character}" for character in CHARACTERS]
    assert [text for text in texts if ours.encode(text, 99) != reference.encode(text).ids] == []


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.text(st.one_of(st.sampled_from(CHARACTERS), st.sampled_from("ab \u0301\u0323\u05b0é,Σ가中"))))
def test_texts_are_split_as_the_reference_splits_them(ours: WordPiece, reference: Tokenizer, text: str) -> None:
    assert ours.encode(text, 10_000) == reference.encode(text).ids
