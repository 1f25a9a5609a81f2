"""What a job tells while it works: plain data, to be shown by its host."""

from collections.abc import Callable
from typing import Any

Report = Callable[[dict[str, Any]], None]


def no_report(_: dict[str, Any]) -> None:
    """Say nothing."""
