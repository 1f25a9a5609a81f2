"""Whatever the grammar of layers lets through, the compiler takes."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from agents.llm.structured import grammar_of_lark
from agents.ml.assembler import CompiledModel
from agents.ml.assembler.layer_grammar import layer_grammar
from agents.ml.errors import ConfigError
from tests.llm.structured.decoding import decode
from tests.llm.structured.vocabularies import vocabulary

SHAPES: dict[str, dict[str, Any]] = {
    "vector": {"input_shape": [16]},
    "signal": {"input_shape": [2, 100]},
    "image": {"input_shape": [1, 28, 28]},
    "large image": {"input_shape": [3, 224, 320]},
    "pixel": {"input_shape": [3, 1, 1]},
    "flat image": {"input_shape": [1, 2, 64]},
    "volume": {"input_shape": [1, 8, 8, 8]},
    "tokens": {"input_shape": [12], "input_dtype": "int64", "vocab_size": 50},
}


@pytest.mark.parametrize("name", SHAPES)
def test_each_list_compiles_to_the_output_that_was_asked_for(
    name: str, compiled: Callable[..., CompiledModel]
) -> None:
    config = {"model_name": "Net", "output_shape": [7], **SHAPES[name]}
    text = layer_grammar(config)
    assert text is not None
    grammar = grammar_of_lark(text)
    seen = set()
    for seed in range(12):
        answer = decode(grammar, vocabulary("byte-level"), seed=seed, spare_tokens=60 * (seed + 1))
        layers = json.loads(answer.text)
        seen.add(answer.text)

        model = compiled(layers, **{k: v for k, v in config.items() if k != "model_name"})

        assert model.output_shape == (7,)
    assert len(seen) > 6


@pytest.mark.parametrize(
    "changes",
    [
        {"output_shape": None},
        {"output_shape": [4, 4]},
        {"input_shape": [1, 2, 3, 4, 5]},
        {"input_dtype": "int64"},
        {"input_shape": [12], "input_dtype": "int64"},
    ],
)
def test_other_shapes_have_no_grammar(changes: dict[str, Any]) -> None:
    config = {"model_name": "Net", "input_shape": [1, 8, 8], "output_shape": [7]}

    assert layer_grammar(config | changes) is None


def test_a_config_without_shapes_is_refused() -> None:
    with pytest.raises(ConfigError, match="input_shape"):
        layer_grammar({"model_name": "Net"})
