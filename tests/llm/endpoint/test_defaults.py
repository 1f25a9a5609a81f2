"""What a request does not say is said by the server's defaults for its model."""

from typing import Any

import pytest

from agents.llm.endpoint.parameters import with_defaults
from tests.llm.endpoint.conftest import Start
from tests.llm.endpoint.test_chat import HELLO

DEFAULTS = {"max_tokens": 3, "stop": ("x",), "temperature": 0.0}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, DEFAULTS),
        ({"temperature": 1}, {**DEFAULTS, "temperature": 1}),
        ({"max_tokens": 9}, {**DEFAULTS, "max_tokens": 9}),
        (
            {"max_completion_tokens": 9},
            {"max_completion_tokens": 9, "stop": ("x",), "temperature": 0.0},
        ),
        ({"tool_choice": "auto"}, {**DEFAULTS, "tool_choice": "auto"}),
        (
            {"tool_choice": "required"},  # a stop string would cut the call
            {"tool_choice": "required", "max_tokens": 3, "temperature": 0.0},
        ),
        (
            {"response_format": {"type": "json_object"}},  # and the JSON
            {"response_format": {"type": "json_object"}, "max_tokens": 3, "temperature": 0.0},
        ),
        (
            {"response_format": {"type": "text"}},
            {"response_format": {"type": "text"}, **DEFAULTS},
        ),
    ],
)
def test_a_default_holds_where_nothing_is_said_and_spoils_no_request(
    body: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert with_defaults(body, DEFAULTS) == expected


async def test_each_model_has_its_own_defaults(start: Start) -> None:
    served = await start(["one two three four"] * 3, defaults={"script": {"max_tokens": 2}})
    client = await served.client()

    short = await client.chat.completions.create(model="script", messages=HELLO)
    whole = await client.chat.completions.create(model="script", messages=HELLO, max_tokens=40)

    assert short.choices[0].finish_reason == "length"
    assert whole.choices[0].message.content == "one two three four"
