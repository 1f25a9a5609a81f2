"""What a study says of one model: on the folds, and on the held-out test."""

from typing import Literal

from pydantic import BaseModel, ConfigDict


class Finding(BaseModel):
    """One candidate, classical model or ensemble, as the study leaves it.

    Attributes:
        accuracy: its mean over the folds it was measured on.
        error: the standard error of that mean; None after a single measurement.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    kind: Literal["network", "classical", "ensemble"]
    proposer: str
    what: str
    accuracy: float
    error: float | None
    loss: float
    folds: int
    cost_s: float
    params: int | None = None


class TestScore(BaseModel):
    """What the held-out test says of one of those that were opened on it."""

    __test__ = False  # pytest: no tests in here
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    accuracy: float
    loss: float
    samples: int
    confusion_matrix: list[list[int]]
