"""Both ends of asking a language model for a model file, as jobs for child processes."""

from typing import Any

from agents.ml.assembler import config as configs
from agents.ml.assembler.jobs import assemble, check
from agents.ml.assembler.layer_grammar import layer_grammar
from agents.ml.errors import ConfigError
from agents.ml.reporting import Report
from agents.research.writing.answers import read_code, read_json


def read_claims(payload: dict[str, Any], _report: Report) -> dict[str, Any]:
    """What `model_config` claims: `name`, `input_shape`, `input_dtype` and `output_shape`.

    Beside them the `grammar` of the lists of layers that keep to that; None where it has none.

    Raises:
        ConfigError: the config lacks name or shapes, so that nothing could be checked.
    """
    config = payload["model_config"]
    name, input_shape, input_dtype, output_shape = configs.read_claims(config)
    has_layers = bool(config.get("layers"))  # some of them in words, which no grammar keeps to
    return {
        "name": name,
        "input_shape": input_shape,
        "input_dtype": input_dtype,
        "output_shape": output_shape,
        "grammar": None if has_layers else layer_grammar(config),
    }


def check_answer(payload: dict[str, Any], report: Report) -> dict[str, Any]:
    """Take what the model `wrote`, layers or code, out of `answer` and let it through the gate.

    Payload and result besides are those of `agents.ml.assembler.jobs.check`.

    Raises:
        MLError: it is not in there, or it did not pass; nothing is written.
    """
    arguments = dict(payload)
    answer, wrote = arguments.pop("answer"), arguments.pop("wrote")
    if wrote == "code":
        return check(arguments | {"source": read_code(answer)}, report)
    layers = read_json(answer)
    if not isinstance(layers, list):
        raise ConfigError("the answer is no list of layers", where="layers")
    asked = {
        key: value for key, value in payload["model_config"].items() if key in configs.MODEL_KEYS
    }
    return assemble(arguments | {"model_config": asked | {"layers": layers}}, report)
