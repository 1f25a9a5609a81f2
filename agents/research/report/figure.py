"""A plot that was drawn into files; what shows it needs no plotting library."""

from pathlib import Path
from typing import NamedTuple


class Figure(NamedTuple):
    """A drawn plot: `path` is relative to the report, the dark twin of `file` lies beside it."""

    file: Path
    path: str
    caption: str


def dark_twin(path: Path) -> Path:
    """The name of the dark version of a plot."""
    return path.with_name(f"{path.stem}-dark{path.suffix}")
