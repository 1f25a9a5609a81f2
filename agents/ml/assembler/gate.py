"""What every model file must pass before it gets its name.

The gate imports the file and runs the model: call it in a job's child process.
"""

import inspect
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from agents.ml.assembler.compiler import MAX_PARAMS
from agents.ml.assembler.errors import show_shape
from agents.ml.assembler.stepping import (
    BATCH,
    build_on_meta,
    count_params,
    meta_input,
    real_input,
)
from agents.ml.errors import LayerError, ModelScriptError
from agents.ml.models.script import find_class, load_module
from agents.ml.models.source_check import parse_source

# A second batch size finds what the first cannot: a size written down, or a dimension mistaken.
OTHER_BATCH = 3

_STALE_S = 600.0  # left by a process that died while it checked


@dataclass(frozen=True, slots=True)
class CheckedModel:
    """What is true of a file that passed; shapes are without the batch.

    Attributes:
        checks: what was done, in order, in words.
    """

    class_name: str
    input_shape: tuple[int, ...]
    output_shape: tuple[int, ...]
    total_params: int
    checks: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """What a model must be; None where nothing is claimed."""

    class_name: str
    input_shape: tuple[int, ...]
    input_dtype: str = "float32"
    output_shape: tuple[int, ...] | None = None
    total_params: int | None = None
    max_params: int = MAX_PARAMS


def check_model_source(source: str, claims: Claims, *, script: Path) -> CheckedModel:
    """Let `source`, meant to lie at `script`, through the gate; nothing is left behind.

    It is parsed, imported from the folder of `script`, built and run forward and backward on the
    meta device, or on the CPU where meta does not do, and held against `claims`.

    Raises:
        ModelScriptError: it did not pass; says what to change.
    """
    with _candidate(source, claims.class_name, script) as file:
        return _check_file(file, claims, shown_as=script.name)


def install_model_source(source: str, claims: Claims, *, script: Path) -> CheckedModel:
    """Check as `check_model_source` does, then put the very file that passed at `script`.

    Raises:
        ModelScriptError: it did not pass; `script` is as it was.
    """
    with _candidate(source, claims.class_name, script) as file:
        checked = _check_file(file, claims, shown_as=script.name)
        file.replace(script)
    return checked


@contextmanager
def _candidate(source: str, class_name: str, script: Path) -> Iterator[Path]:
    """Write the source beside its place, where its relative paths hold, for as long as needed."""
    parse_source(source, class_name, script.name)
    file = script.with_name(f".{script.stem}.{os.getpid()}.candidate.py")
    try:
        _write(source, file, script)
        yield file
    finally:
        with suppress(OSError):  # with a name that is too long there is none
            file.unlink(missing_ok=True)


def _write(source: str, file: Path, script: Path) -> None:
    try:
        script.parent.mkdir(parents=True, exist_ok=True)
        _remove_stale(script)
        with file.open("w", encoding="utf-8") as out:
            out.write(source)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise ModelScriptError(
            f"cannot be written: {error.strerror}; nothing of it is left", where=script.name
        ) from error


def _remove_stale(script: Path) -> None:
    for old in script.parent.glob(f".{script.stem}.*.candidate.py"):
        with suppress(FileNotFoundError):
            if time.time() - old.stat().st_mtime > _STALE_S:
                old.unlink()


def _check_file(file: Path, claims: Claims, *, shown_as: str) -> CheckedModel:
    module = load_module(file, shown_as=shown_as)
    kind = find_class(module, claims.class_name, where=shown_as)
    _require_no_arguments(kind, shown_as)
    model, output, device = _run(kind, claims, shown_as)
    params = count_params(model)
    _check_claims(claims, output, params, shown_as)
    _run_backward(model, output, shown_as)
    return CheckedModel(
        class_name=claims.class_name,
        input_shape=claims.input_shape,
        output_shape=tuple(output.shape[1:]),
        total_params=params,
        checks=(
            "parsed",
            "names defined",
            "imported",
            f"forward with batches of {BATCH} and {OTHER_BATCH} on {device}",
            "output shape",
            "parameter count",
            f"backward on {device}",
        ),
    )


