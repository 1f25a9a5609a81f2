from typing import Any

import pytest
import torch
from torch import nn

from agents.ml.config import read_config
from agents.ml.errors import ConfigError
from agents.ml.optimizers.building import OPTIMIZERS, OptimizerConfig, build_optimizer
from agents.ml.training.schedulers import SchedulerConfig, build_schedule


class TwoParts(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Linear(4, 4)
        self.head = nn.Linear(4, 4)
        self.tied = self.head


def build(config: Any, model: nn.Module | None = None) -> torch.optim.Optimizer:
    return build_optimizer(model or TwoParts(), read_config(OptimizerConfig, config))


@pytest.mark.parametrize("name", sorted(set(OPTIMIZERS) - {"SparseAdam", "Muon"}))
def test_every_optimizer_of_torch_lowers_a_quadratic(name: str) -> None:
    model = nn.Linear(4, 1, bias=False)
    nn.init.ones_(model.weight)
    optimizer = build({"type": name, "params": {"lr": 0.05}}, model)

    def closure() -> float:
        optimizer.zero_grad()
        loss = model.weight.square().sum()
        torch.autograd.backward(loss)
        return float(loss.detach())

    for _ in range(20):
        optimizer.step(closure)

    assert float(model.weight.detach().square().sum()) < 4


def test_the_first_group_that_matches_takes_a_parameter_and_tied_ones_count_once() -> None:
    optimizer = build(
        {
            "type": "Adam",
            "default_params": {"lr": 0.1},
            "param_groups": [
                {"name_regex": "backbone.*", "lr": 0.2},
                {"name_regex": r".*\.weight", "weight_decay": 0.3},
            ],
        }
    )

    groups = [(len(g["params"]), g["lr"], g["weight_decay"]) for g in optimizer.param_groups]
    assert groups == [(2, 0.2, 0), (1, 0.1, 0.3), (1, 0.1, 0)]


@pytest.mark.parametrize(
    ("config", "where", "message"),
    [
        ({"type": "AdmW"}, "optimizer.type", "did you mean 'Adam"),
        (
            {"type": "Adam", "params": {"learning_rate": 1}},
            "params.learning_rate",
            "unknown parameter",
        ),
        ({"type": "Adam", "params": {"lr": -1}}, "optimizer.params.lr", "Invalid learning rate"),
        ({"type": "Adam", "params": {"lr": "x"}}, "optimizer.params.lr", "refuses lr='x'"),
        ({"type": "Adam", "params": {"lr": 0.1, "betas": [2]}}, "params.betas", "refuses betas"),
        (
            {"type": "Adam", "param_groups": [{"name_regex": "head", "lr": -1, "eps": 1e-9}]},
            "optimizer.param_groups.0.lr",
            "Invalid learning rate",
        ),
        ({"type": "Adam", "param_groups": [{"lr": 1}]}, "0.name_regex", "is required"),
        ({"type": "Adam", "param_groups": [{"name_regex": "("}]}, "0.name_regex", "no regular"),
        ({"type": "Adam", "param_groups": [{"name_regex": "heads"}]}, "0.name_regex", "matches no"),
        ({"type": "Adam", "param_groups": [{"name_regex": "head", "lrr": 1}]}, "0.lrr", "'lr'"),
        ({"type": "Adam", "params": {"lr": True}}, "params.lr", "must be a number, not True"),
        ({"type": "Adam", "params": {"amsgrad": "false"}}, "params.amsgrad", "true or false"),
        ({"type": "Adam", "params": {"fused": "no"}}, "params.fused", "must be true or false"),
        ({"type": "Adam", "params": {"capturable": True}}, "params.capturable", "refuses"),
        ({"type": "Adam", "params": {"differentiable": True}}, "params.differentiable", "refuses"),
        (
            {"type": "LBFGS", "param_groups": [{"name_regex": "head", "lr": 0.1}]},
            "optimizer.param_groups.0",
            "doesn't support per-parameter options",
        ),
        ({"type": "Muon"}, "optimizer.params", "refuses"),
    ],
)
def test_a_wrong_key_is_named(config: dict[str, Any], where: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        build(config)

    assert where in error.value.where


def test_a_pattern_that_takes_for_ever_is_refused_in_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.ml.optimizers.name_patterns._LIMIT_S", 0.5)
    model = nn.Sequential()
    model.add_module("a" * 60 + "_", nn.Linear(2, 2))

    with pytest.raises(ConfigError, match=r"takes more than 0\.5 s") as error:
        build({"type": "Adam", "param_groups": [{"name_regex": "(a+)+$"}]}, model)

    assert error.value.where == "optimizer.param_groups"


def test_groups_keep_their_rates_apart_under_a_schedule() -> None:
    groups = [{"name_regex": "backbone", "lr": 0.2}]
    optimizer = build({"type": "SGD", "params": {"lr": 0.1}, "param_groups": groups})
    config = read_config(SchedulerConfig, {"type": "StepLR", "params": {"step_size": 1}})
    schedule = build_schedule(optimizer, config, steps_total=4, epochs_total=2)

    optimizer.step()
    schedule.after_epoch({})

    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.02, 0.01])


def test_frozen_parameters_are_left_out() -> None:
    model = TwoParts()
    model.backbone.requires_grad_(requires_grad=False)

    assert sum(len(group["params"]) for group in build({"type": "Adam"}, model).param_groups) == 2


def test_a_model_without_parameters_cannot_be_trained() -> None:
    with pytest.raises(ConfigError, match="no parameters to train"):
        build({"type": "Adam"}, nn.ReLU())


def test_sparse_gradients_have_an_optimizer() -> None:
    model = nn.Embedding(4, 2, sparse=True)
    optimizer = build({"type": "SparseAdam", "params": {"lr": 0.1}}, model)
    before = model.weight.detach().clone()

    torch.autograd.backward(model(torch.tensor([1])).sum())
    optimizer.step()

    assert (model.weight.detach() != before).any(dim=1).tolist() == [False, True, False, False]
