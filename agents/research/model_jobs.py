"""Both ends of asking a language model for a model file, as jobs for child processes."""

from collections.abc import Callable
from typing import Any

from agents.ml.assembler.jobs import check
from agents.ml.assembler.prompt import build_prompt, extract_code

Report = Callable[[dict[str, Any]], None]


def write_prompt(payload: dict[str, Any], _report: Report) -> dict[str, Any]:
    """The `prompt` for `model_config`, with `problem` of the last attempt or None."""
    return {"prompt": build_prompt(payload["model_config"], payload["problem"])}


def check_answer(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Take the code out of `answer` and let it through the assembler's gate.

    Payload and result besides are those of `agents.ml.assembler.jobs.check`.

    Raises:
        MLError: there is no code in it, or it did not pass; nothing is written.
    """
    arguments = dict(payload)
    source = extract_code(arguments.pop("answer"))
    return check(arguments | {"source": source}, report)
