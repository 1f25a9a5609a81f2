"""A run's folder: its config, metrics, best weights and the state to go on from."""

import importlib
import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import nn

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Config:
    """What decides the outcome of a run; see `configs/base.yaml`."""

    name: str
    model: str = "src.models.small_cnn:SmallCNN"
    epochs: int = 10
    batch_size: int = 64
    learning_rate: float = 0.002
    weight_decay: float = 0.01
    seed: int = 0

    @classmethod
    def read(cls, path: Path, **overrides: Any) -> "Config":
        """The YAML file's values, with those of `overrides` that are not None in their place."""
        values = yaml.safe_load(path.read_text()) or {}
        kinds = {field.name: field.type for field in fields(cls)}
        unknown = values.keys() - kinds.keys()
        if unknown:
            raise ValueError(f"{path}: unknown keys {', '.join(sorted(unknown))}")
        values |= {key: value for key, value in overrides.items() if value is not None}
        # 1e-3 is a text to YAML, for it has no dot.
        return cls(**{k: float(v) if kinds[k] is float else v for k, v in values.items()})


def build_model(config: Config) -> nn.Module:
    """The class that `config.model` names as "package.module:Class", with its defaults."""
    module, _, name = config.model.partition(":")
    model: nn.Module = getattr(importlib.import_module(module), name)()
    return model


class Experiment:
    """Files of one run below `experiments/`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.best = folder / "best.pt"
        self._state = folder / "last.pt"
        self._config = folder / "config.json"
        self._metrics = folder / "metrics.jsonl"

    def begin(self, config: Config) -> dict[str, Any] | None:
        """The state that an earlier run with this config left, None for a new run."""
        self.folder.mkdir(parents=True, exist_ok=True)
        told = json.dumps(asdict(config), indent=2)
        if not self._config.exists():
            self._config.write_text(told)
        elif self.config() != config:
            raise ValueError(f"{self.folder} holds a run with another config; give another name")
        if not self._state.exists():
            return None
        return torch.load(self._state, map_location="cpu", weights_only=True)

    def config(self) -> Config:
        return Config(**json.loads(self._config.read_text()))

    def save(self, state: dict[str, Any]) -> None:
        _write(self._state, state)

    def save_best(self, model: nn.Module) -> None:
        _write(self.best, model.state_dict())

    def log(self, **metrics: float) -> None:
        with self._metrics.open("a") as file:
            file.write(f"{json.dumps(metrics)}\n")


def _write(path: Path, value: Any) -> None:
    """In one step, so that a run that is killed meanwhile leaves the old file or the new."""
    draft = path.with_suffix(".draft")
    torch.save(value, draft)
    draft.replace(path)
