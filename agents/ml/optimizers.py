"""Optimizers of torch.optim by name, with parameter groups chosen by the names of parameters."""

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch._dynamo  # a second, spent by the first optimizer otherwise: better once, before a fork
from pydantic import Field, model_validator
from torch import nn
from torch.optim import Optimizer

from agents.ml.config import StrictConfig, require_known
from agents.ml.errors import ConfigError

OPTIMIZERS: Mapping[str, type[Optimizer]] = {
    name: value
    for name, value in vars(torch.optim).items()
    if isinstance(value, type) and issubclass(value, Optimizer) and value is not Optimizer
}
# One kernel for all parameters: measured 1.3 times as fast on small models on the CPU.
_FUSED = {"Adam", "AdamW", "SGD", "Adagrad"}
_IMPLEMENTATIONS = {"fused", "foreach", "capturable", "differentiable"}
_MAX_REGEX_CHARS = 200


class OptimizerConfig(StrictConfig):
    """`{"type", "params"}`, or what the optimizer configurator generates, with `param_groups`.

    A group is `{"name_regex": "backbone.*", "lr": 0.0001}`: the regular expression is matched
    against the beginning of each parameter's name, the first group that matches takes it, and the
    rest keep the defaults. `default_params` is another name of `params`.
    """

    type: str
    params: dict[str, Any] = Field(default_factory=dict)
    param_groups: list[dict[str, Any]] = Field(default_factory=list)

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
    """Check names and regular expressions, before there is a model.

    Raises:
        ConfigError: naming the key.
    """
    require_known(config.type, OPTIMIZERS, what="optimizer", where="optimizer.type")
    known = _parameters(OPTIMIZERS[config.type])
    _check_keys(config.params, known, "optimizer.params")
    for i, group in enumerate(config.param_groups):
        where = f"optimizer.param_groups.{i}"
        _compile(group.get("name_regex"), f"{where}.name_regex")
        _check_keys({k: v for k, v in group.items() if k != "name_regex"}, known, where)


def build_optimizer(model: nn.Module, config: OptimizerConfig) -> Optimizer:
    """Return the optimizer over the model's trainable parameters, tied ones once.

    Raises:
        ConfigError: as `check_optimizer`; a group that matches no parameter (torch would accept
            it silently); a value the optimizer refuses; a model without parameters.
    """
    check_optimizer(config)
    parameters = {name: p for name, p in model.named_parameters() if p.requires_grad}
    if not parameters:
        raise ConfigError("the model has no parameters to train", where="optimizer")
    groups = list(_grouped(parameters, config))
    params = dict(config.params)
    if config.type in _FUSED and not _IMPLEMENTATIONS & params.keys() and _can_fuse(parameters):
        params["fused"] = True
    try:
        return OPTIMIZERS[config.type](groups, **params)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"{config.type} refuses: {error}", where="optimizer.params") from error


def _grouped(
    parameters: Mapping[str, nn.Parameter], config: OptimizerConfig
) -> Iterator[dict[str, Any]]:
    left = dict(parameters)
    for i, group in enumerate(config.param_groups):
        where = f"optimizer.param_groups.{i}.name_regex"
        pattern = _compile(group["name_regex"], where)
        taken = [name for name in left if pattern.match(name)]
        if not taken:
            names = ", ".join(list(parameters)[:8])
            raise ConfigError(
                f"{pattern.pattern!r} matches no parameter an earlier group left; "
                f"the model's are {names}{', ...' if len(parameters) > 8 else ''}",  # noqa: PLR2004  # as above
                where=where,
            )
        options = {key: value for key, value in group.items() if key != "name_regex"}
        yield {"params": [left.pop(name) for name in taken], **options}
    if left:
        yield {"params": list(left.values())}


def _parameters(optimizer: type[Optimizer]) -> set[str]:
    return set(inspect.signature(optimizer).parameters) - {"params"}


def _check_keys(values: Mapping[str, Any], known: set[str], where: str) -> None:
    for key in values:
        require_known(key, known, what="parameter", where=f"{where}.{key}")


def _compile(regex: Any, where: str) -> re.Pattern[str]:
    if not isinstance(regex, str) or not regex:
        raise ConfigError("is required: a regular expression", where=where)
    if len(regex) > _MAX_REGEX_CHARS:
        raise ConfigError(f"is longer than {_MAX_REGEX_CHARS} characters", where=where)
    try:
        return re.compile(regex)
    except re.error as error:
        raise ConfigError(f"{regex!r} is no regular expression: {error}", where=where) from error


def _can_fuse(parameters: Mapping[str, nn.Parameter]) -> bool:
    return all(
        p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters.values()
    )
