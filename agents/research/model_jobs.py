"""Both ends of asking a language model for a model file, as jobs for child processes."""

from collections.abc import Callable
from typing import Any

from agents.ml.assembler.config import MODEL_KEYS, read_claims
from agents.ml.assembler.jobs import assemble, check
from agents.ml.assembler.layer_grammar import layer_grammar
from agents.ml.assembler.prompt import build_layers_prompt, build_prompt, extract_code, read_layers

Report = Callable[[dict[str, Any]], None]


def write_question(payload: dict[str, Any], _report: Report) -> dict[str, Any]:
    """The `prompt` for `model_config`, and the `grammar` of a list of layers or None for code.

    Payload: `model_config`, `problem` of the last attempt or None, `is_free` where the answer can
    be kept to no grammar.

    Raises:
        ConfigError: the config lacks name or shapes, so that nothing could be checked.
    """
    config, problem = payload["model_config"], payload["problem"]
    read_claims(config)
    has_layers = bool(config.get("layers"))  # some of them in words, which no grammar keeps to
    grammar = None if payload["is_free"] or has_layers else layer_grammar(config)
    build = build_layers_prompt if grammar else build_prompt
    return {"prompt": build(config, problem), "grammar": grammar}


def check_answer(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Take what the model `wrote`, layers or code, out of `answer` and let it through the gate.

    Payload and result besides are those of `agents.ml.assembler.jobs.check`.

    Raises:
        MLError: it is not in there, or it did not pass; nothing is written.
    """
    arguments = dict(payload)
    answer, wrote = arguments.pop("answer"), arguments.pop("wrote")
    if wrote == "code":
        return check(arguments | {"source": extract_code(answer)}, report)
    asked = {key: value for key, value in payload["model_config"].items() if key in MODEL_KEYS}
    return assemble(arguments | {"model_config": asked | {"layers": read_layers(answer)}}, report)
