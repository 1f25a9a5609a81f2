"""What a single thing that may be varied can be: one of some options, or a number in a range."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

_DIGITS = 3  # of a number in a range: finer differences cannot be measured
_STEP = 0.2  # of a local move, as a share of the range


@dataclass(frozen=True)
class Choice:
    """One of `options`; a local move goes to the option beside it where they are ordered.

    Attributes:
        when: this knob is there only while each of the named others has one of these values.
    """

    name: str
    options: tuple[Any, ...]
    is_ordered: bool = False
    when: Mapping[str, tuple[Any, ...]] | None = None

    def draw(self, random: Random) -> Any:
        return random.choice(self.options)

    def move(self, value: Any, random: Random) -> Any:
        others = [option for option in self.options if option != value]
        if not others:
            return value
        if self.is_ordered:
            at = self.options.index(value)
            others = [self.options[i] for i in (at - 1, at + 1) if 0 <= i < len(self.options)]
        return random.choice(others)

    def allows(self, value: Any) -> bool:
        return any(value == option and type(value) is type(option) for option in self.options)

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.options)}


@dataclass(frozen=True)
class Scale:
    """A number from `low` to `high`, all orders of magnitude alike."""

    name: str
    low: float
    high: float
    when: Mapping[str, tuple[Any, ...]] | None = None

    def draw(self, random: Random) -> float:
        return self._at(random.random())

    def move(self, value: float, random: Random) -> float:
        place = math.log(value / self.low) / math.log(self.high / self.low)
        return self._at(min(1.0, max(0.0, place + random.gauss(0.0, _STEP))))

    def allows(self, value: Any) -> bool:
        return isinstance(value, float) and self.low <= value <= self.high

    def schema(self) -> dict[str, Any]:
        """A few values, evenly spaced: a language model has no use for digits."""
        return {"enum": [self._at(step / 6) for step in range(7)]}

    def _at(self, place: float) -> float:
        value = self.low * (self.high / self.low) ** place
        return min(self.high, max(self.low, float(f"{value:.{_DIGITS}g}")))


Knob = Choice | Scale
