from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from agents.ml.checkpoints import load_checkpoint, save_checkpoint
from agents.ml.config import read_config
from agents.ml.errors import ConfigError
from agents.ml.training.schedulers import SCHEDULERS, Schedule, SchedulerConfig, build_schedule

EPOCHS, STEPS_PER_EPOCH = 6, 5
NEEDED: dict[str, dict[str, Any]] = {
    "StepLR": {"step_size": 2},
    "MultiStepLR": {"milestones": [2, 4]},
    "ExponentialLR": {"gamma": 0.5},
    "CosineAnnealingWarmRestarts": {"T_0": 2},
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 4, "cycle_momentum": False},
    "OneCycleLR": {"max_lr": 0.1},
    "ReduceLROnPlateau": {"patience": 1},
    "WarmupCosineLR": {"warmup_steps": 5, "min_ratio": 0.1},
    "WarmupLinearLR": {"warmup_steps": 5},
    "WarmupConstantLR": {"warmup_steps": 5},
}


def build(config: Any) -> tuple[torch.optim.Optimizer, Schedule]:
    optimizer = torch.optim.SGD(nn.Linear(2, 2).parameters(), lr=0.1, momentum=0.9)
    schedule = build_schedule(
        optimizer,
        read_config(SchedulerConfig, config),
        steps_total=EPOCHS * STEPS_PER_EPOCH,
        epochs_total=EPOCHS,
    )
    return optimizer, schedule


def rates(optimizer: torch.optim.Optimizer, schedule: Schedule, epochs: int) -> list[float]:
    seen = []
    for _ in range(epochs):
        for _ in range(STEPS_PER_EPOCH):
            seen.append(float(optimizer.param_groups[0]["lr"]))
            optimizer.step()
            schedule.after_step()
        schedule.after_epoch({"val_loss": 1.0})
    return seen


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_schedule_resumed_from_a_checkpoint_gives_the_same_rates(
    name: str, tmp_path: Path
) -> None:
    config = {"type": name, "params": NEEDED.get(name, {})}
    whole = rates(*build(config), EPOCHS)

    first_optimizer, first = build(config)
    begun = rates(first_optimizer, first, 3)
    state = {"optimizer": first_optimizer.state_dict(), "schedule": first.state_dict()}
    save_checkpoint(tmp_path / "state.pt", state)
    saved = load_checkpoint(tmp_path / "state.pt")
    optimizer, schedule = build(config)
    optimizer.load_state_dict(saved["optimizer"])
    schedule.load_state_dict(saved["schedule"])

    assert begun + rates(optimizer, schedule, 3) == whole
    assert len(set(whole)) > 1


def test_warm_up_rises_to_the_full_rate_and_ends_at_the_least() -> None:
    seen = rates(*build({"type": "WarmupCosineLR", "params": NEEDED["WarmupCosineLR"]}), EPOCHS)

    assert seen[:5] == pytest.approx([0.02, 0.04, 0.06, 0.08, 0.1])
    assert seen[-1] == pytest.approx(0.01, abs=1e-3)
    assert sorted(seen[5:], reverse=True) == seen[5:]


def test_a_plateau_is_told_its_metric_but_never_what_is_no_number() -> None:
    optimizer, schedule = build(
        {"type": "ReduceLROnPlateau", "metric": "accuracy", "params": {"patience": 0}}
    )
    for accuracy in (0.5, 0.6, float("nan"), 0.7):
        schedule.after_epoch({"val_accuracy": accuracy, "val_loss": 9.0})
    assert optimizer.param_groups[0]["lr"] == 0.1

    schedule.after_epoch({"val_accuracy": 0.7})

    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.01)


@pytest.mark.parametrize(
    ("config", "where", "message"),
    [
        (
            {"type": "CosineLR"},
            "scheduler.type",
            "did you mean 'Cosine|did you mean 'WarmupCosineLR",
        ),
        ({"type": "StepLR", "params": {"step": 1}}, "params.step", "did you mean 'step_size'"),
        ({"type": "StepLR"}, "scheduler.params", "step_size"),
        ({"type": "StepLR", "metric": "loss"}, "scheduler.metric", "ReduceLROnPlateau only"),
        ({"type": "ReduceLROnPlateau", "interval": "step"}, "scheduler.interval", "per epoch"),
        ({"type": "WarmupLinearLR", "params": {"warmup_steps": -1}}, "scheduler.params", "from 0"),
    ],
)
def test_a_wrong_key_is_named(config: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        build(config)

    assert where in error.value.where
