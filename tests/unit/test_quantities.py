"""Numbers and dates of a text as values."""

from __future__ import annotations

import pytest

from citestream.answer.quantities import quantified


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1,200 users", "1200 users"),
        ("1.200 Nutzer", "1200 Nutzer"),
        ("1 200 users", "1200 users"),  # no-break space
        ("1'200 Franken", "1200 Franken"),
        ("10 000 users", "10,000 users"),
        ("three days", "3 days"),
        ("Twelve months", "12 months"),
        ("drei Tage", "3 Tage"),
        ("5%", "5 percent"),
        ("5 %", "five per cent"),
        ("5 Prozent", "5%"),
        ("2 million users", "2,000,000 users"),
        ("two million users", "2,000,000 users"),
        ("1.5 billion", "1,500,000,000"),
        ("3,5 Mio", "3500000"),
        ("1,234.50 dollars", "1.234,50 dollars"),
        ("4.0", "4"),
        ("007", "7"),
        ("the 3rd day", "the third day"),
        ("440Hz", "440 Hz"),
        ("at 10:00", "at 10"),
        ("at 09:30", "at 9:30"),
        ("two hundred users", "200 users"),
        ("٣ أيام", "3 أيام"),
        ("１２", "12"),
        ("March 5, 2020", "5 March 2020"),
        ("Mar. 5 2020", "5th of March 2020"),
        ("2020-03-05", "March 5th, 2020"),
        ("2020/3/5", "5 March 2020"),
        ("05.03.2020", "5. März 2020"),
        ("13/3/2020", "3/13/2020"),
        ("2020年3月5日", "5 March 2020"),
        ("12. Dezember", "December 12"),
        ("1. Pay 3 dollars", "Pay 3 dollars"),
        ("1.25 hundred", "125"),
        ("1.2345 thousand", "1234.5"),
        ("0 million", "0"),
        # Letters that a pattern which ignores case takes for others.
        ("ſieben Tage", "7 Tage"),
        ("5 tauſend Mark", "5000 Mark"),
        ("3. ſeptember 1819", "3. September 1819"),
        ("FİVE mıllıon", "5 million"),
    ],
)
def test_are_equal_however_they_are_written(one: str, other: str) -> None:
    first, second = quantified(one), quantified(other)
    assert first.terms == second.terms
    for readings in first.exact:
        assert not readings.isdisjoint(second.held)
    for readings in second.exact:
        assert not readings.isdisjoint(first.held)


@pytest.mark.parametrize(
    ("said", "held"),
    [
        ("15 minutes", "50 minutes"),
        ("1,200", "12,000"),
        ("3.5", "35"),
        ("2 million", "2 billion"),
        ("March 5", "May 5"),
        ("March 5", "March 6"),
        ("5 March 2020", "5 March 2021"),
        ("2020-03-05", "2020-05-03"),
        ("version 4.1.2", "version 4.1.3"),
        ("three days", "some days"),
        ("1st", "21st"),
        ("9:30", "9:45"),
        ("10:00", "11:30"),
    ],
)
def test_differ_where_the_values_do(said: str, held: str) -> None:
    assert any(readings.isdisjoint(quantified(held).held) for readings in quantified(said).exact)


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("one of them", []),
        ("First, look", []),
        ("A440 and v4.1", []),
        ("it may 5", [{"5"}]),
        ("3/5/2020", [{"3-5", "5-3"}, {"2020"}]),
        ("31.31.2020", [{"31-31"}, {"2020"}]),
        ("10.0.0.1", [{"10.0.0.1"}]),
        ("in the 1990s", [{"1990"}]),
        ("40th", [{"40"}]),
        ("0th", [{"0"}]),
        ("the ſixth", []),
        ("1.2.3 million", [{"1.2.3"}]),
        ("0,123,456 million", [{"0.123.456"}]),
        ("5. März", [{"3-5"}]),
        ("", []),
    ],
)
def test_what_a_text_says_in_numbers(text: str, exact: list[set[str]]) -> None:
    assert quantified(text).exact == exact


@pytest.mark.parametrize(("said", "held"), [("1 vote", "one vote"), ("2nd", "second"), ("3 days", "3 200 days")])
def test_what_says_no_number_holds_one_all_the_same(said: str, held: str) -> None:
    assert all(not readings.isdisjoint(quantified(held).held) for readings in quantified(said).exact)


@pytest.mark.parametrize("piece", ["1", "1 ", "1,234", "1.1", "March ", "5 of ", "five million ", "1,23", "2020-1-"])
def test_takes_time_linear_in_the_text(piece: str) -> None:
    # Of another order, it would take longer than a test may.
    assert len(quantified(piece * 50_000).held) <= 4


def test_a_number_may_have_any_number_of_digits() -> None:
    digits = "9" * 1_000_000
    assert quantified(f"{digits} million").exact == [{f"{digits}000000"}]
