"""Where the parts of a spec were read, so that every complaint names a line."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from guild.errors import Path, Problem


class Position(NamedTuple):
    """A place in a text; lines and columns are counted from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Finding(NamedTuple):
    """Something wrong at `path`, not yet placed in a text.

    Attributes:
        at_key: it is the key there that is wrong.
        is_missing: a key is not there that should be below `path`.
    """

    path: Path
    text: str
    suggestion: str = ""
    at_key: bool = False
    is_missing: bool = False


@dataclass(frozen=True)
class Source:
    """Positions by path. Any two are equal: where a spec stands is no part of what it says.

    Attributes:
        values: where each value starts.
        keys: where each key of a mapping starts, under the path of its value.
        allow: packages whose classes it was allowed to name by path when it was read.
    """

    file: str = field(default="", compare=False)
    values: Mapping[Path, Position] = field(default_factory=dict, compare=False, repr=False)
    keys: Mapping[Path, Position] = field(default_factory=dict, compare=False, repr=False)
    allow: tuple[str, ...] = field(default=(), compare=False, repr=False)

    def position(self, path: Path, *, at_key: bool = False) -> Position | None:
        """Where `path` stands, else the nearest thing around it; None without a text."""
        if at_key and path in self.keys:
            return self.keys[path]
        for length in range(len(path), -1, -1):
            if path[:length] in self.values:
                return self.values[path[:length]]
        return None

    def place(self, path: Path) -> str:
        """`file:line:column` of `path`, "" without a text."""
        return str(self.position(path) or "")

    def problem(self, finding: Finding) -> Problem:
        position = self.position(finding.path, at_key=finding.at_key)
        file, line, column = position or ("", 0, 0)
        return Problem(file, line, column, finding.path, finding.text, finding.suggestion)
