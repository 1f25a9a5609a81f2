"""What measurements say about a candidate, and what they do not."""

import math
from collections.abc import Mapping, Sequence
from statistics import fmean, stdev
from typing import NamedTuple


class Estimate(NamedTuple):
    """A mean over `n` measurements with its standard error, infinite after a single one."""

    mean: float
    error: float
    n: int

    @property
    def sure(self) -> float:
        """What the mean is at least, but for one standard error."""
        return self.mean - self.error


def estimate(values: Sequence[float]) -> Estimate:
    """Sum up measurements of one thing.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("there is nothing to estimate from")
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return Estimate(fmean(values), error, len(values))


def accuracies_apart(one: float, one_n: int, other: float, other_n: int) -> Estimate:
    """How much more accurate `one` is, by the numbers of samples that each was measured on.

    The error is that of shares of independent samples, each with a hit and a miss more than were
    seen, so that no error at all is not taken for certainty (Agresti and Coull 1998).
    """
    variance = sum(_variance(share, n) for share, n in ((one, one_n), (other, other_n)))
    return Estimate(one - other, math.sqrt(variance), min(one_n, other_n))


def _variance(share: float, n: int) -> float:
    drawn_in = (share * n + 1) / (n + 2)
    return drawn_in * (1 - drawn_in) / (n + 2)


def difference(one: Mapping[int, float], other: Mapping[int, float]) -> Estimate | None:
    """How much better `one` is than `other`, by what both were measured on; None for nothing.

    Pairs by fold take out what is hard about a fold, which two separate means would keep.
    """
    shared = sorted(one.keys() & other.keys())
    return estimate([one[fold] - other[fold] for fold in shared]) if shared else None
