"""Asking a language model for a model: what it is told, and what is in its answer."""

import ast
import json
import re
from collections.abc import Mapping
from typing import Any

from agents.ml.errors import ConfigError, ModelScriptError

_RULES = """\
Write one Python file with one PyTorch model.

Rules:
- Import torch and torch.nn only, and the files named by module_path.
- Define the class {name}(nn.Module). Its constructor takes no required arguments.
- forward takes one {dtype} tensor of shape (batch, {input_shape}) and returns one tensor{output}.
- Work for any batch size. Never use Lazy modules, files, the network or the environment.
- Do not change a tensor in place when it is used again.
- Load a file named by module_path relative to this file with importlib.util.
- Answer with the whole file in one ```python block and nothing else.
"""

_LAYERS = """\
Write the layers of one PyTorch model as a JSON list, from the first to the last. Input sizes are
inferred: leave them out.
"""

_FENCE = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\r?\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)
_ERROR_CHARS = 1_500


def build_prompt(model_config: Mapping[str, Any], previous_error: str | None = None) -> str:
    """Write the request for a model; the same config gives the same text.

    Args:
        model_config: as the assembler takes it; may hold words where layers should be.
        previous_error: what the gate said of the last attempt.
    """
    output_shape = model_config.get("output_shape")
    rules = _RULES.format(
        name=model_config.get("model_name", "Model"),
        dtype=model_config.get("input_dtype", "float32"),
        input_shape=", ".join(map(str, model_config.get("input_shape", []))),
        output=f" of shape (batch, {', '.join(map(str, output_shape))})" if output_shape else "",
    )
    return _prompt(rules, model_config, previous_error, "file")


def build_layers_prompt(model_config: Mapping[str, Any], previous_error: str | None = None) -> str:
    """Write the request for a list of layers, which a grammar keeps in form; else the same."""
    return _prompt(_LAYERS, model_config, previous_error, "list")


def _prompt(
    rules: str, model_config: Mapping[str, Any], previous_error: str | None, what: str
) -> str:
    asked = json.dumps(dict(model_config), indent=2, default=str)
    parts = [rules, f"The model, as JSON:\n\n```json\n{asked}\n```\n"]
    if previous_error:
        parts.append(
            f"Your last answer did not work:\n\n{previous_error[:_ERROR_CHARS]}\n\n"
            f"Write the whole {what} again with this put right.\n"
        )
    return "\n".join(parts)


def read_layers(text: str) -> list[Any]:
    """The list of layers in a language model's answer.

    Raises:
        ConfigError: it holds something else, or was cut off.
    """
    try:
        layers = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the answer is no JSON: {error}", where="layers") from error
    if not isinstance(layers, list):
        raise ConfigError("the answer is no list of layers", where="layers")
    return layers


def extract_code(text: str) -> str:
    """Return the Python file in a language model's answer.

    The last fenced block that defines a class, a block that was cut off included; else the whole
    answer when it is Python.

    Raises:
        ModelScriptError: there is no code in it.
    """
    answer = _THOUGHT.sub("", text)
    blocks = [block for block in _FENCE.findall(answer) if "class " in block]
    if blocks:
        return f"{blocks[-1].strip()}\n"
    if "class " in answer and _is_python(answer):
        return f"{answer.strip()}\n"
    raise ModelScriptError("the answer holds no Python file with a class", where="language model")


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
