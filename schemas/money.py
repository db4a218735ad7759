"""Money: amounts of many currencies as integers of one.

An amount becomes integer minor units of its own currency first (ISO 4217 exponents: 2 for EUR, 0 for JPY, 3 for KWD),
then minor units of the base currency, by the newest rate dated at or before the event; an event before the first date
takes the first. Both steps round half to even: the first on the double-precision product value * 10^exponent, the
second on minor * factor, where `factor` is the double nearest to the exact quotient of the two rates. Each is one IEEE
operation, so the integers are the same on any CPU. The price: fractions of a minor unit are lost, and amounts of
several currencies are only as comparable as the table is current. The table decides what enters the bags, so it is a
constant of the state space: `fingerprint` is what the store pins.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from fractions import Fraction
from functools import cached_property
from hashlib import sha256
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

MAX_VALUE = 1e9  # of an amount in major units (schemas/events.py)
MAX_EXACT = 2**53  # above it a double skips integers

_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"
EXPONENTS: Final[Mapping[str, int]] = {
    **{_NO_DECIMALS[at : at + 3]: 0 for at in range(0, len(_NO_DECIMALS), 4)},
    **{_THREE_DECIMALS[at : at + 3]: 3 for at in range(0, len(_THREE_DECIMALS), 4)},
    "CLF": 4,
    "UYW": 4,
}
"""ISO 4217 minor units where they are not 2."""

DEFAULT_BASE = "EUR"
DEFAULT_RATES: Final[Mapping[str, Mapping[str, float]]] = {
    # Round figures, EUR for one unit, good for comparing amounts and for nothing else: set HEADRACE_RATES.
    "2026-01-01": {
        "EUR": 1.0,
        "AED": 0.235,
        "ARS": 0.0006,
        "AUD": 0.57,
        "BGN": 0.511,
        "BRL": 0.16,
        "CAD": 0.62,
        "CHF": 1.07,
        "CLP": 0.00095,
        "CNY": 0.12,
        "COP": 0.00022,
        "CZK": 0.041,
        "DKK": 0.134,
        "GBP": 1.15,
        "HKD": 0.11,
        "HUF": 0.0026,
        "IDR": 0.000052,
        "ILS": 0.26,
        "INR": 0.0096,
        "ISK": 0.0068,
        "JPY": 0.0055,
        "KRW": 0.0006,
        "KWD": 2.8,
        "MXN": 0.047,
        "MYR": 0.21,
        "NOK": 0.085,
        "NZD": 0.49,
        "PHP": 0.0146,
        "PLN": 0.236,
        "RON": 0.197,
        "SAR": 0.23,
        "SEK": 0.092,
        "SGD": 0.67,
        "THB": 0.027,
        "TRY": 0.02,
        "TWD": 0.027,
        "USD": 0.86,
        "VND": 0.0000325,
        "ZAR": 0.051,
    },
}

Dated = Mapping[str, Mapping[str, float]]


class RateError(ValueError):
    """A rate table that cannot be used; the message names the entry and the remedy."""


class Rates:
    """A dated rate table, in one base currency.

    `dated` maps a date to what one unit of each currency is worth, in any one unit of account; the base currency must
    be in it. A currency is known from its first date on, and before that date at its first rate.
    """

    def __init__(self, base: str = DEFAULT_BASE, dated: Dated = DEFAULT_RATES) -> None:
        self.base = base
        self.dated: Dated = {day: dict(sorted(rates.items())) for day, rates in sorted(dated.items())}
        self.currencies: frozenset[str] = frozenset().union(*self.dated.values())
        self._starts_ms = np.array([_day_ms(day) for day in self.dated], np.int64)
        _check(base, self.dated)
        self._column = {code: at for at, code in enumerate(sorted(self.currencies))}
        self._scales = np.array([10.0 ** exponent(code) for code in self._column])
        self._factors = self._build_factors()
        self._same = self._factors.shape[0] == 1

    def _build_factors(self) -> Floats:
        """(dates, currencies) minor units of the base for one minor unit of the currency."""
        known: dict[str, float] = {}
        for rates in reversed(list(self.dated.values())):
            known.update(rates)  # in the end: each currency's first rate
        rows = []
        for rates in self.dated.values():
            known.update(rates)
            rows.append([_factor(known, code, self.base) for code in self._column])
        factors = np.array(rows)
        largest = factors * self._scales * MAX_VALUE
        if largest.max() >= MAX_EXACT:
            code = list(self._column)[int(largest.max(axis=0).argmax())]
            raise RateError(
                f"rate of {code} in {self.base}: an amount of {MAX_VALUE:.0e} {code} would be {largest.max():.3g} "
                f"minor units of {self.base}, more than 2^53; choose a base of larger units (HEADRACE_BASE_CURRENCY)"
            )
        return factors

    @cached_property
    def _hash(self) -> str:
        exponents = {code: exponent(code) for code in sorted(self.currencies)}
        table = {"base": self.base, "dated": self.dated, "exponents": exponents, "rule": 1}
        return sha256(json.dumps(table, sort_keys=True, separators=(",", ":")).encode()).hexdigest()[:16]

    def fingerprint(self) -> str:
        """16 hex digits of everything that decides an amount: base, rates, dates, exponents and the rounding rule."""
        return self._hash

    def to_base_minor(self, values: Floats, currencies: Sequence[str | None], at_ms: Ints) -> Ints:
        """(n,) amounts in major units -> (n,) minor units of the base currency; a currency of None is the base.

        Raises KeyError on a currency that is not in the table: the decoder has dead-lettered such events before.
        """
        column = self._column
        base = column[self.base]
        which = np.fromiter([base if code is None else column[code] for code in currencies], np.int64, len(values))
        minor = np.rint(values * self._scales[which])
        row = 0 if self._same else self._rows(at_ms)
        converted: Ints = np.rint(minor * self._factors[row, which]).astype(np.int64)
        return converted

    def _rows(self, at_ms: Ints) -> Ints:
        """(n,) the table in force at each time."""
        rows = np.searchsorted(self._starts_ms, at_ms, side="right").astype(np.int64)
        return np.maximum(rows - 1, 0)

    def rate(self, currency: str, at_ms: int) -> float:
        """Base units for one unit of the currency at a time: for people and tests."""
        row = int(self._rows(np.array([at_ms]))[0])
        scale = 10.0 ** (exponent(currency) - exponent(self.base))
        return float(self._factors[row, self._column[currency]] * scale)


def exponent(currency: str) -> int:
    """Decimal places of a currency's minor unit."""
    return EXPONENTS.get(currency, 2)


