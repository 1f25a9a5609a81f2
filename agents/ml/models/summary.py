"""Sizes and costs of a model, layer by layer, from one run without memory or arithmetic.

The model is built and run on the meta device under PyTorch's own FLOP counter, which sees every
matrix product and convolution a layer is made of, inside LSTM, GRU and attention too. Elementwise
work is not counted: FLOPs here are those of matrix products and convolutions, 2 per MAC. A model
that looks at values is run on the CPU instead, where fused kernels are switched off because the
counter cannot look into them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from agents.ml.errors import ConfigError, MLError, ModelScriptError
from agents.ml.models.recorder import Recorder, run
from agents.ml.models.script import load_model_class
from agents.ml.models.table import rows_of, table
from agents.ml.reporting import Report

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
        ConfigError: `input_size` or `input_dtype` is not valid.
        ModelScriptError: the file, the class, its construction or its forward.
    """
    size = _checked_size(input_size)
    dtypes = _checked_dtypes(input_dtype)
    kind = load_model_class(model_script_path, model_class_name, workspace=workspace)
    return summarize(kind, size, dtypes, where=model_script_path)


def summarise(payload: dict[str, Any], _report: Report) -> dict[str, Any]:
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
            recorder = run(model, x)
        except Exception as error:  # noqa: BLE001  the next dtype may do
            problems.append(error)
        else:
            return _summary(model, recorder, input_size, dtype, device)
    raise problems[0]


def _dtypes_of(model: nn.Module) -> tuple[str, ...]:
    """What to try as input: numbers, tokens, and what the parameters are."""
    own = (str(parameter.dtype).removeprefix("torch.") for parameter in model.parameters())
    return tuple(dict.fromkeys([*DTYPES, *own]))


def _summary(
    model: nn.Module, recorder: Recorder, input_size: tuple[int, ...], dtype: str, device: str
) -> dict[str, Any]:
    details = rows_of(recorder)
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
    return {"summary_str": table(type(model).__name__, summary), **summary}


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
