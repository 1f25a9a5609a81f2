"""Scores as a reader wants them: shares in percent, everything else as it is."""

import math

from agents.research.experiments import Standing
from agents.research.report.chart import number
from agents.research.report.wording import MISSING

_SHARES = ("accuracy", "f1", "precision", "recall", "top_", "auc")
_Z = 1.96  # of a normal distribution, for an interval of 95 %


def is_share(metric: str) -> bool:
    """Whether the metric lies between 0 and 1, as far as its name tells."""
    return any(part in metric for part in _SHARES)


def score(metric: str, value: float | None) -> str:
    if value is None:
        return MISSING
    return f"{value * 100:.2f} %" if is_share(metric) else f"{value:.4g}"


def with_error(metric: str, standing: Standing) -> str:
    """A mean with its standard error, where there is one."""
    if standing.mean is None or standing.standard_error is None:
        return score(metric, standing.mean)
    if is_share(metric):
        return f"{standing.mean * 100:.2f} ± {standing.standard_error * 100:.2f} %"
    return f"{standing.mean:.4g} ± {standing.standard_error:.2g}"


def gain(metric: str, value: float | None) -> str:
    """A difference, in percentage points where scores are shares."""
    if value is None:
        return ""
    return f"{value * 100:+.2f}" if is_share(metric) else f"{value:+.3g}"


def unit_of_gain(metric: str) -> str:
    return "percentage points" if is_share(metric) else metric


def tick(metric: str, value: float, step: float) -> str:
    """A value beside an axis, with as many places as the next one needs to differ."""
    return f"{number(value * 100, step * 100)} %" if is_share(metric) else number(value, step)


def interval(share: float, samples: int) -> tuple[float, float]:
    """Within what the true share lies at 95 % (Wilson 1927), for `samples` drawn at random."""
    scaled = _Z**2 / samples
    middle = (share + scaled / 2) / (1 + scaled)
    spread = _Z / (1 + scaled) * math.sqrt(share * (1 - share) / samples + scaled / samples / 4)
    return max(0.0, middle - spread), min(1.0, middle + spread)
