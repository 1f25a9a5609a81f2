"""How much a study may cost, and how much of that is spent."""

import re
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_LONGEST_S = 366 * _UNITS["d"]
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")


class Budget(BaseModel):
    """Hard limits; None leaves one out, but not both `seconds` and `trials`.

    Attributes:
        seconds: of work, from the data on; while nothing runs, the clock stands.
        trials: trainings and classical models together.
        tokens: of language models that propose, read and written together.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seconds: Annotated[float, Field(gt=0)] | None = 120.0
    trials: Annotated[int, Field(ge=1)] | None = None
    tokens: Annotated[int, Field(ge=0)] = 50_000

    @model_validator(mode="after")
    def _ends(self) -> Self:
        if self.seconds is None and self.trials is None:
            raise ValueError("give seconds or trials: without either a study would never end")
        return self

    def used(self, seconds: float, trials: int) -> float:
        """The share that is spent, 0 to 1 and more, of what is spent most."""
        shares = [0.0]
        if self.seconds is not None:
            shares.append(seconds / self.seconds)
        if self.trials is not None:
            shares.append(trials / self.trials)
        return max(shares)


def duration_s(text: str) -> float:
    """Read a duration such as `90s`, `5m` or `1h30m`.

    Raises:
        ValueError: it is no duration, zero, or longer than a year.
    """
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"{text!r} is no duration; write 90s, 5m or 1h30m")
    seconds = sum(float(number) * _UNITS[unit] for number, unit in parts)
    if seconds <= 0:
        raise ValueError(f"{text!r} leaves no time")
    if seconds > _LONGEST_S:
        raise ValueError(f"{text!r} is longer than a year")
    return seconds