def _require_no_arguments(kind: type[nn.Module], where: str) -> None:
    needed = [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.default is parameter.empty
        and parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    if needed:
        raise ModelScriptError(
            f"{kind.__name__}() must need no arguments; it asks for {', '.join(needed)}",
            where=where,
        )


def _run(kind: type[nn.Module], claims: Claims, where: str) -> tuple[nn.Module, Tensor, str]:
    """Build and run the model on meta, or on the CPU when it looks at values."""
    x = meta_input(claims.input_shape, claims.input_dtype)
    return _run_on_meta(kind, x, claims, where) or _run_on_cpu(kind, x, claims, where)


def _run_on_meta(
    kind: type[nn.Module], x: Tensor, claims: Claims, where: str
) -> tuple[nn.Module, Tensor, str] | None:
    try:
        model = build_on_meta(kind)
        _check_budget(model, claims, where)
        return model, _forward(model, x, where), "the meta device"
    except ModelScriptError:
        raise
    except Exception:  # noqa: BLE001  the run on the CPU works, or says better what is wrong
        return None


def _run_on_cpu(
    kind: type[nn.Module], x: Tensor, claims: Claims, where: str
) -> tuple[nn.Module, Tensor, str]:
    step = "construction"
    try:
        model = kind()
        _check_budget(model, claims, where)
        step = "forward"
        return model, _forward(model, real_input(x), where), "the CPU"
    except ModelScriptError:
        raise
    except Exception as error:
        raise ModelScriptError(
            f"{step} with {claims.input_dtype} input {show_shape(tuple(x.shape))} raised "
            f"{type(error).__name__}: {str(error)[:800]}",
            where=where,
        ) from error


def _check_budget(model: nn.Module, claims: Claims, where: str) -> None:
    try:
        params = count_params(model)
    except LayerError as error:
        raise ModelScriptError(str(error), where=where) from error
    if params > claims.max_params:
        raise ModelScriptError(
            f"has {params:,} parameters; the budget is {claims.max_params:,}", where=where
        )


def _forward(model: nn.Module, x: Tensor, where: str) -> Tensor:
    """Run two batch sizes; return the output of the first."""
    other = model(x[:1].expand(OTHER_BATCH, *x.shape[1:]).contiguous())
    output = model(x)
    for value, batch in ((other, OTHER_BATCH), (output, BATCH)):
        if not isinstance(value, Tensor):
            raise ModelScriptError(
                f"forward must return one tensor, not {type(value).__name__}", where=where
            )
        if value.dim() == 0 or value.shape[0] != batch:
            raise ModelScriptError(
                f"the output {tuple(value.shape)} has lost the batch of {batch}", where=where
            )
    assert isinstance(output, Tensor)
    return output


def _check_claims(claims: Claims, output: Tensor, params: int, where: str) -> None:
    shape = tuple(output.shape)
    if claims.output_shape is not None and shape[1:] != claims.output_shape:
        wanted = show_shape((BATCH, *claims.output_shape))
        raise ModelScriptError(
            f"the output is {show_shape(shape)} and should be {wanted}", where=where
        )
    if claims.total_params is not None and params != claims.total_params:
        raise ModelScriptError(
            f"has {params:,} parameters and should have {claims.total_params:,}", where=where
        )


def _run_backward(model: nn.Module, output: Tensor, where: str) -> None:
    """Find what would only break in training: a value changed in place, a graph cut off."""
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return
    if not output.requires_grad:
        raise ModelScriptError(
            "the output does not depend on the parameters by a gradient", where=where
        )
    try:
        torch.autograd.backward(output.sum())
    except Exception as error:
        raise ModelScriptError(
            f"backward raised {type(error).__name__}: {str(error)[:800]}", where=where
        ) from error
