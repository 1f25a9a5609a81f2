"""What is found in an answer, whatever stands around it."""

import pytest

from agents.ml.errors import ConfigError, ModelScriptError
from agents.research.writing.answers import read_code, read_json

CODE = "class Net:\n    pass\n"


@pytest.mark.parametrize(
    "answer",
    [
        f"Here it is:\n```python\n{CODE}```\nEnjoy.",
        f"```\npip install torch\n```\n```py\n{CODE}\n```",
        f"<think>```python\nclass Wrong:\n    pass\n```</think>```python\n{CODE}```",
        f"```python\nclass First: ...\n```\nBetter:\n```python\n{CODE}```",
        f"```python\r\n{CODE}",
        CODE,
    ],
)
def test_the_code_is_found_in_an_answer(answer: str) -> None:
    assert read_code(answer) == CODE


@pytest.mark.parametrize(
    "answer", ["", "I cannot do that.", "```python\nx = 1\n```", "class of its own"]
)
def test_an_answer_without_a_class_is_an_error(answer: str) -> None:
    with pytest.raises(ModelScriptError, match="no Python file"):
        read_code(answer)


@pytest.mark.parametrize(
    "answer",
    [
        '{"a": [1]}',
        'Sure:\n```json\n{"a": [1]}\n```',
        '<think>{"a": 2}</think> {"a": [1]}',
        '```json\n{"a": 0}\n```\nNo, better:\n```json\n{"a": [1]}',
    ],
)
def test_the_json_is_found_in_an_answer(answer: str) -> None:
    assert read_json(answer) == {"a": [1]}


@pytest.mark.parametrize("answer", ["", '{"a": ', "[" * 100_000, "it is {}"])
def test_what_is_no_json_is_said_to_be_none(answer: str) -> None:
    with pytest.raises(ConfigError, match="is no JSON"):
        read_json(answer)
