"""Sizes and costs of a model, layer by layer, from one run without memory or arithmetic.

The model is built and run on the meta device under PyTorch's own FLOP counter, which sees every
matrix product and convolution a layer is made of, inside LSTM, GRU and attention too. Elementwise
work is not counted: FLOPs here are those of matrix products and convolutions, 2 per MAC. A model
that looks at values is run on the CPU instead, where fused kernels are switched off because the
counter cannot look into them.
"""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.nn.parameter import is_lazy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten
from torch.utils.flop_counter import FlopCounterMode

from agents.ml.errors import ConfigError, MLError, ModelScriptError
from agents.ml.models.flops import UNCOUNTED
from agents.ml.models.script import load_model_class

DTYPES = ("float32", "int64")
_MAX_RANK = 9
_MAX_SIZE = 10**12
_ERROR_CHARS = 800


def pytorch_model_summary(
    model_script_path: str,
    model_class_name: str,
    input_size: tuple[int, ...],
    *,
    workspace: Path | None = None,
    input_dtype: str | None = None,
) -> dict[str, Any]:
    """Summarise a model class of a script, which is imported: call this in a child process.

    Args:
        model_script_path: the file, relative to `workspace` when there is one.
        model_class_name: an nn.Module whose constructor needs no arguments.
        input_size: shape of the input, the batch first.
        workspace: nothing outside it is read.
        input_dtype: "float32" or "int64"; by default whichever the model takes, float32 first, or
            that of its parameters.

    Returns:
        `summary_str` a table for people; `total_params`, `trainable_params` (shared weights once);
        `flops` and `macs` of one forward; `layer_details` in order of their first call, each with
        `name`, `type`, `output_shape` (None if never called), `params`, `trainable_params`,
        `trainable`, `macs`, `calls`, `shares_with`; `unused_modules`; `input_dtype`; `device`
        ("meta" or "cpu").

    Raises:
        ConfigError: `input_size` or `input_dtype` is none.
        ModelScriptError: the file, the class, its construction or its forward.
    """
    size = _checked_size(input_size)
    dtypes = _checked_dtypes(input_dtype)
    kind = load_model_class(model_script_path, model_class_name, workspace=workspace)
    return summarize(kind, size, dtypes, where=model_script_path)


def summarise(payload: dict[str, Any], report: Callable[[dict[str, Any]], None]) -> dict[str, Any]:  # noqa: ARG001  one signature for all jobs
    """Run `pytorch_model_summary` as a job: its parameters in, its dictionary out."""
    return pytorch_model_summary(
        payload["model_script_path"],
        payload["model_class_name"],
        payload["input_size"],
        workspace=Path(payload.get("workspace") or Path.cwd()),
        input_dtype=payload.get("input_dtype"),
    )


def summarize(
    build: Callable[[], nn.Module],
    input_size: tuple[int, ...],
    dtypes: tuple[str, ...] = (),
    *,
    where: str = "model",
) -> dict[str, Any]:
    """Build a model and summarise it; see `pytorch_model_summary`.

    Raises:
        ModelScriptError: it cannot be built, or its forward takes none of `dtypes`.
    """
    problems: dict[str, Exception] = {}
    for device in ("meta", "cpu"):
        try:
            with torch.compiler.set_stance("force_eager"):
                return _summary_on(device, build, input_size, dtypes)
        except MLError:
            raise
        except Exception as error:  # noqa: BLE001  the next device may do
            problems[device] = error
    # The CPU's words are about the model; those of meta may be about meta.
    problem = problems["meta" if _is_of_memory(problems["cpu"]) else "cpu"]
    raise ModelScriptError(
        f"cannot run on input {tuple(input_size)}: {type(problem).__name__}: "
        f"{str(problem)[:_ERROR_CHARS]}",
        where=where,
    ) from problem


def _summary_on(
    device: str,
    build: Callable[[], nn.Module],
    input_size: tuple[int, ...],
    dtypes: tuple[str, ...],
) -> dict[str, Any]:
    """Summarise by the first dtype that the model takes; else raise what it said to the first."""
    with torch.device(device):
        model = build().eval()
    problems: list[Exception] = []
    for dtype in dtypes or _dtypes_of(model):
        try:
            x = torch.zeros(input_size, dtype=getattr(torch, dtype), device=device)
            recorder = _run(model, x)
        except Exception as error:  # noqa: BLE001  the next dtype may do
            problems.append(error)
        else:
            return _summary(model, recorder, input_size, dtype, device)
    raise problems[0]


def _dtypes_of(model: nn.Module) -> tuple[str, ...]:
    """What to try as input: numbers, tokens, and what the parameters are."""
    own = (str(parameter.dtype).removeprefix("torch.") for parameter in model.parameters())
    return tuple(dict.fromkeys([*DTYPES, *own]))


@dataclass(slots=True)
class _Layer:
    """What was seen of one module."""

    name: str
    module: nn.Module
    output_shape: list[int] | None = None
    flops: int = 0
    calls: int = 0


