"""What is in a language model's answer: a Python file, or a JSON value."""

import ast
import json
import re
from typing import Any

from agents.ml.errors import ConfigError, ModelScriptError

_FENCE = re.compile(r"```[ \t]*(?:\w+)?[ \t]*\r?\n(.*?)(?:```|\Z)", re.DOTALL)
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL)


def without_thoughts(text: str) -> str:
    """An answer without what the model thought before it."""
    return _THOUGHT.sub("", text)


def read_code(text: str) -> str:
    """The Python file in an answer.

    The last fenced block that defines a class, a block that was cut off included; else the whole
    answer when it is Python.

    Raises:
        ModelScriptError: there is no code in it.
    """
    answer = without_thoughts(text)
    blocks = [block for block in _FENCE.findall(answer) if "class " in block]
    if blocks:
        return f"{blocks[-1].strip()}\n"
    if "class " in answer and _is_python(answer):
        return f"{answer.strip()}\n"
    raise ModelScriptError("the answer holds no Python file with a class", where="language model")


def read_json(text: str) -> Any:
    """The JSON value in an answer: the last fenced block, or else all of it.

    Raises:
        ConfigError: it holds no JSON, or was cut off.
    """
    answer = without_thoughts(text)
    blocks = _FENCE.findall(answer)
    try:
        return json.loads(blocks[-1] if blocks else answer)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the answer is no JSON: {error}", where="language model") from error


def _is_python(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
