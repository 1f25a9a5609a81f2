"""Both ends of asking a language model for an optimizer, as jobs for child processes."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agents.ml.errors import ConfigError, ModelScriptError
from agents.ml.models.source_check import parse_source
from agents.ml.optimizers.registry import OptimizerRegistry
from agents.ml.training.progress import Channel
from agents.ml.update_rules.request import CustomOptimizer, check_class_name
from agents.ml.update_rules.rule import read_rule, rule_schema
from agents.ml.update_rules.source import write_source
from agents.research import training_jobs
from agents.research.writing.answers import read_code, read_json


def read_request(payload: dict[str, Any], _channel: Channel) -> dict[str, Any]:
    """What is asked for, before a language model is.

    Payload: `name`, `details`, `output_script_path`, `optimizers`. Result: `arguments` of the
    constructor by name, and the `schema` of the rules for it or None.

    Raises:
        ConfigError: name, details or path are wrong.
    """
    check_class_name(payload["name"])
    OptimizerRegistry(Path(payload["optimizers"])).check_name(payload["name"])
    path = Path(payload["output_script_path"])
    if path.suffix != ".py" or path.is_dir():
        text = f"{str(path)!r} is no name for a .py file"
        raise ConfigError(text, where="output_script_path")
    asked = CustomOptimizer.read(payload["details"])
    return {"arguments": asked.arguments, "schema": rule_schema(asked)}


def check_answer(payload: dict[str, Any], channel: Channel) -> dict[str, Any]:
    """Make source of the `answer`, a rule or code as `wrote` says, and register it if it works.

    Payload besides: as for `read_request`. Result: as `training_jobs.register_optimizer`.

    Raises:
        MLError: the answer holds no optimizer, or it did not pass; nothing is written.
    """
    name, asked = payload["name"], CustomOptimizer.read(payload["details"])
    channel({"step": "checking"})
    if payload["wrote"] == "code":
        code = read_code(payload["answer"])
    else:
        code = write_source(name, asked, *read_rule(read_json(payload["answer"]), asked))
    where = Path(payload["output_script_path"]).name
    _check_arguments(parse_source(code, name, where), asked.additional_params, where)
    places = {key: payload[key] for key in ("name", "output_script_path", "optimizers")}
    done = training_jobs.register_optimizer({**places, "code": code}, channel)
    return {**done, "checks": ["parsed", "names defined", "arguments", *done["checks"]]}


def _check_arguments(kind: ast.ClassDef, asked: Mapping[str, Any], where: str) -> None:
    """Refuse a constructor without the arguments that were asked for."""
    defaults = _defaults(kind)
    for name, value in asked.items():
        if name not in defaults or defaults[name] != value:
            text = f"{kind.name}'s constructor must have the argument {name}={value!r}"
            raise ModelScriptError(text, where=where)


def _defaults(kind: ast.ClassDef) -> dict[str, Any]:
    """The arguments of the constructor that have defaults, as JSON has them."""
    functions = (node for node in kind.body if isinstance(node, ast.FunctionDef))
    init = next((node for node in functions if node.name == "__init__"), None)
    if init is None:
        return {}
    given = [*init.args.posonlyargs, *init.args.args]
    with_default = given[len(given) - len(init.args.defaults) :]
    pairs = [
        *zip(with_default, init.args.defaults, strict=True),
        *zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True),
    ]
    return {argument.arg: _value(default) for argument, default in pairs if default is not None}


def _value(default: ast.expr) -> Any:
    try:
        value = ast.literal_eval(default)
    except ValueError:
        return ast.unparse(default)
    return list(value) if isinstance(value, tuple) else value