def _factor(rates: Mapping[str, float], code: str, base: str) -> float:
    """The double nearest to the exact quotient of the rates as written in decimal, in minor units of both."""
    quotient = Fraction(repr(rates[code])) / Fraction(repr(rates[base]))
    return float(quotient * Fraction(10) ** (exponent(base) - exponent(code)))


def _day_ms(day: str) -> int:
    try:
        parsed = date.fromisoformat(day)
    except ValueError:
        raise RateError(f"rates: {day!r} is no date: want YYYY-MM-DD (HEADRACE_RATES)") from None
    return int(datetime(parsed.year, parsed.month, parsed.day, tzinfo=UTC).timestamp()) * 1000


def _check(base: str, dated: Dated) -> None:
    if not dated:
        raise RateError("rates: the table is empty: want at least one date (HEADRACE_RATES)")
    for day, rates in dated.items():
        for code in _bad_codes(rates):
            raise RateError(f"rates {day}: {code!r} is no currency: want an ISO 4217 code (HEADRACE_RATES)")
        for code, rate in rates.items():
            if not 0 < rate < float("inf"):
                raise RateError(f"rates {day}: {code} has {rate}: want a finite number above 0 (HEADRACE_RATES)")
        if base not in rates:
            known = ", ".join(sorted(rates))
            raise RateError(f"rates {day}: the base currency {base!r} is missing: add it or choose one of {known}")


def _bad_codes(codes: Iterable[str]) -> list[str]:
    return [code for code in codes if not (len(code) == 3 and code.isascii() and code.isalpha() and code.isupper())]
