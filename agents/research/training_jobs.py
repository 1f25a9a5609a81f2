"""The trainer's jobs, with tokenizers and optimizers found by the names they are registered under.

In their payloads `registry` is the folder of the tokenizers, `optimizers` that of the optimizers.
"""

from hashlib import sha256
from pathlib import Path
from typing import Any

from agents.ml.atomic_files import write_text_atomically
from agents.ml.config import read_config
from agents.ml.errors import ConfigError
from agents.ml.models.script import resolve_script
from agents.ml.optimizers.building import OptimizerConfig
from agents.ml.optimizers.gate import check_custom_optimizer
from agents.ml.optimizers.registry import OptimizerRegistry
from agents.ml.plain_files import read_plain
from agents.ml.tokenizer.registry import TokenizerRegistry
from agents.ml.training import judge
from agents.ml.training.progress import Channel


def quick_evaluate(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """`agents.ml.training.judge.evaluate_quickly`."""
    return judge.evaluate_quickly(_resolved(payload, "eval_config"), channel)


def evaluate_population(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """`agents.ml.training.judge.evaluate_population`."""
    return judge.evaluate_population(_resolved(payload, "eval_config"), channel)


def train(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """`agents.ml.training.judge.train_fully`."""
    return judge.train_fully(_resolved(payload, "trainer_config"), channel)


def evaluate_checkpoint(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """`agents.ml.training.judge.evaluate_checkpoint`."""
    return judge.evaluate_checkpoint(payload, channel)


def register_optimizer_config(payload: dict[str, Any], _channel: Channel) -> dict[str, Any]:
    """Register `config`, an `OptimizerConfig`, under `name`; return it as it is kept.

    Its type may be a name that is registered: what that means is kept, not the name. Of a file of
    the workspace its content is kept in mind, too.

    Raises:
        ConfigError, ModelScriptError: naming what is wrong with it.
    """
    registry = OptimizerRegistry(Path(payload["optimizers"]))
    config = read_config(OptimizerConfig, registry.resolve(payload["config"]), where="optimizer")
    if config.script_path is not None:
        file = resolve_script(config.script_path, Path.cwd())
        seen = {"script_sha256": sha256(read_plain(file)).hexdigest()}
        config = config.model_copy(update=seen)
    registry.add(payload["name"], config)
    return config.model_dump(mode="json", exclude_none=True)


def register_optimizer(payload: dict[str, Any], _channel: Channel) -> dict[str, Any]:
    """Try the optimizer called `name` in `code`; if it works write and register it.

    Payload: `name`, `code`, `output_script_path`, `optimizers`. Runs the code, so that it is no job
    to be trusted.

    Returns:
        `name`, `script_path` and `checks`, what it was seen to do.

    Raises:
        ConfigError, ModelScriptError: what is wrong with name or code; nothing is written.
    """
    name, path = payload["name"], Path(payload["output_script_path"])
    if path.suffix != ".py":
        raise ConfigError("is not a .py file", where="output_script_path")
    registry = OptimizerRegistry(Path(payload["optimizers"]))
    draft = path.with_name(f".{path.stem}.draft.py")
    write_text_atomically(draft, payload["code"])
    try:
        checks = check_custom_optimizer(str(draft), name)
        registry.check_name(name)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    registry.add_script(name, str(path))
    return {"name": name, "script_path": str(path), "checks": list(checks)}


def _resolved(payload: dict[str, Any], key: str) -> dict[str, Any]:
    """`payload` with what the registered names in `key` stand for.

    Raises:
        TokenizerError, ConfigError: nothing is registered under a name; says what is.
    """
    arguments = dict(payload)
    tokenizers = TokenizerRegistry(Path(arguments.pop("registry")))
    optimizers = OptimizerRegistry(Path(arguments.pop("optimizers")))
    config = arguments[key]
    params = config.get("dataset_params")
    asked = params.get("tokenizer_config") if isinstance(params, dict) else None
    if isinstance(asked, dict) and asked.get("type") == "registered" and not asked.get("path"):
        path = tokenizers.info(str(asked.get("name"))).tokenizer_path
        found = {**params, "tokenizer_config": {**asked, "path": path}}
        config = {**config, "dataset_params": found}
    if "optimizer" in config:
        config = {**config, "optimizer": optimizers.resolve(config["optimizer"])}
    return {**arguments, key: config}
