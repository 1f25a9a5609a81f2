"""What a training is before it runs, and what came of it."""

from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn
from torch.optim import Optimizer

from agents.ml.data.dataset import Split
from agents.ml.training.early_stopping import EarlyStopping
from agents.ml.training.schedulers import Schedule
from agents.ml.training.scoring import Scorer
from agents.ml.training.tasks import Task


@dataclass(frozen=True)
class Plan:
    """How long and how a run goes.

    Attributes:
        steps_per_epoch: after so many steps the model is evaluated and the history gets a line.
        accumulate: batches that make up one step.
        best_metric: the key of the history that decides which weights are best; None keeps none.
    """

    steps_total: int
    steps_per_epoch: int
    batch_size: int
    seed: int
    accumulate: int = 1
    clip_norm: float | None = None
    checkpoint_every_epochs: int = 1
    checkpoint_every_steps: int | None = None
    keep_last: int = 2
    best_metric: str | None = "val_loss"


@dataclass
class Run:
    """Everything that learns, what it learns from, and who scores it on `val`.

    Attributes:
        computed: how the model is run, as `Compute.to_json` says it; kept in checkpoints.
    """

    model: nn.Module
    task: Task
    train: Split
    val: Split
    scorer: Scorer
    optimizer: Optimizer
    plan: Plan
    schedule: Schedule | None = None
    early_stopping: EarlyStopping | None = None
    early_stopping_key: str = "val_loss"
    computed: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """How a run ended; the model is left with the best weights where they are kept."""

    status: Literal["completed", "diverged"]
    history: list[dict[str, Any]]
    steps_run: int
    stopped_early: bool
    seconds: float
    samples_per_s: float
    resumed_from_step: int
    diverged_at_step: int | None = None
    best_file: str | None = None
    best_epoch: int | None = None
    best_value: float | None = None
