"""Optimizers by name or from a file, with parameter groups chosen by the names of parameters."""

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
import torch._dynamo  # a second, spent by the first optimizer otherwise: better once, before a fork
from pydantic import Field, model_validator
from torch import nn
from torch.optim import Optimizer

from agents.ml.arguments import misread
from agents.ml.config import StrictConfig, require_known
from agents.ml.errors import ConfigError, ModelScriptError
from agents.ml.models.script import load_module, resolve_script
from agents.ml.optimizers.name_patterns import check_pattern, match_names
from agents.ml.optimizers.trials import require_works

OPTIMIZERS: Mapping[str, type[Optimizer]] = {
    name: value
    for name, value in vars(torch.optim).items()
    if isinstance(value, type) and issubclass(value, Optimizer) and value is not Optimizer
}
# One kernel for all parameters: measured 1.3 times as fast on small models on the CPU.
_FUSED = {"Adam", "AdamW", "SGD", "Adagrad"}
_IMPLEMENTATIONS = {"fused", "foreach", "capturable", "differentiable"}
_NAMES_SHOWN = 8


class OptimizerConfig(StrictConfig):
    """`{"type", "params"}`, or what the optimizer configurator generates, with `param_groups`.

    A group is `{"name_regex": "backbone.*", "lr": 0.0001}`: the regular expression is matched
    against the beginning of each parameter's name, the first group that matches takes it, and the
    rest keep the defaults. `default_params` is another name of `params`.

    Attributes:
        type: a class of torch.optim, or of the file `script_path`.
        script_sha256: of that file; another content is refused.
    """

    type: str
    params: dict[str, Any] = Field(default_factory=dict)
    param_groups: list[dict[str, Any]] = Field(default_factory=list)
    script_path: str | None = None
    script_sha256: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _other_forms(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"type": value}
        if isinstance(value, Mapping) and "default_params" in value and "params" not in value:
            rest = {key: item for key, item in value.items() if key != "default_params"}
            return {**rest, "params": value["default_params"]}
        return value


def check_optimizer(config: OptimizerConfig) -> None:
    """Check names, values and regular expressions, before there is a model.

    What belongs to a class in a file is checked when that is loaded, by `build_optimizer`.

    Raises:
        ConfigError: naming the key.
    """
    for i, group in enumerate(config.param_groups):
        check_pattern(group.get("name_regex"), f"optimizer.param_groups.{i}.name_regex")
    if config.script_path is None:
        require_known(config.type, OPTIMIZERS, what="optimizer", where="optimizer.type")
        _check_values(config, OPTIMIZERS[config.type])


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> Optimizer:
    """Return the optimizer over the model's trainable parameters, tied ones once.

    Raises:
        ConfigError: as `check_optimizer`; a group that matches no parameter (torch would accept
            it silently); a model without parameters.
        ModelScriptError: the file of a custom optimizer cannot be loaded.
    """
    check_optimizer(config)
    kind = optimizer_class(config)
    if config.script_path is not None:
        _check_values(config, kind)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not parameters:
        raise ConfigError("the model has no parameters to train", where="optimizer")
    groups = list(_grouped(parameters, config))
    params = dict(config.params)
    is_free = config.script_path is None and not _IMPLEMENTATIONS & params.keys()
    if is_free and config.type in _FUSED and _can_fuse(parameters):
        params["fused"] = True
    try:
        return kind(groups, **params)
    except Exception as error:  # a custom one may raise anything
        raise ConfigError(f"{config.type} refuses: {error}", where="optimizer.params") from error


def optimizer_class(config: OptimizerConfig) -> type[Optimizer]:
    """Return the class; loading one from a file runs that file.

    Raises:
        ModelScriptError: the file cannot be loaded, or has no such optimizer.
    """
    if config.script_path is None:
        return OPTIMIZERS[config.type]
    file = resolve_script(config.script_path)
    found = getattr(load_module(file, shown_as=config.script_path), config.type, None)
    if isinstance(found, type) and issubclass(found, Optimizer):
        return found
    problem = f"defines no torch.optim.Optimizer called {config.type}"
    raise ModelScriptError(problem, where=config.script_path)


def _check_values(config: OptimizerConfig, kind: type[Optimizer]) -> None:
    """Try the values in a step: torch checks some of them only there, and those of groups never."""
    known = dict(inspect.signature(kind).parameters)
    known.pop("params", None)
    what = config.type
    _check_keys(config.params, known, "optimizer.params")
    require_works(partial(_step, kind, [{}]), config.params, what=what, where="optimizer.params")
    for i, group in enumerate(config.param_groups):
        options = {key: value for key, value in group.items() if key != "name_regex"}
        where = f"optimizer.param_groups.{i}"
        _check_keys(options, known, where)
        as_defaults = partial(_step, kind, [{}], **config.params)
        require_works(as_defaults, options, what=what, where=where)

        def in_group(**given: Any) -> None:
            _step(kind, [given, {}], **config.params)

        require_works(in_group, options, what=what, where=where)


def _step(kind: type[Optimizer], groups: Sequence[Mapping[str, Any]], **params: Any) -> None:
    """Take a step of an optimizer with a parameter in each of `groups`."""
    parameters = [nn.Parameter(torch.zeros(2, 2)) for _ in groups]
    for parameter in parameters:
        zeros = torch.zeros(2, 2)
        parameter.grad = zeros.to_sparse() if kind is torch.optim.SparseAdam else zeros
    pairs = zip(parameters, groups, strict=True)
    optimizer = kind([{"params": [parameter], **group} for parameter, group in pairs], **params)
    optimizer.step(lambda: 0.0)


def _grouped(
    parameters: Mapping[str, nn.Parameter], config: OptimizerConfig
) -> Iterator[dict[str, Any]]:
    left, names = dict(parameters), list(parameters)
    if not config.param_groups:
        yield {"params": list(left.values())}
        return
    patterns = [group["name_regex"] for group in config.param_groups]
    matched = match_names(patterns, names, "optimizer.param_groups")
    for i, (group, matches) in enumerate(zip(config.param_groups, matched, strict=True)):
        taken = [name for name, is_match in zip(names, matches, strict=True) if is_match]
        taken = [name for name in taken if name in left]
        if not taken:
            shown = ", ".join(names[:_NAMES_SHOWN])
            raise ConfigError(
                f"{patterns[i]!r} matches no parameter an earlier group left; "
                f"the model's are {shown}{', ...' if len(names) > _NAMES_SHOWN else ''}",
                where=f"optimizer.param_groups.{i}.name_regex",
            )
        options = {key: value for key, value in group.items() if key != "name_regex"}
        yield {"params": [left.pop(name) for name in taken], **options}
    if left:
        yield {"params": list(left.values())}


def _check_keys(
    values: Mapping[str, Any], known: Mapping[str, inspect.Parameter], where: str
) -> None:
    for key, value in values.items():
        require_known(key, known, what="parameter", where=f"{where}.{key}")
        if problem := misread(known[key], value):
            raise ConfigError(problem, where=f"{where}.{key}")
        if isinstance(value, int) and abs(value) > sys.float_info.max:  # torch fails on it later
            raise ConfigError("is too large for a number", where=f"{where}.{key}")


def _can_fuse(parameters: Mapping[str, nn.Parameter]) -> bool:
    return all(
        p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters.values()
    )
