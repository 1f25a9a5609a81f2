"""Where a layer's class comes from, what it is called in the source, and what it is given."""

import hashlib
import inspect
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from agents.ml.arguments import misread
from agents.ml.assembler.config import nearest
from agents.ml.assembler.entries import Layer
from agents.ml.assembler.errors import InexpressibleError, MisfitError, UnknownLayerError
from agents.ml.assembler.registry import (
    BATCH_FIRST,
    RECURRENT,
    find_layer,
    inferred_params,
)
from agents.ml.assembler.source import Code, call
from agents.ml.errors import ConfigError
from agents.ml.models.script import find_class, load_module, resolve_script

_NOT_FOR_CONFIGS = ("device", "dtype")
# Without this, torch warns that it cannot use nested tensors, which was not asked for.
_QUIET = {"TransformerEncoder": {"enable_nested_tensor": False}}


@dataclass(frozen=True, slots=True)
class Block:
    """A class and what it is given: as values to build it with, and as code that does the same."""

    kind: type[nn.Module]
    values: dict[str, Any]
    code: dict[str, Any]
    reference: str

    def build(self) -> nn.Module:
        nested = {
            name: value.build() for name, value in self.values.items() if isinstance(value, Block)
        }
        return self.kind(**self.values | nested)

    def expression(self, prefix: str = "") -> str:
        return call(self.reference, self.code, prefix=prefix)


class BlockFinder:
    """Finds layer classes in torch.nn and in files of the workspace.

    Attributes:
        files: path, relative to the file that is written, by alias; filled as blocks are found.
    """

    def __init__(self, workspace: Path, output_file: Path, vocab_size: int | None) -> None:
        self._workspace = workspace.resolve()
        self._output_file = output_file.resolve()
        self._vocab_size = vocab_size
        self._classes: dict[tuple[str, str], type[nn.Module]] = {}
        self.files: dict[str, str] = {}

    def find(self, layer: Layer, shape: tuple[int, ...]) -> Block:
        """Settle class and parameters for an incoming `shape`, the batch first.

        Raises:
            UnknownLayerError: no such class.
            ModelScriptError: no such file, or it does not have the class.
            MisfitError: a parameter is unknown or missing.
        """
        kind, reference = self._class_of(layer)
        signature = _signature(kind)
        given = {
            name: self._value(value, replace(layer, where=f"{layer.where}.params.{name}"), shape)
            for name, value in layer.params.items()
        }
        _check_names(layer, signature, given, shape)
        if not layer.module_path:
            given = _forced(layer, given, shape) | given
        given |= inferred_params(signature, given, shape, self._vocab_size)
        _check_complete(layer, signature, given, shape)
        _check_values(layer, signature, given, shape)
        ordered = {name: given[name] for name in signature.parameters if name in given}
        ordered |= given  # what only **kwargs takes comes last
        code = {
            name: Code(value.expression()) if isinstance(value, Block) else value
            for name, value in ordered.items()
        }
        return Block(kind, ordered, code, reference)

    def _class_of(self, layer: Layer) -> tuple[type[nn.Module], str]:
        if not layer.module_path:
            return self._torch_class(layer), f"nn.{layer.type}"
        file = resolve_script(layer.module_path, self._workspace)
        if file == self._output_file:
            raise ConfigError(
                f"{layer.module_path!r} holds {layer.type}, of which the model is made; write it "
                "to another file",
                where="output_script_path",
            )
        alias = _alias(file.relative_to(self._workspace))
        key = (alias, layer.type)
        if key not in self._classes:
            module = load_module(file, shown_as=layer.module_path)
            self._classes[key] = find_class(module, layer.type, where=layer.module_path)
        self.files[alias] = Path(os.path.relpath(file, self._output_file.parent)).as_posix()
        return self._classes[key], f"{alias}.{layer.type}"

    def _torch_class(self, layer: Layer) -> type[nn.Module]:
        try:
            return find_layer(layer.type, layer.where)
        except UnknownLayerError as error:
            if not layer.description:
                raise
            raise InexpressibleError(
                f"{layer.type} is described in words only: {layer.description[:80]!r}",
                where=layer.where,
            ) from error

    def _value(self, value: Any, layer: Layer, shape: tuple[int, ...]) -> Any:
        """Turn JSON into what torch takes: tuples for lists, a module where one is described."""
        if isinstance(value, list | tuple):
            return tuple(self._value(item, layer, shape) for item in value)
        if isinstance(value, Mapping) and isinstance(value.get("type"), str):
            nested = Layer(
                where=layer.where,
                type=value["type"],
                params=dict(value.get("params") or {}),
                module_path=str(value.get("module_path") or ""),
            )
            return self.find(nested, shape)
        return value


