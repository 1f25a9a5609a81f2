"""Where scikit-learn keeps the data that it brings along, its labels among it."""

import importlib.util
from pathlib import Path

_IN_PACKAGE = Path("datasets", "data")
_SYSTEM = ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/local/lib64")
_PACKAGES = "python3*/*-packages/sklearn"


def bundled_folder() -> Path | None:
    """That of the scikit-learn that this Python imports; None when it has none."""
    spec = importlib.util.find_spec("sklearn")
    if spec is None or not spec.submodule_search_locations:
        return None
    return Path(next(iter(spec.submodule_search_locations))) / _IN_PACKAGE


def bundled_folders() -> list[Path]:
    """That one, and those of the system's other Pythons, which hold the same labels."""
    ours = bundled_folder()
    others = [each / _IN_PACKAGE for place in _SYSTEM for each in Path(place).glob(_PACKAGES)]
    found = [ours, *others] if ours else others
    return list(dict.fromkeys(folder for folder in found if folder.is_dir()))
