from pathlib import Path
from typing import Any

import pytest

from agents.ml.config import read_config
from agents.ml.errors import ConfigError, ModelScriptError
from agents.ml.optimizers.building import OptimizerConfig
from agents.ml.optimizers.gate import check_custom_optimizer
from agents.ml.optimizers.registry import OptimizerRegistry

TUNED: dict[str, Any] = {
    "type": "AdamW",
    "default_params": {"lr": 0.0005, "weight_decay": 0.01},
    "param_groups": [{"name_regex": "head.*", "lr": 0.005}],
}

CUSTOM = """
import torch
from torch.optim import Optimizer

class Heavy(Optimizer):
    '''SGD with momentum.'''

    def __init__(self, params, lr=0.01, momentum=0.9):
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if "velocity" not in state:
                    state["velocity"] = torch.zeros_like(p)
                state["velocity"].mul_(group["momentum"]).add_(p.grad)
                p.sub_(group["lr"] * state["velocity"])
        return loss
"""

MUTANTS = {
    "it climbs": ("p.sub_(", "p.add_(", "lowers a quadratic"),
    "it does nothing": ("p.sub_(", "p.mul(", "lowers a quadratic"),
    "no gradient breaks it": ("if p.grad is None", "if p is None", "without a gradient"),
    "it keeps its state elsewhere": (
        "state = self.state[p]",
        "state = self.__dict__.setdefault('mine', {}).setdefault(p, {})",
        "saved state",
    ),
    "its state is code": (
        'state["velocity"].mul_',
        'state.setdefault("when", __import__("pathlib").Path()); state["velocity"].mul_',
        "saved state",
    ),
    "one rate for all": ('group["lr"]', "0.01", "rates of their own"),
    "another name": ("class Heavy", "class Light", "called Heavy"),
    "no optimizer": ("class Heavy(Optimizer)", "class Heavy", "called Heavy"),
}


@pytest.fixture
def registry(tmp_path: Path) -> OptimizerRegistry:
    return OptimizerRegistry(tmp_path / "optimizers")


def write(folder: Path, source: str = CUSTOM) -> str:
    path = folder / "heavy.py"
    path.write_text(source)
    return str(path)


def test_a_registered_configuration_outlives_the_process(
    registry: OptimizerRegistry, tmp_path: Path
) -> None:
    registry.add("tuned", read_config(OptimizerConfig, TUNED))

    again = OptimizerRegistry(tmp_path / "optimizers")
    resolved = read_config(OptimizerConfig, again.resolve("tuned"))

    assert again.names() == ["tuned"]
    assert resolved == read_config(OptimizerConfig, TUNED)


def test_what_is_asked_for_goes_before_what_is_registered(registry: OptimizerRegistry) -> None:
    registry.add("tuned", read_config(OptimizerConfig, TUNED))

    asked = {"type": "tuned", "params": {"lr": 0.1}, "param_groups": []}
    resolved = read_config(OptimizerConfig, registry.resolve(asked))

    assert resolved.params == {"lr": 0.1, "weight_decay": 0.01}
    assert resolved.param_groups == []


@pytest.mark.parametrize("asked", ["Adam", {"type": "SGD", "params": {"lr": 1}}, 5, None])
def test_what_is_no_registered_name_stays_as_it_is(registry: OptimizerRegistry, asked: Any) -> None:
    assert registry.resolve(asked) == asked


def test_an_unknown_name_suggests_the_nearest_of_both_kinds(registry: OptimizerRegistry) -> None:
    registry.add("tuned", read_config(OptimizerConfig, TUNED))

    for asked, near in (("tunde", "tuned"), ("AdmW", "AdamW")):
        with pytest.raises(ConfigError, match=f"did you mean '{near}'"):
            registry.resolve(asked)


@pytest.mark.parametrize("name", ["Adam", "", "../up", "a b", "x" * 101])
def test_a_name_that_is_taken_or_none_is_refused(registry: OptimizerRegistry, name: str) -> None:
    with pytest.raises(ConfigError) as error:
        registry.add(name, read_config(OptimizerConfig, TUNED))

    assert error.value.where == "config_name"


def test_a_configuration_is_checked_before_it_is_registered(registry: OptimizerRegistry) -> None:
    with pytest.raises(ConfigError, match="Invalid learning rate"):
        registry.add("bad", read_config(OptimizerConfig, {"type": "Adam", "params": {"lr": -1}}))

    assert registry.names() == []


def test_a_script_that_has_changed_must_be_registered_again(
    registry: OptimizerRegistry, tmp_path: Path
) -> None:
    path = write(tmp_path)
    registry.add_script("Heavy", path)
    assert registry.resolve("Heavy")["script_path"] == path
    write(tmp_path, f"{CUSTOM}\n# changed\n")

    with pytest.raises(ConfigError, match="is not what was registered"):
        registry.resolve("Heavy")


def test_an_optimizer_that_works_passes_the_gate(tmp_path: Path) -> None:
    assert len(check_custom_optimizer(write(tmp_path), "Heavy")) == 4


@pytest.mark.parametrize("mutant", MUTANTS)
def test_one_that_does_not_work_is_told_why(tmp_path: Path, mutant: str) -> None:
    old, new, said = MUTANTS[mutant]
    assert old in CUSTOM

    with pytest.raises(ModelScriptError, match=said):
        check_custom_optimizer(write(tmp_path, CUSTOM.replace(old, new)), "Heavy")
