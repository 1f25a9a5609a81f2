"""From a model config to readable source: each layer is stepped, written down, and stepped on.

The compiler is deterministic: the same config gives the same text. It runs custom blocks to learn
their shapes, so call it in a job's child process when a config names any.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from agents.ml.assembler.blocks import Block, BlockFinder, misfit
from agents.ml.assembler.config import nearest, read_config
from agents.ml.assembler.entries import Branch, Entry, Layer, Merge, ModelConfig, Residual
from agents.ml.assembler.errors import show_shape
from agents.ml.assembler.operations import OPERATIONS
from agents.ml.assembler.registry import contradiction
from agents.ml.assembler.source import LINE_CHARS, comment, module_source
from agents.ml.assembler.stepping import (
    BATCH,
    MAX_ELEMENTS,
    build_on_meta,
    count_params,
    meta_input,
    real_input,
    to_meta,
)
from agents.ml.assembler.values import (
    Value,
    inputs_of,
    is_attention,
    is_needed_after,
    is_recurrent,
)
from agents.ml.errors import ConfigError, LayerError

MAX_PARAMS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class CompiledModel:
    """Source of a model class and what is known of it; shapes are without the batch."""

    source: str
    class_name: str
    input_shape: tuple[int, ...]
    input_dtype: str
    output_shape: tuple[int, ...]
    total_params: int


def compile_model(
    model_config: Mapping[str, Any],
    *,
    workspace: Path,
    output_script_path: str = "model.py",
    max_params: int = MAX_PARAMS,
) -> CompiledModel:
    """Compile a model config, whose syntax `config.py` gives, to the source of an nn.Module.

    Args:
        model_config: as in the requirements, with `input_shape` without the batch.
        workspace: where `module_path` of custom blocks starts; nothing outside is read.
        output_script_path: where the source will lie, in the workspace; blocks are found from it.
        max_params: budget, checked before any memory is taken.

    Raises:
        ConfigError: a key of the config.
        LayerError: a layer is unknown, does not fit its input, or takes the model past the budget.
        ModelScriptError: the file of a custom block.
        InexpressibleError: the config says something in words.
    """
    config = read_config(model_config)
    finder = BlockFinder(workspace, workspace / output_script_path, config.vocab_size)
    compiler = _Compiler(finder, max_params)
    start = Value("x", meta_input(config.input_shape, config.input_dtype), is_needed=True)
    end = compiler.stream(config.layers, start, "x")
    output_shape = _check_output(config, end.x)
    summary = (
        f"Maps {config.input_dtype} {show_shape(tuple(start.x.shape))} to "
        f"{show_shape((BATCH, *output_shape))} with {compiler.total_params:,} parameters."
    )
    return CompiledModel(
        source=module_source(
            config.model_name,
            summary=summary,
            description=config.description,
            blocks=finder.files,
            init=compiler.init,
            forward=compiler.forward,
        ),
        class_name=config.model_name,
        input_shape=config.input_shape,
        input_dtype=config.input_dtype,
        output_shape=output_shape,
        total_params=compiler.total_params,
    )


class _Compiler:
    """Collects the lines of `__init__` and `forward` while it steps through the config."""

    def __init__(self, finder: BlockFinder, max_params: int) -> None:
        self._finder = finder
        self._max_params = max_params
        self._numbers: Counter[str] = Counter()
        self._attributes: set[str] = set()
        self._named: dict[str, str] = {}  # by the user: where
        self._saved: dict[str, Value] = {}
        self.init: list[str] = []
        self.forward: list[str] = []
        self.total_params = 0

    def stream(self, entries: tuple[Entry, ...], value: Value, target: str) -> Value:
        """Write `entries` from `value` on; each of them assigns to `target`."""
        for entry in entries:
            value = self._entry(entry, value, target)
            if not 0 < value.x.numel() <= MAX_ELEMENTS:
                problem = "is past the largest allowed" if value.x.numel() else "holds no number"
                raise LayerError(
                    f"its output {show_shape(value.shape)} {problem}", where=entry.where
                )
            if entry.save_as:
                value = self._save(entry, value)
        return value

    def _entry(self, entry: Entry, value: Value, target: str) -> Value:
        match entry:
            case Residual():
                return self._residual(entry, value, target)
            case Branch():
                return self._branch(entry, value, target)
            case Merge():
                return self._merge(entry, value, target)
            case Layer():
                return self._layer(entry, value, target)

    def _residual(self, entry: Residual, value: Value, target: str) -> Value:
        value = replace(value, is_needed=True)
        body = self.stream(entry.body, value, self._number("residual"))
        shortcut = self.stream(entry.shortcut, value, target)
        return self._join(entry, "add", [shortcut, body], target)

    def _branch(self, entry: Branch, value: Value, target: str) -> Value:
        value = replace(value, is_needed=True)
        name = self._number("branch")
        ends = [
            self.stream(branch, value, f"{name}_{index}")
            for index, branch in enumerate(entry.branches, start=1)
        ]
        return self._join(entry, entry.merge, ends, target)

    def _merge(self, entry: Merge, value: Value, target: str) -> Value:
        for name in entry.sources:
            if name not in self._saved:
                hint = nearest(name, self._saved) or "; a layer before must save_as it"
                raise ConfigError(
                    f"nothing is saved as {name!r}{hint}", where=f"{entry.where}.from"
                )
        return self._join(
            entry, entry.how, [value, *(self._saved[name] for name in entry.sources)], target
        )

    def _join(
        self, entry: Residual | Branch | Merge, how: str, values: list[Value], target: str
    ) -> Value:
        names = [value.name for value in values]
        shapes = " and ".join(show_shape(value.shape) for value in values)
        dim = getattr(entry, "dim", 1)
        if how != "concat" and len({value.shape for value in values}) > 1:
            hint = (
                "; a shortcut of layers can make them equal" if isinstance(entry, Residual) else ""
            )
            raise LayerError(
                f"streams of shapes {shapes} cannot be joined by {how}{hint}", where=entry.where
            )
        if how == "concat":
            code = f"torch.cat(({', '.join(names)}), dim={dim})"
            try:
                joined = torch.cat([value.x for value in values], dim=dim)
            except (RuntimeError, IndexError) as error:
                raise LayerError(
                    f"streams of shapes {shapes} cannot be concatenated along dimension {dim}",
                    where=entry.where,
                ) from error
        else:
            code = {"add": " + ", "mul": " * "}[how].join(names)
            joined = values[0].x
        return self._assign(target, code, joined)

    def _save(self, entry: Entry, value: Value) -> Value:
        if entry.save_as in self._saved:
            raise ConfigError(
                f"{entry.save_as!r} is already saved by a layer before",
                where=f"{entry.where}.save_as",
            )
        kept = replace(value, name=f"kept_{entry.save_as}", is_needed=True)
        self.forward.append(f"{kept.name} = {value.name}")
        self._saved[entry.save_as] = kept
        return replace(value, is_needed=True)

    def _layer(self, layer: Layer, value: Value, target: str) -> Value:
        if layer.description:
            self.forward.append(comment(layer.description))
        if layer.module_path:
            return self._module(layer, value, target)
        if layer.type in OPERATIONS:
            return self._operation(layer, value, target)
        if layer.type == "PositionalEmbedding":
            return self._positions(layer, value, target)
        return self._module(layer, value, target)

    def _operation(self, layer: Layer, value: Value, target: str) -> Value:
        operation = OPERATIONS[layer.type]
        given = {k: tuple(v) if isinstance(v, list) else v for k, v in layer.params.items()}
        try:
            params = operation.complete(given)
            result = operation.run(value.x, **params)
        except Exception as error:
            raise misfit(layer, _first_line(error), given, value.shape) from error
        return self._assign(
            target,
            operation.code.format(x=value.name, **params),
            result,
            is_needed=is_needed_after(layer, value),
        )

    def _positions(self, layer: Layer, value: Value, target: str) -> Value:
        if len(value.shape) != 3 or layer.params:  # noqa: PLR2004  (batch, time, width)
            raise misfit(
                layer,
                "needs (batch, time, width) and takes no parameter",
                layer.params,
                value.shape,
            )
        _, length, width = value.shape
        name = self._attribute(layer)
        self._spend(layer, length * width)
        self.init.append(f"self.{name} = nn.Parameter(0.02 * torch.randn(1, {length}, {width}))")
        return self._assign(
            target, f"{value.name} + self.{name}[:, : {value.name}.shape[1]]", value.x
        )

    def _module(self, layer: Layer, value: Value, target: str) -> Value:
        if layer.params.get("inplace") is True and value.is_needed:
            layer = replace(layer, params=layer.params | {"inplace": False})
            self.init.append("# Not in place: the values it would overwrite are still needed.")
        block = self._finder.find(layer, value.shape)
        result = self._step(layer, block, value)
        name = self._attribute(layer)
        self.init.append(block.expression(prefix=f"self.{name} = "))
        inputs = ", ".join([value.name] * inputs_of(layer))
        options = ", need_weights=False" if is_attention(layer) else ""
        code, x = self._pick_output(layer, f"self.{name}({inputs}{options})", result, value)
        return self._assign(target, code, x, is_needed=is_needed_after(layer, value))

    def _step(self, layer: Layer, block: Block, value: Value) -> Any:
        """Build and run one block; one of the user's own that cannot run on meta runs for real."""
        try:
            module = build_on_meta(block.build)
        except Exception as error:
            if not layer.module_path:
                raise misfit(layer, _first_line(error), block.values, value.shape) from error
            return self._step_for_real(layer, block, value)
        self._spend(layer, self._count(layer, module))
        try:
            return _called(module, layer, value, value.x)
        except LayerError:
            raise
        except Exception as error:
            if not layer.module_path:
                problem = contradiction(block.values, value.shape) or _first_line(error)
                raise misfit(layer, problem, block.values, value.shape) from error
            return self._step_for_real(layer, block, value, is_paid=True)

    def _step_for_real(
        self, layer: Layer, block: Block, value: Value, *, is_paid: bool = False
    ) -> Any:
        try:
            module = block.build()
            if not is_paid:
                self._spend(layer, self._count(layer, module))
            return to_meta(_called(module, layer, value, real_input(value.x)))
        except LayerError:
            raise
        except Exception as error:
            raise misfit(layer, _first_line(error), block.values, value.shape) from error

    def _count(self, layer: Layer, module: nn.Module) -> int:
        try:
            return count_params(module)
        except LayerError as error:
            raise LayerError(str(error), where=layer.where) from error

    def _pick_output(
        self, layer: Layer, call: str, result: Any, value: Value
    ) -> tuple[str, Tensor]:
        """Choose the one tensor that goes on, and write how it is had."""
        if is_attention(layer) or is_recurrent(layer):
            call, result = f"{call}[0]", result[0]
        if isinstance(layer.output, int):
            if not isinstance(result, tuple | list) or not -len(result) <= layer.output < len(
                result
            ):
                problem = f"has no output {layer.output}"
                raise misfit(layer, problem, layer.params, value.shape)
            call, result = f"{call}[{layer.output}]", result[layer.output]
        if not isinstance(result, Tensor):
            count = f"{len(result)} values" if isinstance(result, tuple | list) else "no tensor"
            problem = f'returns {count}; say which goes on with "output": 0'
            raise misfit(layer, problem, layer.params, value.shape)
        if layer.output == "last":
            return self._last(layer, call, result, value)
        return call, result

    def _last(self, layer: Layer, call: str, sequence: Tensor, value: Value) -> tuple[str, Tensor]:
        """Take the last time step; of a bidirectional layer, the last of each direction."""
        if sequence.dim() != 3:  # noqa: PLR2004  (batch, time, width)
            raise misfit(layer, 'has no "last": no time steps', layer.params, value.shape)
        if not (is_recurrent(layer) and layer.params.get("bidirectional")):
            return f"{call}[:, -1]", sequence[:, -1]
        half = sequence.shape[2] // 2
        self.forward.append(f"steps = {call}")
        code = f"torch.cat((steps[:, -1, :{half}], steps[:, 0, {half}:]), dim=1)"
        return code, sequence[:, -1]

    def _assign(self, target: str, code: str, x: Tensor, *, is_needed: bool = False) -> Value:
        value = Value(target, x, is_needed)
        statement, shape = f"{target} = {code}", comment(show_shape(value.shape))
        fits = len(statement) + len(shape) + 10 <= LINE_CHARS
        self.forward.extend([f"{statement}  {shape}"] if fits else [shape, statement])
        return value

    def _spend(self, layer: Layer, params: int) -> None:
        self.total_params += params
        if self.total_params > self._max_params:
            raise LayerError(
                f"{layer.type} takes the model to {self.total_params:,} parameters; "
                f"the budget is {self._max_params:,}",
                where=layer.where,
            )

    def _attribute(self, layer: Layer) -> str:
        if layer.name and hasattr(nn.Module, layer.name):
            raise ConfigError(
                f"{layer.name!r} is a name nn.Module uses itself", where=f"{layer.where}.name"
            )
        if layer.name and self._named.setdefault(layer.name, layer.where) != layer.where:
            raise ConfigError(
                f"{layer.name!r} is the name of {self._named[layer.name]}, and no two layers share "
                "weights; give it another",
                where=f"{layer.where}.name",
            )
        name = layer.name or self._number(_snake(layer.type))
        while name in self._attributes:  # the same name again, as in a Repeat
            name = self._number(layer.name or _snake(layer.type))
        self._attributes.add(name)
        return name

    def _number(self, name: str) -> str:
        self._numbers[name] += 1
        return f"{name}_{self._numbers[name]}"


def _called(module: nn.Module, layer: Layer, value: Value, x: Tensor) -> Any:
    """What `module` gives for `x`, which stands for `value`.

    Raises:
        MisfitError: it writes into what others still read, none of which would say so.
    """
    before = x._version  # noqa: SLF001  torch has no other name for it
    with torch.no_grad():
        result = module(*[x] * inputs_of(layer))
    if value.is_needed and x._version != before:  # noqa: SLF001
        problem = "it changes its input in place, which is read elsewhere, too; let it make a copy"
        raise misfit(layer, problem, layer.params, value.shape)
    return result


def _check_output(config: ModelConfig, x: Tensor) -> tuple[int, ...]:
    shape = tuple(x.shape)
    if not shape or shape[0] != BATCH:
        raise LayerError(f"the model's output {tuple(shape)} has lost the batch", where="layers")
    if config.output_shape is not None and shape[1:] != config.output_shape:
        claimed = show_shape((BATCH, *config.output_shape))
        raise ConfigError(
            f"asks for {claimed}, but the layers give {show_shape(shape)}", where="output_shape"
        )
    return shape[1:]


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z][a-z])", "_", name).lower()


def _first_line(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:400]}" if text else type(error).__name__
