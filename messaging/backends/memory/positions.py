"""Positions in memory: nanoseconds of the store's clock, each later than the one before."""

import re

BEHIND_ALL = "~"
_POSITION = re.compile(r"[0-9]{20}")
_LAST_NS = 10**20 - 1
_UNSURE_NS = 500  # a float of unix seconds tells a quarter of a microsecond


def position_at(at: float) -> str:
    """In front of what came at this moment, in unix seconds, or later."""
    return f"{min(max(0, int(at * 1e9) - _UNSURE_NS), _LAST_NS):020d}"


def time_of(position: str) -> float:
    return int(position) / 1e9


def just_before(position: str) -> str:
    """See `Backend.just_before`."""
    if not _POSITION.fullmatch(position) or not int(position):
        raise ValueError(f"{position!r} is no position of an entry in memory")
    return f"{int(position) - 1:020d}"
