"""What the data commands understand on their command lines."""

import math

import click
import pytest

from streams.cli.consume import _Place
from streams.cli.replay import Moment, Span, Speed

ANY = (None, None)


@pytest.mark.parametrize(("text", "speed"), [("60x", 60.0), ("0.5x", 0.5), ("3", 3.0), ("max", math.inf)])
def test_a_speed_is_times_or_max(text: str, speed: float) -> None:
    assert Speed().convert(text, *ANY) == speed


@pytest.mark.parametrize(
    ("text", "span_ms"), [("1h", 3_600_000), ("30m", 1_800_000), ("1.5s", 1_500), ("2d", 172_800_000), ("5ms", 5)]
)
def test_a_span_is_a_number_and_a_unit(text: str, span_ms: int) -> None:
    assert Span().convert(text, *ANY) == span_ms


@pytest.mark.parametrize(
    ("text", "at_ms"),
    [
        ("2018-07-25", 1_532_476_800_000),
        ("2018-07-25T12:00:00Z", 1_532_520_000_000),
        ("2018-07-25T12:00:00.5+02:00", 1_532_512_800_500),
    ],
)
def test_a_moment_is_a_date_or_a_time_with_an_offset(text: str, at_ms: int) -> None:
    assert Moment().convert(text, *ANY) == at_ms


@pytest.mark.parametrize(("text", "place"), [("start", "start"), ("end", "end"), ("17", 17)])
def test_a_place_is_an_end_or_an_offset(text: str, place: object) -> None:
    assert _Place().convert(text, *ANY) == place


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        *((Speed(), text) for text in ("", "0x", "-1x", "x", "fast", "1e400xx")),
        *((Span(), text) for text in ("", "1", "h", "0h", "-1h", "1w")),
        *((Moment(), text) for text in ("", "2018", "2018-02-30", "2018-07-25T12:00:00")),
        *((_Place(), text) for text in ("", "-1", "begin", "1.5", "٣")),
    ],
)
def test_anything_else_is_refused_with_what_is_wanted(kind: click.ParamType, text: str) -> None:
    with pytest.raises(click.BadParameter, match="want"):
        kind.convert(text, *ANY)
