"""Stacked, a population learns what its members would learn one by one."""

from typing import Any

import pytest

from agents.ml.data import load_dataset
from agents.ml.reporting import no_report
from agents.ml.training import population_quick
from agents.ml.training.configs import read_quick_eval_config
from agents.ml.training.population import Member
from agents.ml.training.population_quick import train_population
from agents.ml.training.quick import quick_measure
from agents.ml.training.scoring import Targets
from agents.ml.training.supervised import Material, ModelCode

MODELS = """
import torch
from torch import nn

class Plain(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.head = nn.Linear(64, 16), nn.Linear(16, 10)

    def forward(self, x):
        return self.head(self.hidden(x.flatten(1)).relu())

class Normed(Plain):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(16)
        self.double()  # what a norm takes away again has no gradient but rounding, which Adam obeys

    def forward(self, x):
        return self.head(self.norm(self.hidden(x.flatten(1).double())).relu())

class Deciding(Plain):
    '''Looks at its data, which cannot be stacked.'''

    def forward(self, x):
        return super().forward(x if float(x.mean()) > -1e9 else -x)

class Masked(Plain):
    '''Draws what it looks at, and keeps that where nothing stacks it.'''

    def __init__(self):
        super().__init__()
        self.mask = (torch.rand(64) < 0.5).float()

    def forward(self, x):
        return super().forward(x.flatten(1) * self.mask)
"""
MEMBERS = [Member(seed, rate) for seed in (1, 2, 3) for rate in (0.003, 0.01)]


def train(path: str, class_name: str, members: list[Member], **config: Any) -> list[dict[str, Any]]:
    asked = {"dataset": "digits", "epochs": 2, "device": "cpu", "loss_function": "CrossEntropyLoss"}
    checked = read_quick_eval_config({**asked, **config})
    dataset = load_dataset("digits")
    targets = Targets.of(dataset, dataset.split("val"), quick_measure(checked))
    material = Material(dataset, targets.output_shape, targets)
    return train_population(ModelCode(path, class_name), checked, members, material, no_report)


@pytest.fixture
def path(tmp_path: Any) -> str:
    (tmp_path / "models.py").write_text(MODELS)
    return str(tmp_path / "models.py")


@pytest.fixture(params=["Adam", "AdamW", "SGD", "RMSprop"])
def optimizer(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.mark.parametrize("class_name", ["Plain", "Normed"])
def test_stacked_or_one_by_one_the_numbers_are_the_same(
    path: str, monkeypatch: pytest.MonkeyPatch, optimizer: str, class_name: str
) -> None:
    config: dict[str, Any] = {"optimizer": {"type": optimizer, "params": {}}}
    if optimizer == "SGD":
        config["optimizer"]["params"] = {"momentum": 0.9, "weight_decay": 0.01}
    monkeypatch.setattr(population_quick, "pays", lambda *_: True)
    stacked = train(path, class_name, MEMBERS, **config)
    monkeypatch.setattr(population_quick, "pays", lambda *_: False)
    alone = train(path, class_name, MEMBERS, **config)

    assert {one["stacked"] for one in stacked} == {True}
    assert {one["stacked"] for one in alone} == {False}
    assert [set(one) for one in stacked] == [set(one) for one in alone]
    for ours, theirs in zip(stacked, alone, strict=True):
        for record, expected in zip(ours["history"], theirs["history"], strict=True):
            for key in ("epoch", "step", "train_loss", "val_loss", "lr"):
                assert record[key] == pytest.approx(expected[key], rel=2e-3), key
    assert len({one["history"][-1]["val_loss"] for one in stacked}) == len(MEMBERS)


def test_what_cannot_be_stacked_is_trained_one_by_one(path: str) -> None:
    trained = train(path, "Deciding", MEMBERS)

    assert {one["stacked"] for one in trained} == {False}
    assert all(one["history"][-1]["val_accuracy"] > 0.5 for one in trained)


def test_members_that_differ_in_more_than_what_is_stacked_are_trained_one_by_one(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population_quick, "pays", lambda *_: True)

    trained = train(path, "Masked", MEMBERS)

    assert {one["stacked"] for one in trained} == {False}


def test_the_rate_counts_no_sample_that_is_not_there(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population_quick, "pays", lambda *_: True)

    trained = train(path, "Plain", MEMBERS, batch_size=100_000)  # far more than the data has

    for one in trained:
        seen = one["seconds"] * one["samples_per_s"]  # the two clocks are read apart
        real = 2 * len(MEMBERS) * one["train_samples"]
        assert real / 2 < seen < 2 * real < 100_000


def test_one_member_that_diverges_leaves_the_others_alone(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(population_quick, "pays", lambda *_: True)
    members = [*MEMBERS, Member(1, 1e30)]

    *others, last = train(path, "Plain", members, optimizer="SGD")

    assert {one["status"] for one in others} == {"completed"}
    assert last["status"] == "diverged"
    assert 1 <= last["diverged_at_step"] <= 20
    assert last["history"] == []
