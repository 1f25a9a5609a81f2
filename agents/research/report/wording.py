"""Figures as a reader wants them, the same in Markdown, HTML and on the terminal."""

from datetime import UTC, datetime
from itertools import pairwise

MISSING = "-"
_SI = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_LENGTHS = (("d", 86_400), ("h", 3600), ("min", 60), ("s", 1))


def percent(share: float | None) -> str:
    return MISSING if share is None else f"{share * 100:.2f} %"


def decimal(value: float | None) -> str:
    return MISSING if value is None else f"{value:.3f}"


def whole(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"


def scaled(value: float | None) -> str:
    """`1234567` as `1.23 M`."""
    if value is None:
        return MISSING
    rounded = float(f"{value:.3g}")
    for size, letter in _SI:
        if rounded >= size:
            return f"{rounded / size:.3g} {letter}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    """Two units at most: `5400` as `1 h 30 min`."""
    if seconds is None:
        return MISSING
    if seconds < 60:  # noqa: PLR2004
        return f"{seconds:.1f} s"
    (unit, unit_s), (part, part_s) = next(
        pair for pair in pairwise(_LENGTHS) if seconds >= pair[0][1]
    )
    units, parts = divmod(round(seconds / part_s), unit_s // part_s)
    return f"{units} {unit} {parts:02d} {part}"


def size(size_bytes: int) -> str:
    return f"{scaled(size_bytes)}B" if size_bytes >= 1e3 else f"{size_bytes} B"  # noqa: PLR2004


def moment(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
