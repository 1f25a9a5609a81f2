"""Optimizers by name, on disk: configurations and classes of files, known after a restart, too."""

import json
import re
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from agents.ml.atomic_files import write_text_atomically
from agents.ml.config import did_you_mean, read_config
from agents.ml.errors import ConfigError
from agents.ml.optimizers.building import OPTIMIZERS, OptimizerConfig, check_optimizer
from agents.ml.plain_files import locked, read_plain

MANIFEST_FILE = "optimizers.json"

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,99}")


class OptimizerRegistry:
    """A folder with a manifest; safe with several processes at once."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / MANIFEST_FILE

    def names(self) -> list[str]:
        """Return all registered names, sorted."""
        return sorted(self._manifest())

    def add(self, name: str, config: OptimizerConfig) -> None:
        """Register a checked configuration; an older one of that name is replaced.

        Raises:
            ConfigError: as `check_name` and `check_optimizer`.
        """
        self.check_name(name)
        check_optimizer(config)
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with locked(self._file.with_name(f".{MANIFEST_FILE}.lock")):
                manifest = {**self._manifest(), name: config.model_dump(mode="json")}
                write_text_atomically(self._file, json.dumps(manifest, indent=2))
        except OSError as error:
            problem = f"cannot be written: {error.strerror}; it is as it was"
            raise ConfigError(problem, where=str(self._file)) from error

    def check_name(self, name: str) -> None:
        """Refuse a name that nothing can be registered under.

        Raises:
            ConfigError: it is not valid, or names a class of torch.optim.
        """
        if not _NAME.fullmatch(name):
            problem = "use letters, digits, '_', '.' and '-', at most 100, a letter first"
            raise ConfigError(f"{name!r} is no name: {problem}", where="config_name")
        if name in OPTIMIZERS:
            text = f"{name!r} is an optimizer of torch.optim; choose another name"
            raise ConfigError(text, where="config_name")

    def add_script(self, name: str, script_path: str) -> OptimizerConfig:
        """Register the class `name` of a file; another content of it is refused later.

        Raises:
            ConfigError: as `add`, or the file cannot be read.
        """
        config = OptimizerConfig(
            type=name, script_path=script_path, script_sha256=_hash_of(script_path)
        )
        self.add(name, config)
        return config

    def resolve(self, asked: Any) -> Any:
        """Return what a training tool was asked for, a registered name replaced by what it means.

        What else was asked for goes before what is registered: single `params`, and
        `param_groups` as a whole.

        Raises:
            ConfigError: the file of a custom optimizer is gone, or has another content.
        """
        given: Any = {"type": asked} if isinstance(asked, str) else asked
        name = given.get("type") if isinstance(given, Mapping) else None
        if not isinstance(name, str) or name in OPTIMIZERS or given.get("script_path"):
            return asked
        manifest = self._manifest()
        if name not in manifest:
            hint = did_you_mean(name, [*OPTIMIZERS, *manifest])
            raise ConfigError(f"unknown optimizer {name!r}; {hint}", where="optimizer.type")
        known = read_config(OptimizerConfig, manifest[name], where=f"optimizer {name!r}")
        if known.script_path is not None and _hash_of(known.script_path) != known.script_sha256:
            text = f"{known.script_path} is not what was registered; register it again"
            raise ConfigError(text, where="optimizer.type")
        own = given.get("params", given.get("default_params", {}))
        rest = {key: given[key] for key in given if key not in {"type", "default_params"}}
        return {**known.model_dump(mode="json"), **rest, "params": {**known.params, **own}}

    def _manifest(self) -> dict[str, Any]:
        try:
            manifest = json.loads(read_plain(self._file))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            text = f"the manifest is damaged: {error}"
            raise ConfigError(text, where=str(self._file)) from error
        if not isinstance(manifest, dict):
            raise ConfigError("the manifest is damaged: not an object", where=str(self._file))
        return manifest


def _hash_of(script_path: str) -> str:
    try:
        return sha256(read_plain(Path(script_path))).hexdigest()
    except OSError as error:
        raise ConfigError(f"cannot be read: {error}", where=script_path) from error
