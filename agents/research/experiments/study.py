"""What a study set out to find, and within which bounds."""

import time
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from agents.research.experiments.trial import plain


class Budget(BaseModel):
    """What a study may spend; None is no bound."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seconds: float | None = Field(default=None, gt=0)
    trials: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=0)


class Study(BaseModel):
    """A question that trials belong to.

    Attributes:
        dataset: its name.
        metric: what trials are ranked by, on the validation split.
        asked: the request that began it, as JSON; with `asked_type` and `spec` it can be asked
            again, which goes on with the study.
        asked_type: the request's wire name; "" for a study that no message began.
        spec: the guild spec that answers it.
        ended_at: None while it goes on, or was cut short.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, max_length=200)
    dataset: str = ""
    metric: str = "accuracy"
    higher_is_better: bool = True
    budget: Budget = Budget()
    asked: Annotated[dict[str, Any], AfterValidator(plain)] = {}
    asked_type: str = ""
    spec: str = ""
    created_at: float = Field(default_factory=time.time)
    ended_at: float | None = None

    def differing_keys(self, other: "Study") -> list[str]:
        """What the two were asked for differently; when they took place is no difference."""
        times = {"created_at", "ended_at"}
        mine, others = self.model_dump(exclude=times), other.model_dump(exclude=times)
        return [key for key, value in mine.items() if others[key] != value]