@dataclass(slots=True)
class _Recorder:
    """Watches the calls of modules; FLOPs go to the innermost one that is running."""

    counter: FlopCounterMode
    layers: dict[nn.Module, _Layer]
    used: set[int] = field(default_factory=set)
    order: list[_Layer] = field(default_factory=list)
    _open: list[list[int]] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """See all calls: hooks of its own a module out of `torch.jit` does not take."""
        before = register_module_forward_pre_hook(self._enter)
        after = register_module_forward_hook(self._leave, always_call=True)  # one that raises, too
        try:
            with warnings.catch_warnings():
                # A compiled module is seen twice, once as what it wraps: nothing is counted twice.
                warnings.filterwarnings("ignore", "Using `torch.compile", UserWarning)
                yield
        finally:
            before.remove()
            after.remove()

    def _enter(self, module: nn.Module, inputs: Any) -> None:  # noqa: ARG002  torch's signature
        layer = self.layers.get(module)
        if layer is None:
            return
        if layer.calls == 0:
            self.order.append(layer)
        layer.calls += 1
        self._open.append([self.counter.get_total_flops(), 0])

    def _leave(self, module: nn.Module, inputs: Any, output: Any) -> None:  # noqa: ARG002  torch's signature
        layer = self.layers.get(module)
        if layer is None:
            return
        started, of_children = self._open.pop()
        taken = self.counter.get_total_flops() - started
        layer.flops += taken - of_children
        layer.output_shape = layer.output_shape or _shape_of(output)
        if self._open:
            self._open[-1][1] += taken


_aten = torch.ops.aten
_PRODUCTS = {
    *(_aten.mm, _aten.addmm, _aten.bmm, _aten.baddbmm, _aten.addbmm, _aten.mv, _aten.addmv),
    *(_aten.dot, _aten.vdot, _aten.convolution),
}
# Attention uses its projection without calling it; what is within a compiled one is not seen.
_WHOLE = (nn.MultiheadAttention, torch.jit.ScriptModule)


