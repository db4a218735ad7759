"""Money: integers of one currency, the same on every machine."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.money import DEFAULT_RATES, MAX_EXACT, MAX_VALUE, RateError, Rates, exponent

DAY_MS = 86_400_000
DATED = {"1970-01-02": {"EUR": 1.0, "USD": 0.5}, "1970-01-11": {"EUR": 1.0, "USD": 0.8, "JPY": 0.01}}
CODES = sorted(Rates().currencies)


def converted(rates: Rates, value: float, currency: str | None, at_ms: int = 0) -> int:
    return int(rates.to_base_minor(np.array([value]), [currency], np.array([at_ms]))[0])


def test_an_amount_in_the_base_currency_is_its_cents() -> None:
    assert [converted(Rates(), value, "EUR") for value in (0, 0.01, 19.99, 129.97, 1e9)] == [
        0,
        1,
        1999,
        12997,
        10**11,
    ]


def test_no_currency_is_the_base_currency() -> None:
    assert converted(Rates(), 12.5, None) == 1250


def test_half_a_cent_goes_to_the_even_side() -> None:
    assert [converted(Rates(), value, "EUR") for value in (0.125, 0.375, 0.625)] == [12, 38, 62]


def test_currencies_without_and_with_three_decimals() -> None:
    rates = Rates("EUR", {"2026-01-01": {"EUR": 1, "JPY": 0.01, "KWD": 3}})
    assert converted(rates, 1234, "JPY") == 1234
    assert converted(rates, 1234.4, "JPY") == 1234  # a fraction of a yen is lost before it is converted
    assert converted(rates, 1.234, "KWD") == 370  # 1234 fils * 0.3 = 370.2
    assert converted(Rates("JPY", rates.dated), 1, "EUR") == 100
    assert (exponent("JPY"), exponent("KWD"), exponent("EUR"), exponent("CLF")) == (0, 3, 2, 4)


@pytest.mark.parametrize(
    ("day", "cents"),
    [(0, 50), (1, 50), (9, 50), (10, 80), (10_000, 80)],  # before the first date its rate holds
)
def test_the_rate_is_the_newest_at_or_before_the_event(day: int, cents: int) -> None:
    rates = Rates("EUR", DATED)
    assert converted(rates, 1, "USD", day * DAY_MS) == cents
    assert rates.rate("USD", day * DAY_MS) == cents / 100


def test_a_currency_that_comes_later_has_its_first_rate_before() -> None:
    assert converted(Rates("EUR", DATED), 300, "JPY", 0) == 300


def test_a_currency_that_a_later_table_leaves_out_keeps_its_rate() -> None:
    dated = {"1970-01-01": {"EUR": 1.0, "USD": 0.5}, "1970-01-03": {"EUR": 1.0}}
    assert converted(Rates("EUR", dated), 1, "USD", 5 * DAY_MS) == 50


def test_many_dates_and_currencies_at_once() -> None:
    rates = Rates("EUR", DATED)
    values, codes = np.array([1.0, 1.0, 2.0]), ["USD", "EUR", "USD"]
    assert rates.to_base_minor(values, codes, np.array([0, 0, 10 * DAY_MS])).tolist() == [50, 100, 160]
    assert rates.to_base_minor(np.empty(0), [], np.empty(0, np.int64)).tolist() == []


def test_a_table_serves_any_of_its_currencies_as_base() -> None:
    rates = Rates("USD")
    assert converted(rates, 10, "USD") == 1000
    assert rates.rate("USD", 0) == 1
    assert rates.rate("EUR", 0) == pytest.approx(1 / DEFAULT_RATES["2026-01-01"]["USD"])


@given(st.floats(0, MAX_VALUE), st.sampled_from(CODES))
@example(0.235, "AED")
def test_within_a_cent_of_exact_arithmetic(value: float, code: str) -> None:
    table = DEFAULT_RATES["2026-01-01"]
    amount = Fraction(value) * 10 ** exponent(code)
    unit = Fraction(str(table[code])) * Fraction(10) ** (2 - exponent(code))  # its minor unit in cents
    exact = round(amount) * unit
    halfway = abs(amount % 1 - Fraction(1, 2)) <= max(amount, 1) / 10**15  # as far as a float can tell
    allowed = Fraction(1, 2) + Fraction(1, 10**3) + exact / 10**15 + (unit if halfway else 0)
    assert abs(converted(Rates(), value, code) - exact) <= allowed


@given(st.floats(0, MAX_VALUE), st.sampled_from(CODES), st.sampled_from(["EUR", "USD", "JPY"]))
def test_the_largest_amount_stays_exact(value: float, code: str, base: str) -> None:
    assert 0 <= converted(Rates(base), value, code) < MAX_EXACT


def test_the_default_table_has_the_usual_currencies() -> None:
    assert len(CODES) >= 30
    assert {"EUR", "USD", "GBP", "JPY", "CHF", "CNY", "INR", "BRL", "PLN", "SEK"} <= set(CODES)


def test_an_unknown_currency_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        converted(Rates(), 1, "XXX")


def test_the_fingerprint_is_of_the_meaning() -> None:
    same = Rates("EUR", {day: dict(reversed(rates.items())) for day, rates in reversed(DATED.items())})
    assert Rates("EUR", DATED).fingerprint() == same.fingerprint()
    others = [Rates(), Rates("USD", DATED), Rates("EUR", {"1970-01-02": DATED["1970-01-02"]})]
    assert len({rates.fingerprint() for rates in [same, *others]}) == 4
    assert len(same.fingerprint()) == 16


def test_the_fingerprint_of_the_default_table_is_known() -> None:
    """It is pinned in every store: a change here is a change of the state space, and needs a new store."""
    assert Rates().fingerprint() == "6f16df763f1aca13"


@pytest.mark.parametrize(
    ("base", "dated", "message"),
    [
        ("EUR", {}, "table is empty"),
        ("EUR", {"2026-13-01": {"EUR": 1.0}}, "'2026-13-01' is no date"),
        ("EUR", {"2026-01-01": {"USD": 1.0}}, "base currency 'EUR' is missing"),
        ("EUR", {"2026-01-01": {"EUR": 1.0, "usd": 1.0}}, "'usd' is no currency"),
        ("EUR", {"2026-01-01": {"EUR": 1.0, "USD": 0.0}}, "USD has 0.0"),
        ("EUR", {"2026-01-01": {"EUR": 1.0, "USD": math.inf}}, "USD has inf"),
        ("EUR", {"2026-01-01": {"EUR": 1.0, "USD": math.nan}}, "USD has nan"),
        ("EUR", {"2026-01-01": {"EUR": 1.0, "USD": 1e6}}, "choose a base of larger units"),
    ],
)
def test_a_table_that_cannot_work_names_the_entry(base: str, dated: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(RateError, match=message):
        Rates(base, dated)
