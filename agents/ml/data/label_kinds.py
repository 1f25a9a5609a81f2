"""Whether a column of labels names classes, or holds numbers that are to be predicted."""

import re
from collections.abc import Sequence

from agents.ml.errors import DatasetError

# Python would read 1_000 and letters that stand for digits in other scripts, too.
NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?", re.ASCII)

_FEW = 20  # numbers that may well be classes: marks, stars, versions
_ROWS_OF_A_CLASS = 4  # of fewer, none is held out to select by


def require_classes(labels: Sequence[str], column: str, *, where: str, otherwise: str = "") -> None:
    """Refuse labels that are numbers to be predicted, in words that say what to do.

    Whole numbers are taken for classes as long as each has a few rows, others as long as there are
    few of them. `otherwise` names what takes the numbers as they are, if anything does.

    Raises:
        DatasetError: the labels look like the target of a regression.
    """
    different = len(set(labels))
    if _looks_continuous(set(labels), len(labels)):
        raise DatasetError(
            f"column {column!r} holds {different:,} different numbers in {len(labels):,} rows, "
            "which looks like regression, not like classes; name another label column, or sort "
            f"its numbers into a few ranges (pandas.qcut does){otherwise}",
            where=where,
        )


def _looks_continuous(labels: set[str], rows: int) -> bool:
    if not all(NUMBER.fullmatch(label) for label in labels):
        return False
    is_whole = all(float(label).is_integer() for label in labels)
    if len(labels) > _FEW:
        return not is_whole or rows < _ROWS_OF_A_CLASS * len(labels)
    return not is_whole and rows < 2 * len(labels)
