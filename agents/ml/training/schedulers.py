"""Learning rate schedules of torch by name, and warm-up of our own."""

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any, Literal

import torch
from pydantic import AfterValidator, Field, model_validator
from torch import nn
from torch.optim import Optimizer, lr_scheduler

from agents.ml.arguments import misread
from agents.ml.config import StrictConfig, require_known
from agents.ml.errors import ConfigError
from agents.ml.optimizers.building import OPTIMIZERS, OptimizerConfig
from agents.ml.optimizers.trials import require_works
from agents.ml.training.early_stopping import as_judged
from agents.ml.training.metrics import history_key, is_lower_better

_TORCH = (
    "StepLR",
    "MultiStepLR",
    "ConstantLR",
    "LinearLR",
    "ExponentialLR",
    "PolynomialLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "CyclicLR",
    "OneCycleLR",
    "ReduceLROnPlateau",
)
_WARMUPS = ("WarmupConstantLR", "WarmupLinearLR", "WarmupCosineLR")
SCHEDULERS = (*_TORCH, *_WARMUPS)
_TRIAL_STEPS = 3
_NOT_FOR_CONFIGS = {"optimizer", "last_epoch", "verbose", "scale_fn", "type_", "steps_total"}
_PER_STEP = {"CyclicLR", "OneCycleLR", *_WARMUPS}


class SchedulerConfig(StrictConfig):
    """Which schedule, and when it moves.

    Attributes:
        interval: by default each step for OneCycleLR, CyclicLR and the warm-ups, each epoch for
            the others.
        metric: what ReduceLROnPlateau watches, `val_loss` by default.
    """

    type: str
    params: dict[str, Any] = Field(default_factory=dict)
    interval: Literal["step", "epoch"] | None = None
    metric: Annotated[str, AfterValidator(history_key)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"type": value} if isinstance(value, str) else value


