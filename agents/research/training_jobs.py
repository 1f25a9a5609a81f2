"""The trainer's jobs, with tokenizers found by the names they are registered under."""

from pathlib import Path
from typing import Any

from agents.ml.tokenizer_registry import TokenizerRegistry
from agents.ml.training import judge
from agents.ml.training.progress import Channel


def quick_evaluate(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """`agents.ml.training.judge.evaluate_quickly`; `registry` is where tokenizers are known."""
    return judge.evaluate_quickly(_resolved(payload, "eval_config"), channel)


def train(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """`agents.ml.training.judge.train_fully`; `registry` is where tokenizers are known."""
    return judge.train_fully(_resolved(payload, "trainer_config"), channel)


def evaluate_checkpoint(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """`agents.ml.training.judge.evaluate_checkpoint`."""
    return judge.evaluate_checkpoint(payload, channel)


def _resolved(payload: dict[str, Any], key: str) -> dict[str, Any]:
    """`payload` with the path of a registered tokenizer in `key`'s dataset parameters.

    Raises:
        TokenizerError: none is registered under that name; says which there are.
    """
    arguments = dict(payload)
    registry = TokenizerRegistry(Path(arguments.pop("registry")))
    config = arguments[key]
    params = config.get("dataset_params")
    asked = params.get("tokenizer_config") if isinstance(params, dict) else None
    if isinstance(asked, dict) and asked.get("type") == "registered" and not asked.get("path"):
        path = registry.info(str(asked.get("name"))).tokenizer_path
        found = {**params, "tokenizer_config": {**asked, "path": path}}
        arguments[key] = {**config, "dataset_params": found}
    return arguments
