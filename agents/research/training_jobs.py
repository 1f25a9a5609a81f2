"""The trainer's jobs, with tokenizers found by the names they are registered under."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from agents.ml import jobs_training
from agents.ml.tokenizer_registry import TokenizerRegistry

Report = Callable[[dict[str, Any]], None]


def quick_evaluate(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """`agents.ml.jobs_training.quick_evaluate`; `registry` is where tokenizers are known."""
    return jobs_training.quick_evaluate(_resolved(payload, "eval_config"), report)


def train(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """`agents.ml.jobs_training.train`; `registry` is where tokenizers are known."""
    return jobs_training.train(_resolved(payload, "trainer_config"), report)


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