class Schedule:
    """A torch scheduler that knows when to move, and what to be told."""

    def __init__(
        self,
        scheduler: lr_scheduler.LRScheduler,
        *,
        per_step: bool,
        metric: str | None = None,
    ) -> None:
        self._scheduler, self._per_step, self._metric = scheduler, per_step, metric

    def after_step(self) -> None:
        if not self._per_step:
            return
        try:
            self._scheduler.step()
        except ValueError as error:  # OneCycleLR with fewer total_steps than the run has
            raise ConfigError(str(error), where="scheduler.params") from error

    def after_epoch(self, record: Mapping[str, Any]) -> None:
        """Move on, given the scores of the epoch; a score that is no number is not passed on."""
        if self._metric is not None:
            value = record.get(self._metric)
            if value is not None and math.isfinite(value):
                self._scheduler.step(as_judged(value))  # type: ignore[arg-type]  # a plateau's takes one
        elif not self._per_step:
            self._scheduler.step()

    def state_dict(self) -> dict[str, Any]:
        return dict(self._scheduler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._scheduler.load_state_dict(state)


def check_scheduler(config: SchedulerConfig) -> None:
    """Check the names, before there is an optimizer.

    Raises:
        ConfigError: naming the key.
    """
    require_known(config.type, SCHEDULERS, what="scheduler", where="scheduler.type")
    known = _parameters(config.type)
    for key, value in config.params.items():
        require_known(key, known, what="parameter", where=f"scheduler.params.{key}")
        if problem := misread(known[key], value):
            raise ConfigError(problem, where=f"scheduler.params.{key}")
    if config.type == "ReduceLROnPlateau" and config.interval == "step":
        raise ConfigError("ReduceLROnPlateau moves once per epoch", where="scheduler.interval")
    if config.metric is not None and config.type != "ReduceLROnPlateau":
        raise ConfigError("is for ReduceLROnPlateau only", where="scheduler.metric")


def check_schedule(config: SchedulerConfig, optimizer: OptimizerConfig, *, epochs: int) -> None:
    """Check the values, too, by moving a schedule of an optimizer like the one to come.

    Raises:
        ConfigError: naming the key.
    """
    check_scheduler(config)
    kind = OPTIMIZERS.get(optimizer.type) if optimizer.script_path is None else None

    def move(**params: Any) -> None:
        parameter = nn.Parameter(torch.zeros(2, 2))
        groups = [{"params": [parameter], "lr": 0.1}]
        stand_in = kind(groups, **optimizer.params) if kind else torch.optim.SGD(groups)
        length = epochs * _TRIAL_STEPS
        schedule = _construct(
            stand_in,
            config.model_copy(update={"params": params}),
            steps_total=length,
            epochs_total=epochs,
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of moving a schedule whose optimizer has not stepped
            for _ in range(_TRIAL_STEPS):
                schedule.after_step()
                schedule.after_epoch({"val_loss": 1.0})

    require_works(move, config.params, what=config.type, where="scheduler.params")


def build_schedule(
    optimizer: Optimizer, config: SchedulerConfig, *, steps_total: int, epochs_total: int
) -> Schedule:
    """Return the schedule; lengths that are not given (T_max, total_steps, ...) fill the run.

    Raises:
        ConfigError: as `check_scheduler`, or a value the scheduler refuses.
    """
    check_scheduler(config)
    try:
        return _construct(optimizer, config, steps_total=steps_total, epochs_total=epochs_total)
    except Exception as error:  # a wrong value may raise anything
        raise ConfigError(f"{config.type} refuses: {error}", where="scheduler.params") from error


def _construct(
    optimizer: Optimizer, config: SchedulerConfig, *, steps_total: int, epochs_total: int
) -> Schedule:
    per_step = (config.interval or _default_interval(config.type)) == "step"
    length = steps_total if per_step else epochs_total
    params = {**_lengths(config, length), **config.params}
    metric = None
    if config.type == "ReduceLROnPlateau":
        metric = config.metric or "val_loss"
        params.setdefault("mode", "min" if is_lower_better(metric) else "max")
    if config.type in _WARMUPS:
        factor = _warmup_factor(config.type, steps_total=length, **params)
        return Schedule(lr_scheduler.LambdaLR(optimizer, factor), per_step=per_step)
    scheduler = getattr(lr_scheduler, config.type)(optimizer, **params)
    return Schedule(scheduler, per_step=per_step, metric=metric)


def _default_interval(type_: str) -> str:
    return "step" if type_ in _PER_STEP else "epoch"


def _parameters(type_: str) -> dict[str, inspect.Parameter]:
    made_by = _warmup_factor if type_ in _WARMUPS else getattr(lr_scheduler, type_)
    parameters = inspect.signature(made_by).parameters
    return {name: each for name, each in parameters.items() if name not in _NOT_FOR_CONFIGS}


def _lengths(config: SchedulerConfig, length: int) -> dict[str, Any]:
    if config.type == "OneCycleLR" and "epochs" not in config.params:
        return {"total_steps": length}
    return {
        "CosineAnnealingLR": {"T_max": length},
        "PolynomialLR": {"total_iters": length},
        "LinearLR": {"total_iters": length},
    }.get(config.type, {})


def _warmup_factor(
    type_: str, *, steps_total: int, warmup_steps: int = 0, min_ratio: float = 0.0
) -> Callable[[int], float]:
    if not isinstance(warmup_steps, int) or warmup_steps < 0:
        raise ValueError(f"warmup_steps must be a whole number from 0, got {warmup_steps!r}")
    if not 0 <= min_ratio <= 1:
        raise ValueError(f"min_ratio must lie between 0 and 1, got {min_ratio!r}")
    return partial(_factor, type_, steps_total, warmup_steps, min_ratio)


def _factor(type_: str, steps_total: int, warmup_steps: int, min_ratio: float, step: int) -> float:
    """Rise to 1 over `warmup_steps`, then fall to `min_ratio` at the end of the run."""
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    if type_ == "WarmupConstantLR":
        return 1.0
    done = min(1.0, (step - warmup_steps) / max(1, steps_total - warmup_steps))
    if type_ == "WarmupLinearLR":
        return 1 - (1 - min_ratio) * done
    return min_ratio + (1 - min_ratio) * 0.5 * (1 + math.cos(math.pi * done))