def _signature(kind: type[nn.Module]) -> inspect.Signature:
    if kind.__name__ not in RECURRENT or kind.__module__ != nn.LSTM.__module__:
        return inspect.signature(kind)
    # RNN, LSTM and GRU declare *args and **kwargs; their base says what they take.
    parameters = dict(inspect.signature(nn.RNNBase).parameters)
    del parameters["mode"]
    if kind is not nn.LSTM:
        del parameters["proj_size"]
    if kind is nn.RNN:
        parameters["nonlinearity"] = inspect.Parameter(
            "nonlinearity", inspect.Parameter.KEYWORD_ONLY, default="tanh"
        )
    return inspect.Signature(sorted(parameters.values(), key=lambda parameter: parameter.kind))


def _check_names(
    layer: Layer, signature: inspect.Signature, given: dict[str, Any], shape: tuple[int, ...]
) -> None:
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    takes_any = inspect.Parameter.VAR_KEYWORD in kinds
    known = [name for name in signature.parameters if name not in _NOT_FOR_CONFIGS]
    for name in given:
        if name in _NOT_FOR_CONFIGS or (name not in known and not takes_any):
            hint = nearest(name, known) or f"; it takes {', '.join(known) or 'none'}"
            raise misfit(layer, f"unknown parameter {name!r}{hint}", given, shape)


def _check_complete(
    layer: Layer, signature: inspect.Signature, given: dict[str, Any], shape: tuple[int, ...]
) -> None:
    missing = [
        name
        for name, parameter in signature.parameters.items()
        if parameter.default is inspect.Parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
        and name not in given
    ]
    if missing:
        raise misfit(layer, f"missing parameter {', '.join(missing)}", given, shape)


def _check_values(
    layer: Layer, signature: inspect.Signature, given: dict[str, Any], shape: tuple[int, ...]
) -> None:
    for name, value in given.items():
        parameter = signature.parameters.get(name)  # none where **kwargs takes it
        problem = "" if parameter is None else misread(parameter, value)
        if problem:
            raise misfit(layer, f"{name} {problem}", given, shape)


def _forced(layer: Layer, given: dict[str, Any], shape: tuple[int, ...]) -> dict[str, Any]:
    if layer.type not in BATCH_FIRST:
        return _QUIET.get(layer.type, {})
    if given.get("batch_first", True) is not True:
        raise misfit(
            layer, "batch_first must be true: shapes here have the batch first", given, shape
        )
    return {"batch_first": True}


def _alias(path: Path) -> str:
    digest = hashlib.sha256(path.as_posix().encode()).hexdigest()[:8]
    return f"{re.sub(r'[^0-9A-Za-z]+', '_', path.stem).strip('_') or 'file'}_{digest}".lower()


def misfit(
    layer: Layer, problem: str, params: dict[str, Any], shape: tuple[int, ...]
) -> MisfitError:
    """The error of a layer that does not fit what comes into it."""
    return MisfitError(
        problem,
        where=layer.where,
        layer_type=layer.type,
        params=params,
        incoming_shape=shape,
    )
