"""Code that a builder was given, which a spec keeps beside its name."""

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Given:
    """The very class or factory that Python code gave to a builder; none in a spec that was read.

    Two that differ only in that one was read are equal: so a spec is what its YAML says.
    """

    target: Any = field(default=None, repr=False)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Given):
            return NotImplemented
        return self.target is other.target or None in (self.target, other.target)

    __hash__ = None  # type: ignore[assignment]  # equality as above is no equivalence
