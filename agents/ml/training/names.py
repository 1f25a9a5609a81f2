"""What an experiment is called, and so its folder."""

import re
from datetime import UTC, datetime

from agents.ml.errors import ConfigError

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def new_name() -> str:
    """Return a name that no other experiment has: the time."""
    return f"run-{datetime.now(UTC):%Y%m%d-%H%M%S-%f}"


def settled_name(name: str | None) -> str:
    """Return an experiment's name; without one, a new one.

    Raises:
        ConfigError: it is no plain file name.
    """
    settled = new_name() if name is None else name
    if not _NAME.fullmatch(settled):
        raise ConfigError(
            f"{settled!r} must be a letter or digit, then letters, digits, '.', '_' or '-', 128 at "
            "most",
            where="experiment_name",
        )
    return settled
