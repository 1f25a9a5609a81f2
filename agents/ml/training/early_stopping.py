"""Stop when a score no longer improves."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from agents.ml.config import StrictConfig
from agents.ml.training.metrics import history_key, is_lower_better


class EarlyStoppingConfig(StrictConfig):
    """What to watch, and for how long.

    Attributes:
        metric: `val_loss`, `val_accuracy`, ...; validation is meant without `val_` too.
        patience: epochs without improvement after which to stop.
        mode: which way is better; by default known from the metric.
        min_delta: what counts as an improvement; scores are compared by three significant digits.
    """

    metric: Annotated[str, AfterValidator(history_key)] = "val_loss"
    patience: int = Field(default=10, ge=1)
    mode: Literal["min", "max"] | None = None
    min_delta: float = Field(default=0.0, ge=0)


def as_judged(value: float) -> float:
    """Return a score as everything that is decided by it takes it: to three significant digits.

    A model's process hears no more of a score either, because each digit tells it of targets.
    """
    return float(f"{value:.3g}")


class Best:
    """The best value so far, as it is judged, and the epoch it was reached in."""

    def __init__(
        self, metric: str, *, mode: Literal["min", "max"] | None = None, min_delta: float = 0.0
    ) -> None:
        lower = is_lower_better(metric) if mode is None else mode == "min"
        self.metric, self._sign, self._min_delta = metric, -1.0 if lower else 1.0, min_delta
        self.value: float | None = None
        self.epoch = 0

    def update(self, value: float, epoch: int) -> bool:
        """Take a new value and say whether it is better; what is no number never is."""
        value = as_judged(value)
        if not math.isfinite(value):
            return False
        if self.value is not None and self._sign * (value - self.value) <= self._min_delta:
            return False
        self.value, self.epoch = value, epoch
        return True

    def state_dict(self) -> dict[str, Any]:
        return {"value": self.value, "epoch": self.epoch}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.value, self.epoch = state["value"], state["epoch"]


class EarlyStopping:
    """Says when `patience` epochs have passed without an improvement."""

    def __init__(self, config: EarlyStoppingConfig) -> None:
        self.best = Best(config.metric, mode=config.mode, min_delta=config.min_delta)
        self._patience = config.patience

    def should_stop(self, value: float, epoch: int) -> bool:
        self.best.update(value, epoch)
        return epoch - self.best.epoch >= self._patience

    def state_dict(self) -> dict[str, Any]:
        return self.best.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.best.load_state_dict(state)
