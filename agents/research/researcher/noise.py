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
        ValueError: there are none.
    """
    if not values:
        raise ValueError("there is nothing to estimate from")
    error = stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.inf
    return Estimate(fmean(values), error, len(values))


def difference(one: Mapping[int, float], other: Mapping[int, float]) -> Estimate | None:
    """How much better `one` is than `other`, by what both were measured on; None for nothing.

    Pairs by fold take out what is hard about a fold, which two separate means would keep.
    """
    shared = sorted(one.keys() & other.keys())
    return estimate([one[fold] - other[fold] for fold in shared]) if shared else None
