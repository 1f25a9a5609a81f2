"""Log-probabilities as JSON can hold them."""

import json
import math

import pytest

from agents.llm.endpoint.choices import shown
from agents.llm.engines.generation import TokenLogprobs


@pytest.mark.parametrize("logprob", [-math.inf, math.nan])
def test_what_json_cannot_hold_is_what_never_comes(logprob: float) -> None:
    told = shown(TokenLogprobs(3, logprob, ((4, -0.5),)), None)

    assert json.loads(json.dumps(told, allow_nan=False))["logprob"] == -9999.0
