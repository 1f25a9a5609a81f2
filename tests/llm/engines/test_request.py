from typing import Any

import pytest
from pydantic import ValidationError

from agents.llm import ChatRequest, PhiAgentProps
from agents.llm.agent.settings import AgentSettings
from agents.llm.engines import GenerationRequest


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({}, "prompt"),
        ({"prompt": "a", "prompt_ids": (1,)}, "prompt"),
        ({"prompt_ids": ()}, "prompt_ids"),
        ({"prompt_ids": (-1,)}, "prompt_ids"),
        ({"prompt": "a", "max_new_tokens": 0}, "max_new_tokens"),
        ({"prompt": "a", "temperature": -0.1}, "temperature"),
        ({"prompt": "a", "temperature": float("nan")}, "temperature"),
        ({"prompt": "a", "top_p": 0.0}, "top_p"),
        ({"prompt": "a", "top_k": -1}, "top_k"),
        ({"prompt": "a", "seed": -1}, "seed"),
        ({"prompt": "a", "stop": ("",)}, "stop"),
        ({"prompt": "a", "deadline_s": 0}, "deadline_s"),
        ({"prompt": "a", "max_length": 3}, "max_length"),
        ({"prompt": "\ud800"}, "prompt"),
    ],
)
def test_a_request_without_sense_is_refused_by_the_name_of_its_field(
    wrong: dict[str, Any], named: str
) -> None:
    with pytest.raises(ValidationError, match=named):
        GenerationRequest(**wrong)


def test_one_stop_string_may_stand_alone_wherever_there_may_be_several() -> None:
    assert GenerationRequest(prompt="a", stop="User:").stop == ("User:",)
    assert PhiAgentProps(stop="User:").stop == ("User:",)
    assert ChatRequest(messages=[{"role": "user", "content": "a"}], stop="b").stop == ("b",)
    assert AgentSettings.of(model="a", stop="b").stop == ("b",)
    with pytest.raises(ValidationError, match=r"stop\.0"):
        GenerationRequest(prompt="a", stop="")


def test_a_refusal_does_not_repeat_the_prompt() -> None:
    with pytest.raises(ValidationError) as refused:
        GenerationRequest(prompt="my secret", max_new_tokens=0)

    assert "secret" not in str(refused.value)


def test_temperature_zero_is_greedy() -> None:
    assert GenerationRequest(prompt="a", temperature=0).is_greedy
    assert GenerationRequest(prompt="a", do_sample=False).is_greedy
    assert not GenerationRequest(prompt="a").is_greedy
