"""Times: datetime's answer for what RFC 3339 allows, a mark for everything else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas.timestamps import EPOCH, epoch_ms, rfc3339

MOMENTS = st.datetimes(timezones=st.just(UTC))
OFFSETS = st.integers(-23 * 60 - 59, 23 * 60 + 59).map(lambda minutes: timezone(timedelta(minutes=minutes)))
ALMOST = st.from_regex(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T t][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?(Z|z|[+-][0-9]{2}:[0-9]{2})?",
    fullmatch=True,
)


def read(*texts: str) -> list[int | None]:
    at_ms, bad = epoch_ms(texts)
    assert all(at == 0 for at, wrong in zip(at_ms.tolist(), bad, strict=True) if wrong)
    return [None if wrong else at for at, wrong in zip(at_ms.tolist(), bad.tolist(), strict=True)]


def by_datetime(text: str) -> int | None:
    """The same by the standard library, which has no leap seconds either but takes much that RFC 3339 does not."""
    try:
        at = datetime.fromisoformat(text.upper())
    except ValueError:
        return None
    return None if at.tzinfo is None else (at - EPOCH) // timedelta(milliseconds=1)


@given(MOMENTS)
@example(datetime(1, 1, 1, tzinfo=UTC))
@example(datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC))
@example(datetime(2000, 2, 29, tzinfo=UTC))
@example(datetime(1969, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC))
def test_every_moment_is_read_as_datetime_reads_it(at: datetime) -> None:
    millis, seconds = at.isoformat(timespec="milliseconds"), at.isoformat(timespec="seconds")
    whole = (at.replace(microsecond=0) - EPOCH) // timedelta(milliseconds=1)
    exact = whole + at.microsecond // 1000
    usual = [millis.replace("+00:00", "Z"), seconds.replace("+00:00", "Z")]
    assert read(*usual, millis, at.isoformat(timespec="microseconds")) == [exact, whole, exact, exact]


@given(MOMENTS, OFFSETS)
def test_an_offset_moves_the_moment(at: datetime, offset: timezone) -> None:
    text = at.replace(tzinfo=offset).isoformat(timespec="milliseconds")
    assert read(text) == [by_datetime(text)]


@given(st.lists(ALMOST, max_size=5))
def test_nearly_right_texts_are_read_as_datetime_reads_them_or_refused(texts: list[str]) -> None:
    for text, at in zip(texts, read(*texts), strict=True):
        strict = text if text[10] in "Tt" and not text.endswith("24:00") else ""
        assert at == by_datetime(strict)


@given(st.lists(st.one_of(st.text(max_size=30), ALMOST, MOMENTS.map(datetime.isoformat)), max_size=8))
def test_the_batch_does_not_matter(texts: list[str]) -> None:
    assert read(*texts) == [read(text)[0] for text in texts]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Z",
        "2026-01-15",
        "2026-01-15T12:34:56",  # no offset: whose noon?
        "2026-01-15 12:34:56Z",
        "2026-01-15T12:34:60Z",  # a leap second
        "2026-01-15T24:00:00Z",
        "2026-01-15T12:60:00Z",
        "2026-02-29T00:00:00Z",
        "1900-02-29T00:00:00.000Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00.000Z",
        "2026-04-31T00:00:00.000Z",
        "0000-01-01T00:00:00Z",
        "2026-01-15T12:34:56.Z",
        "2026-01-15T12:34:56,789Z",
        "2026-01-15T12:34:56+0100",
        "2026-01-15T12:34:56+24:00",
        "2026-01-15T12:34:56+01:60",
        "2026-01-15T12:34:56.789Z\n",
        " 2026-01-15T12:34:56.789Z",
        "2026-01-15T12:34:5６.789Z",  # a digit, but not an ASCII one
        "+026-01-15T12:34:56.789Z",
        "20260115T123456Z",
        "2026-W03-4T12:34:56Z",
        "1768480496789",
    ],
)
def test_what_rfc_3339_does_not_allow_is_marked(text: str) -> None:
    assert read(text, "1970-01-01T00:00:00.001Z") == [None, 1]


def test_two_texts_that_only_together_have_the_right_width_are_both_refused() -> None:
    assert read("2026-01-15T12:34:56.789", "Z2026-01-15T12:34:56.789Z") == [None, None]


def test_digits_beyond_milliseconds_are_cut_off() -> None:
    texts = ("1970-01-01T00:00:01.9999Z", "1970-01-01T00:00:01.5Z", "1969-12-31T23:59:59.123456789Z")
    assert read(*texts) == [1999, 1500, -877]


def test_small_letters_are_allowed() -> None:
    assert read("1970-01-01t00:00:01z", "1970-01-01t00:00:01.002z") == [1000, 1002]


def test_no_texts_no_times() -> None:
    assert read() == []


@given(st.integers(by_datetime("0001-01-01T00:00:00Z") or 0, by_datetime("9999-12-31T23:59:59.999Z") or 0))
def test_written_and_read_again_is_the_same(at_ms: int) -> None:
    text = rfc3339(at_ms)
    assert len(text) == 24
    assert read(text) == [at_ms]
