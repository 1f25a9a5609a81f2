"""What of a study's data makes its figures look better than they are.

Suffixes: N samples, F features.
"""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_SHARE_OF_COPIES = 0.05  # iris has a pair that is the same
_FEW = 10  # samples of a class that a column may hold together by chance


def copies(learned: Iterable[Hashable], tested: Iterable[Hashable]) -> list[str]:
    """What to say where many samples of the held-out test are learned from, too."""
    seen, asked = set(map(hash, learned)), list(map(hash, tested))  # no sample is kept
    count = sum(each in seen for each in asked)
    if count <= max(1, _SHARE_OF_COPIES * len(asked)):
        return []
    told = (
        f"{count} of the {len(asked)} held-out samples are among those that were learned from, "
        "too, so that what learns by heart looks better than it is: take copies out of the data, "
        "unless new samples will be copies as well."
    )
    return [told]


def giveaways(
    inputs_NF: NDArray[Any], labels_N: NDArray[Any], names: Sequence[str]
) -> Iterator[str]:
    """What to say of each column that tells the classes apart by itself."""
    counts = np.bincount(labels_N)
    is_told_N = counts[labels_N] >= _FEW
    classes = int((counts >= _FEW).sum())
    for at, values_N in enumerate(inputs_NF[is_told_N].T if classes > 1 else ()):
        order_N = values_N.argsort(kind="stable")
        sorted_N, of_class_N = values_N[order_N], labels_N[is_told_N][order_N]
        ends = np.flatnonzero(of_class_N[1:] != of_class_N[:-1])
        if len(ends) < 2 * classes and (sorted_N[ends] < sorted_N[ends + 1]).all():
            name = repr(names[at]) if names else str(at + 1)
            yield (
                f"Column {name} alone tells the classes apart: where it is not known before the "
                "class is, leave it out."
            )
