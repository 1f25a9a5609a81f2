"""Where fetched models are kept."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """`GUILDBUS_CACHE`, or `guildbus` in the user's cache folder; it may not exist yet."""
    own = os.environ.get("GUILDBUS_CACHE")
    if own:
        return Path(own).expanduser().absolute()
    # The XDG specification says that a relative path is to be ignored.
    shared = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(shared) if Path(shared).is_absolute() else Path.home() / ".cache"
    return base / "guildbus"
