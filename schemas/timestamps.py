"""RFC 3339 <-> epoch milliseconds, for a whole batch at once.

The idea: nearly all texts are `YYYY-MM-DDTHH:MM:SS.mmmZ` or the same without milliseconds. All texts of one such width
are joined into one matrix of digits and read by numpy; whatever is left goes one by one through a regular expression.
Both read the same language and agree with `datetime` to the millisecond: an offset is required, digits beyond
milliseconds are cut off, 24:00 and leap seconds are refused. The price: two codes for one grammar, held equal by a
property test.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Bytes = npt.NDArray[np.uint8]

MILLIS = 24  # characters of 2026-01-15T12:34:56.789Z
SECONDS = 20  # characters of 2026-01-15T12:34:56Z
DAY_MS = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT_DIGITS = np.array([0, 1, 2, 3, 5, 6, 8, 9, 11, 12, 14, 15, 17, 18, 20, 21, 22])
_AT_SIGNS = np.array([4, 7, 10, 13, 16, 19, 23])
_FORMS = {  # the signs, where they stand, where the digits stand
    MILLIS: (np.frombuffer(b"--T::.Z", np.uint8)[:, None], _AT_SIGNS, _AT_DIGITS),
    SECONDS: (np.frombuffer(b"--T::Z", np.uint8)[:, None], _AT_SIGNS[:6], _AT_DIGITS[:14]),
}
_MONTH_DAYS = np.array([0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
_DAYS_BEFORE_MONTH = np.array([0, 0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334])
_DAYS_TO_EPOCH = 719_162  # from 0001-01-01 to 1970-01-01
_TEXT = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt]([0-9]{2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]+))?"
    r"(?:[Zz]|([+-])([0-9]{2}):([0-9]{2}))"
)


def epoch_ms(texts: Sequence[str]) -> tuple[Ints, Bools]:
    """(n,) texts -> (n,) epoch milliseconds and (n,) where there is none to be read (0 in the first)."""
    count = len(texts)
    at_ms, bad = np.zeros(count, np.int64), np.zeros(count, np.bool_)
    lengths = np.fromiter(map(len, texts), np.int64, count)
    for width in (MILLIS, SECONDS):
        rows = np.flatnonzero(lengths == width)
        if len(rows):
            chosen = texts if len(rows) == count else [texts[row] for row in rows.tolist()]
            at_ms[rows], bad[rows] = _read_fixed(chosen, width)
    unread = np.flatnonzero(bad | ((lengths != MILLIS) & (lengths != SECONDS)))
    for row in unread.tolist():
        read = _read_one(texts[row])
        at_ms[row], bad[row] = read or 0, read is None
    return at_ms, bad


def _read_fixed(texts: Sequence[str], width: int) -> tuple[Ints, Bools]:
    """Texts of one width; what does not follow the usual form is only marked, not yet refused."""
    joined = "".join(texts)
    if not joined.isascii():
        return np.zeros(len(texts), np.int64), np.ones(len(texts), np.bool_)
    raw = np.frombuffer(joined.encode("ascii"), np.uint8).reshape(len(texts), width)
    places = np.ascontiguousarray(raw.T)  # (width, n): one row per place, so that each step below reads on
    signs, at_signs, at_digits = _FORMS[width]
    odd = (places[at_signs] != signs).any(axis=0)
    digits = places[at_digits] - np.uint8(ord("0"))  # wraps: what stands before "0" becomes large
    odd |= (digits > 9).any(axis=0)
    tens: Ints = digits[0:14:2].astype(np.int64) * 10 + digits[1:14:2]
    # century, year, month, day, hour, minute, second
    year, (month, day, hour, minute, second) = tens[0] * 100 + tens[1], tens[2:]
    odd |= (year < 1) | (month < 1) | (month > 12) | (hour > 23) | (minute > 59) | (second > 59)
    year, month = np.where(odd, 1970, year), np.where(odd, 1, month)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    odd |= (day < 1) | (day > _MONTH_DAYS[month] + (leap & (month == 2)))
    before = year - 1
    days = before * 365 + before // 4 - before // 100 + before // 400 + _DAYS_BEFORE_MONTH[month] + (leap & (month > 2))
    at_ms = (days + day - 1 - _DAYS_TO_EPOCH) * DAY_MS + ((hour * 60 + minute) * 60 + second) * 1000
    if width == MILLIS:
        at_ms += digits[14].astype(np.int64) * 100 + digits[15] * np.int64(10) + digits[16]
    return np.where(odd, 0, at_ms), odd


def _read_one(text: str) -> int | None:
    """Any RFC 3339 text, by datetime."""
    found = _TEXT.fullmatch(text)
    if found is None:
        return None
    year, month, day, hour, minute, second = map(int, found.group(1, 2, 3, 4, 5, 6))
    millis = int(((found[7] or "") + "000")[:3])
    try:
        at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        offset = _offset_ms(found[8], found[9], found[10])
    except ValueError:
        return None
    return (at - EPOCH) // timedelta(milliseconds=1) + millis - offset


def _offset_ms(sign: str | None, hours: str, minutes: str) -> int:
    if sign is None:
        return 0
    if int(hours) > 23 or int(minutes) > 59:
        raise ValueError("an offset has at most 23 hours and 59 minutes")
    size = (int(hours) * 60 + int(minutes)) * 60_000
    return -size if sign == "-" else size


def rfc3339(at_ms: int) -> str:
    """Epoch milliseconds, years 1 to 9999 -> `YYYY-MM-DDTHH:MM:SS.mmmZ`."""
    at = EPOCH + timedelta(milliseconds=at_ms)
    return f"{at:%Y-%m-%dT%H:%M:%S}.{at_ms % 1000:03d}Z".rjust(MILLIS, "0")
