"""When schedules fire."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from guild.spec.recurrence import check_cron, check_timezone, next_cron, next_interval


def unix(text: str, timezone: str = "UTC") -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(timezone)).timestamp()


@pytest.mark.parametrize(
    ("expression", "timezone", "after", "expected"),
    [
        ("*/5 * * * *", "UTC", "2030-01-01T10:00:00", "2030-01-01T10:05:00"),
        ("*/5 * * * *", "UTC", "2030-01-01T10:04:59.9", "2030-01-01T10:05:00"),
        ("0 3 * * MON", "UTC", "2030-01-01T10:00:00", "2030-01-07T03:00:00"),
        ("0 0 29 2 *", "UTC", "2030-01-01T10:00:00", "2032-02-29T00:00:00"),
        ("30 8 * * *", "Europe/Berlin", "2030-07-01T08:30:00", "2030-07-02T08:30:00"),
        ("30 8 * * *", "Europe/Berlin", "2030-03-30T12:00:00", "2030-03-31T08:30:00"),
        # the hour from 02:00 to 03:00 is skipped on 31 March and comes twice on 27 October
        ("30 2 * * *", "Europe/Berlin", "2030-03-30T12:00:00", "2030-03-31T03:00:00"),
        ("30 2 * * *", "Europe/Berlin", "2030-10-26T12:00:00", "2030-10-27T02:30:00"),
        ("30 2 * * *", "Europe/Berlin", "2030-10-27T02:30:00", "2030-10-28T02:30:00"),
    ],
)
def test_a_cron_expression_fires_next(
    expression: str, timezone: str, after: str, expected: str
) -> None:
    assert next_cron(expression, timezone, unix(after, timezone)) == unix(expected, timezone)


@pytest.mark.parametrize(
    ("due", "after", "expected"),
    [(100.0, 100.0, 130.0), (100.0, 90.0, 130.0), (100.0, 129.9, 130.0), (100.0, 1000.0, 1030.0)],
)
def test_an_interval_keeps_its_rhythm(due: float, after: float, expected: float) -> None:
    assert next_interval(30.0, due, after) == expected


@pytest.mark.parametrize(
    "expression",
    ["", "* * * *", "61 * * * *", "* * * * * * *", "*/0 * * * *", "a b c d e", "0 0 31 2 *"],
)
def test_what_is_no_cron_expression_is_refused(expression: str) -> None:
    with pytest.raises(ValueError, match="is not a cron expression"):
        check_cron(expression)


@pytest.mark.parametrize("name", ["Europe/Nowhere", "../etc/passwd", "/etc/passwd", "", "Europe"])
def test_what_is_no_time_zone_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        check_timezone(name)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("Europe/Londn", "Europe/London"), ("berlin", "Europe/Berlin"), ("?", "Europe/Berlin")],
)
def test_a_time_zone_with_a_slip_is_told_with_a_better_one(name: str, meant: str) -> None:
    with pytest.raises(ValueError, match=f"write one such as '{meant}'"):
        check_timezone(name)
