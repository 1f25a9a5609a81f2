"""What was seen of a model's modules as rows, and as a table for people."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from agents.ml.models.packed import is_packed, packed_weights
from agents.ml.models.recorder import Layer, Recorder, is_whole


def rows_of(recorder: Recorder) -> list[dict[str, Any]]:
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


def _row(layer: Layer, owners: dict[nn.Parameter, str], used: set[int]) -> dict[str, Any]:
    whole = is_whole(layer.module)
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
    if is_packed(layer.module):
        params += sum(tensor.numel() for tensor in packed_weights(layer.module))
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


def table(model_name: str, summary: dict[str, Any]) -> str:
    """The rows of a summary with their totals, one below the other."""
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