def _modules(model: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    """Name every module, those that are one with what they hold without that."""
    inside: set[nn.Module] = set()
    for name, module in model.named_modules():
        if isinstance(module, _WHOLE):
            inside.update(child for child in module.modules() if child is not module)
        if module not in inside:
            yield name, module


class _Everywhere:
    """In place of torch's tracker of modules, which forbids gradients within a forward."""

    parents = ("Global",)

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None: ...


class _Counter(FlopCounterMode):
    """Counts the FLOPs of all modules together."""

    def __init__(self) -> None:
        super().__init__(display=False, custom_mapping=UNCOUNTED)
        self.mod_tracker = _Everywhere()  # type: ignore[assignment]  # of which it needs no more


class _Arithmetic(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch's
    """Notes which parameters and buffers it takes, a module's own or another's.

    Products of different dtypes are refused: so they are but on the meta device.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self._known = set(map(id, chain(model.parameters(), model.buffers())))
        self.seen: set[int] = set()

    def __torch_dispatch__(  # torch's name and signature
        self, func: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        leaves, _ = tree_flatten((args, kwargs))
        self.seen.update(self._known.intersection(map(id, leaves)))
        if getattr(func, "overloadpacket", None) in _PRODUCTS:
            kinds = {str(leaf.dtype) for leaf in leaves if isinstance(leaf, Tensor)}
            if len(kinds) > 1:
                raise TypeError(f"a product of {' and '.join(sorted(kinds))}")
        return func(*args, **kwargs)


def _run(model: nn.Module, x: Tensor) -> _Recorder:
    counter = _Counter()
    layers = {module: _Layer(name, module) for name, module in _modules(model)}
    recorder = _Recorder(counter, layers)
    arithmetic = _Arithmetic(model)
    with recorder.watching(), _nothing_fused(), torch.no_grad(), counter, arithmetic:
        model(x)
    recorder.used = arithmetic.seen
    return recorder


@contextmanager
def _nothing_fused() -> Iterator[None]:
    """Have attention and recurrent layers computed by the products the counter knows."""
    was_fast = torch.backends.mha.get_fastpath_enabled()
    mkldnn: Any = torch.backends.mkldnn  # checkers misread its properties
    was_enabled = mkldnn.enabled
    torch.backends.mha.set_fastpath_enabled(False)
    mkldnn.enabled = False
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)
        mkldnn.enabled = was_enabled


def _summary(
    model: nn.Module, recorder: _Recorder, input_size: tuple[int, ...], dtype: str, device: str
) -> dict[str, Any]:
    details = _details(recorder)
    flops = recorder.counter.get_total_flops()
    unused = [row["name"] for row in details if row["calls"] == 0 and not row["used"]]
    for row in details:
        del row["used"]
    summary = {
        "total_params": sum(row["params"] for row in details),
        "trainable_params": sum(row["trainable_params"] for row in details),
        "flops": flops,
        "macs": flops // 2,
        "layer_details": details,
        "unused_modules": unused,
        "input_size": list(input_size),
        "input_dtype": dtype,
        "device": device,
    }
    return {"summary_str": _table(type(model).__name__, summary), **summary}


def _details(recorder: _Recorder) -> list[dict[str, Any]]:
    """One row for each module that has parameters, arithmetic or no children."""
    never = [layer for layer in recorder.layers.values() if layer.calls == 0]
    owners: dict[nn.Parameter, str] = {}
    rows = []
    for layer in [*recorder.order, *never]:
        row = _row(layer, owners, recorder.used)
        is_container = any(child in recorder.layers for child in layer.module.children())
        if not is_container or row["params"] or row["macs"] or row["shares_with"]:
            rows.append(row)
    return rows


def _row(layer: _Layer, owners: dict[nn.Parameter, str], used: set[int]) -> dict[str, Any]:
    whole = isinstance(layer.module, _WHOLE)
    params = trainable = 0
    shares_with: list[str] = []
    for name, parameter in layer.module.named_parameters(recurse=whole):
        if parameter in owners:
            shares_with.append(owners[parameter])
            continue
        owners[parameter] = f"{layer.name}.{name}".removeprefix(".")
        size = 0 if is_lazy(parameter) else parameter.numel()  # one that was never called has none
        params += size
        trainable += size if parameter.requires_grad else 0
    return {
        "name": layer.name or "(model)",
        "type": type(layer.module).__name__,
        "output_shape": layer.output_shape,
        "params": params,
        "trainable_params": trainable,
        "trainable": trainable > 0,
        "macs": layer.flops // 2,
        "calls": layer.calls,
        "shares_with": shares_with,
        "used": any(id(tensor) in used for tensor in _held_by(layer.module, whole=whole)),
    }


def _held_by(module: nn.Module, *, whole: bool) -> Iterator[Tensor]:
    yield from module.parameters(recurse=whole)
    yield from module.buffers(recurse=whole)


def _table(model_name: str, summary: dict[str, Any]) -> str:
    cells = [("layer", "type", "output shape", "params", "MACs")]
    for row in summary["layer_details"]:
        shape = str(tuple(row["output_shape"])) if row["output_shape"] is not None else "-"
        params = f"{row['params']:,}" + ("*" if row["shares_with"] else "")
        cells.append((row["name"], row["type"], shape, params, f"{row['macs']:,}"))
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if column > 2 else cell.ljust(width)  # noqa: PLR2004  numbers last
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in cells
    ]
    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    title = f"{model_name} on {summary['input_dtype']} {tuple(summary['input_size'])}"
    return "\n".join([title, rule, lines[0], rule, *lines[1:], rule, *_totals(summary)])


def _totals(summary: dict[str, Any]) -> list[str]:
    lines = [
        f"parameters  {summary['total_params']:,} ({summary['trainable_params']:,} trainable)",
        f"forward     {summary['flops']:,} FLOPs ({summary['macs']:,} MACs)",
    ]
    if any(row["shares_with"] for row in summary["layer_details"]):
        lines.append("*           shares weights with a layer above, counted there")
    if summary["unused_modules"]:
        lines.append(f"never used  {', '.join(summary['unused_modules'])}")
    return lines


def _shape_of(output: Any) -> list[int] | None:
    """Shape of the first tensor in what a module returned."""
    if isinstance(output, Tensor):
        return list(output.shape)
    if isinstance(output, dict):
        output = list(output.values())
    elif is_dataclass(output) and not isinstance(output, type):
        output = [getattr(output, part.name) for part in fields(output)]
    if isinstance(output, list | tuple):
        shapes = (_shape_of(item) for item in output)
        return next((shape for shape in shapes if shape is not None), None)
    return None


def _is_of_memory(error: Exception) -> bool:
    """Whether an input was too large to be tried for real: what meta says is nearer the model."""
    return isinstance(error, MemoryError) or "allocate memory" in str(error)


def _checked_size(size: Any) -> tuple[int, ...]:
    if not isinstance(size, list | tuple) or not 0 < len(size) <= _MAX_RANK:
        raise ConfigError(f"must be 1 to {_MAX_RANK} sizes, the batch first", where="input_size")
    for length in size:
        if isinstance(length, bool) or not isinstance(length, int) or not 1 <= length <= _MAX_SIZE:
            raise ConfigError(
                f"{length!r:.40} is no size; sizes are integers from 1 to {_MAX_SIZE:,}",
                where="input_size",
            )
    return tuple(size)


def _checked_dtypes(dtype: Any) -> tuple[str, ...]:
    if dtype is None:
        return ()
    if dtype not in DTYPES:
        raise ConfigError(f"must be one of {', '.join(DTYPES)}, not {dtype!r}", where="input_dtype")
    return (dtype,)
