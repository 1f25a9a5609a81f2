"""Figures as a reader wants them."""

import pytest

from agents.research.report.wording import scaled


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (None, "-"),
        (0, "0"),
        (999, "999"),
        (999.7, "1 k"),
        (1234, "1.23 k"),
        (999_499, "999 k"),
        (999_999, "1 M"),
        (999_999_999, "1 G"),
    ],
)
def test_a_number_that_rounds_up_to_the_next_unit_has_that(value: float | None, told: str) -> None:
    assert scaled(value) == told
