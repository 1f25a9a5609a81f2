"""The assembler as jobs for a child process (see `agents.sandbox`): JSON in, JSON out."""

import os
from pathlib import Path
from typing import Any

from agents.ml.assembler.compiler import MAX_PARAMS, compile_model
from agents.ml.assembler.config import read_claims
from agents.ml.assembler.gate import CheckedModel, Claims, install_model_source
from agents.ml.errors import ConfigError
from agents.ml.reporting import Report


def assemble(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Compile `model_config`, let the source through the gate, write it to `output_script_path`.

    Payload: `model_config`, `output_script_path`; `workspace` (default: the working directory) and
    `max_params`. Result: `path`, `class_name`, `input_shape`, `input_dtype`, `output_shape`,
    `total_params`, `source`, `checks`; shapes are without the batch.

    Raises:
        MLError: as `compile_model` and the gate; nothing is written.
    """
    workspace, script, max_params = _places(payload)
    report({"step": "compiling"})
    compiled = compile_model(
        payload["model_config"],
        workspace=workspace,
        output_script_path=str(script.relative_to(workspace)),
        max_params=max_params,
    )
    claims = Claims(
        class_name=compiled.class_name,
        input_shape=compiled.input_shape,
        input_dtype=compiled.input_dtype,
        output_shape=compiled.output_shape,
        total_params=compiled.total_params,
        max_params=max_params,
    )
    return _install(compiled.source, claims, workspace, script, report)


def check(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Let `source`, written by hand or by a model, through the same gate and write it.

    Payload and result as for `assemble`, with `source` beside `model_config`.

    Raises:
        MLError: as the gate, or the config lacks name or shapes; nothing is written.
    """
    workspace, script, max_params = _places(payload)
    name, input_shape, input_dtype, output_shape = read_claims(payload["model_config"])
    claims = Claims(
        class_name=name,
        input_shape=input_shape,
        input_dtype=input_dtype,
        output_shape=output_shape,
        max_params=max_params,
    )
    return _install(payload["source"], claims, workspace, script, report)


def _places(payload: dict[str, Any]) -> tuple[Path, Path, int]:
    workspace = Path(payload.get("workspace") or Path.cwd()).resolve()
    asked = payload["output_script_path"]
    script = (workspace / asked).resolve()
    if not script.is_relative_to(workspace):
        raise ConfigError(f"{asked!r} lies outside the workspace", where="output_script_path")
    if script.suffix != ".py" or os.path.isdir(script):  # noqa: PTH112  a name may be too long
        raise ConfigError(f"{asked!r} is no name for a .py file", where="output_script_path")
    return workspace, script, int(payload.get("max_params") or MAX_PARAMS)


def _install(
    source: str, claims: Claims, workspace: Path, script: Path, report: Report
) -> dict[str, Any]:
    report({"step": "checking"})
    checked: CheckedModel = install_model_source(source, claims, script=script)
    return {
        "path": script.relative_to(workspace).as_posix(),
        "class_name": checked.class_name,
        "input_shape": list(checked.input_shape),
        "input_dtype": claims.input_dtype,
        "output_shape": list(checked.output_shape),
        "total_params": checked.total_params,
        "source": source,
        "checks": list(checked.checks),
    }
