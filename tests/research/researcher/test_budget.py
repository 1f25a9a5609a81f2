"""What a study may cost."""

import pytest
from pydantic import ValidationError

from agents.research.researcher.budget import Budget, duration_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5m", 300), ("1h30m", 5400), ("0.5h", 1800), ("2d", 172_800)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "m5", "5 m", "5m!", "-5m", "0s", "1e3s", "5minutes"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"duration|no time"):
        duration_s(text)


def test_a_study_that_nothing_would_end_is_refused() -> None:
    with pytest.raises(ValidationError, match="give seconds or trials"):
        Budget(seconds=None)


def test_what_is_spent_most_counts() -> None:
    assert Budget(seconds=100, trials=10).used(50, 9) == 0.9
    assert Budget(seconds=100, trials=10).used(95, 1) == 0.95
    assert Budget(seconds=None, trials=4).used(1e9, 1) == 0.25
