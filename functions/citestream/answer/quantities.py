"""A text's terms with its numbers and dates as values, however they are written: ``1,200`` is ``1200``, ``three`` is
``3``, ``2020-03-05`` is the fifth of March 2020.

Knows English and German words, and digits of every script. ``1.200`` and ``1,200`` are taken for the same number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache

from citestream.answer.overlap import stems

_CARDINALS = {
    word: str(value)
    for names in (
        "one two three four five six seven eight nine ten eleven twelve",
        "eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    )
    for value, word in enumerate(names.split(), start=1)
}
_ORDINALS = [
    *["first", "second", "third", "fourth", "fifth", "sixth"],
    *["seventh", "eighth", "ninth", "tenth", "eleventh", "twelfth"],
]
_SCALES = {"hundred": 2, "thousand": 3, "tausend": 3, "million": 6, "mio": 6, "billion": 9, "milliarde": 9, "mrd": 9}
_MONTHS = [
    *["january", "february", "march", "april", "may", "june"],
    *["july", "august", "september", "october", "november", "december"],
]
_MONTH_NUMBERS = {name[:3]: number for number, name in enumerate(_MONTHS, start=1)}
_MONTH_NUMBERS |= {"mär": 3, "mai": 5, "okt": 10, "dez": 12}

# "may" and "mar" without a capital are other words.
_MONTH = r"""(?:jan(?:uary|uar)?|feb(?:ruary|ruar)?|(?-i:Mar|March|MARCH)|märz|apr(?:il)?|(?-i:May|MAY)|mai|june?|juni
    |july?|juli|aug(?:ust)?|sept?(?:ember)?|o[ck]t(?:ober)?|nov(?:ember)?|de[cz](?:ember)?)(?![^\W\d_])\.?"""
_QUANTITY = rf"""
    (?<![^\W_])(?:
      (?P<year_first>\d{{4}}(?P<mark>[-/])\d{{1,2}}(?P=mark)\d{{1,2}}(?!\d) | \d{{4}}年\d{{1,2}}月\d{{1,2}}日)
    | (?P<year_last>\d{{1,2}}(?P<sign>[./-])\d{{1,2}}(?P=sign)\d{{4}})(?!\d)
    | (?P<named>
        \d{{1,2}}(?:st|nd|rd|th|\.)?\ (?:of\ )?(?P<after>{_MONTH})(?:,?\ \d{{4}}(?!\d))?
      | (?P<before>{_MONTH})\ \d{{1,2}}(?:st|nd|rd|th)?(?![^\W_]|[:.,]\d)(?:,?\ \d{{4}}(?!\d))? )
    | (?P<ordinal>{"|".join(_ORDINALS)})(?![^\W_])
    )
  | (?:
      (?<![A-Za-z\u00c0-\u024f\d])(?<!\d[.,])(?P<digits>
        \d{{1,3}}(?:[,.'’\ \u00a0\u2009\u202f]\d{{3}})+(?:[.,]\d{{1,2}})?(?!\d)
      | \d{{1,2}}:\d{{2}}(?![\d:]) | \d+(?:\.\d+){{2,}}
      | \d+(?:[.,]\d+)? )
    | (?<![^\W_])(?P<word>{"|".join(_CARDINALS)})(?![^\W_])
    )
    (?:
      (?P<rank>st|nd|rd|th)(?![^\W_])
    | s(?![^\W_])
    | [\ \u00a0-]?(?P<scale>{"|".join(_SCALES)})(?:e?[sn])?(?![^\W_])
    | [\ \u00a0]?(?P<percent>%|٪|％|(?:per\ ?cent|prozent)(?![^\W_]))
    )?
"""
# What a pattern that ignores case takes for these letters, too: the long s of old prints, Turkish ones.
_LETTERS = str.maketrans("ſıİ", "sii")
_DIGITS = re.compile(r"\d+")
_GROUPED = re.compile(r"([1-9]\d{0,2}(?:\D\d{3})+)(?:\D(\d{1,2}))?")
_ENUMERATOR = re.compile(rf"\s*\(?\d{{1,2}}[.)]\s(?!{_MONTH})", re.VERBOSE | re.IGNORECASE)


@dataclass(slots=True)
class Quantified:
    """``terms`` in order, numbers as values; ``exact`` is what the text says in numbers, each with the ways to read
    it; ``held`` is every value that another text may take from it."""

    terms: list[str] = field(default_factory=list)
    exact: list[frozenset[str]] = field(default_factory=list)
    held: set[str] = field(default_factory=set)

    def _say(self, *readings: str) -> None:
        self.exact.append(frozenset(readings))
        self.held.update(readings)

    def _date(self, year: str | None, month: int, day: int, either: bool = False) -> None:
        self.terms.extend([*(stems(_MONTHS[month - 1]) if 1 <= month <= 12 else [str(month)]), str(day)])
        self._say(f"{month}-{day}", *([f"{day}-{month}"] if either else []))
        self.held.add(str(day))
        if year:
            self.terms.append(year)
            self._say(year)

    def _numeric_date(self, match: re.Match[str]) -> None:
        """Which is the month is settled by custom (year first; with dots), or by the calendar; else both hold."""
        first, second, third = (_plain(part) for part in _DIGITS.findall(match[0]))
        if match["year_first"]:
            self._date(first, int(second), int(third))
        elif match["sign"] == "." or int(first) > 12:
            self._date(third, int(second), int(first))
        else:
            self._date(third, int(first), int(second), either=int(second) <= 12)

    def _named_date(self, match: re.Match[str]) -> None:
        day, *year = (_plain(part) for part in _DIGITS.findall(match[0]))
        month = _lower(match["before"] or match["after"])[:3]
        self._date(year[0] if year else None, _MONTH_NUMBERS[month], int(day))

    def _ordinal(self, word: str) -> None:
        # "First, …" says no number; another text's "1st" is held by it all the same.
        self.terms.extend(stems(word))
        self.held.add(str(_ORDINALS.index(_lower(word)) + 1))

    def _time(self, hour: str, minute: str) -> None:
        """On the hour, the hour alone says the same."""
        whole = f"{hour}:{minute}"
        self.terms.append(hour if minute == "0" else whole)
        self._say(whole, *([hour] if minute == "0" else []))
        self.held.update([hour, minute])

    def _number(self, match: re.Match[str]) -> None:
        digits, word = match["digits"], match["word"]
        if digits and ":" in digits:
            self._time(*map(_plain, digits.split(":")))
            return
        value = _CARDINALS[_lower(word)] if word else _value(digits)
        self.held.add(value)
        if match["scale"] and value.count(".") < 2:  # a version has no scale
            scaled = _scaled(value, _SCALES[_lower(match["scale"])])
            self.terms.append(scaled)
            self._say(scaled)
        elif match["rank"] and len(value) < 3 and 1 <= int(value) <= len(_ORDINALS):
            self._ordinal(_ORDINALS[int(value) - 1])
            self._say(value)
        elif value == "1" and word:
            pass  # "one" is mostly a pronoun
        else:
            self.terms.append(value)
            # Two numbers side by side may look like one with a space in it.
            self._say(value, *(map(_plain, digits.split(" ")) if digits and " " in digits else ()))
        if match["percent"]:
            self.terms.append("%")


def quantified(text: str) -> Quantified:
    """The text's terms, numbers and dates, in time linear in its length. An enumerator at its start is left out."""
    into = Quantified()
    enumerator = _ENUMERATOR.match(text)
    at = enumerator.end() if enumerator else 0
    for match in _quantity().finditer(text, at):
        into.terms.extend(stems(text[at : match.start()]))
        if match["year_first"] or match["year_last"]:
            into._numeric_date(match)
        elif match["named"]:
            into._named_date(match)
        elif match["ordinal"]:
            into._ordinal(match["ordinal"])
        else:
            into._number(match)
        at = match.end()
    into.terms.extend(stems(text[at:]))
    return into


@cache
def _quantity() -> re.Pattern[str]:
    """Compiled when it is needed first: that takes 3 ms, which no start of a function is to wait for."""
    return re.compile(_QUANTITY, re.VERBOSE | re.IGNORECASE)


def _lower(word: str) -> str:
    return word.translate(_LETTERS).lower()


def _scaled(value: str, zeros: int) -> str:
    """The value times a power of ten; digits have no limit, as a model's may have none."""
    whole, _, part = value.partition(".")
    rest = part[zeros:].rstrip("0")
    return _plain(whole + part[:zeros].ljust(zeros, "0")) + (f".{rest}" if rest else "")


def _plain(digits: str) -> str:
    """ASCII digits without leading zeros."""
    return _ascii(digits).lstrip("0") or "0"


def _ascii(digits: str) -> str:
    return digits if digits.isascii() else "".join(str(int(digit)) for digit in digits)


def _value(number: str) -> str:
    grouped = _GROUPED.fullmatch(number)
    if grouped:
        whole, parts = "".join(_DIGITS.findall(grouped[1])), [grouped[2]] if grouped[2] else []
    else:
        whole, *parts = _DIGITS.findall(number)
    if len(parts) == 1 and _plain(parts[0]) == "0":
        parts = []
    return ".".join([_plain(whole), *map(_ascii, parts)])
