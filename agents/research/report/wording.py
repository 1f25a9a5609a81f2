"""Figures as a reader wants them, the same in Markdown, HTML and on the terminal."""

from datetime import UTC, datetime

MISSING = "-"
_SI = ((1e9, "G"), (1e6, "M"), (1e3, "k"))
_MINUTE_S = 60


def percent(share: float | None) -> str:
    return MISSING if share is None else f"{share * 100:.2f} %"


def decimal(value: float | None, places: int = 3) -> str:
    return MISSING if value is None else f"{value:.{places}f}"


def whole(value: int | None) -> str:
    return MISSING if value is None else f"{value:,}"


def scaled(value: float | None) -> str:
    """`1234567` as `1.23 M`."""
    if value is None:
        return MISSING
    for size, letter in _SI:
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.0f}"


def duration(seconds: float | None) -> str:
    if seconds is None:
        return MISSING
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), _MINUTE_S)
    return f"{minutes} min {rest:02d} s"


def size(size_bytes: int) -> str:
    return f"{scaled(size_bytes)}B" if size_bytes >= 1e3 else f"{size_bytes} B"  # noqa: PLR2004


def moment(unix_s: float) -> str:
    return f"{datetime.fromtimestamp(unix_s, UTC):%Y-%m-%d %H:%M:%S} UTC"
