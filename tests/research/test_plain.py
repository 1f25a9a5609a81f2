"""What is no JSON is refused where it is asked for, by its key."""

import math
from typing import Any

import numpy as np
import pytest

from agents.research.errors import WorkRefusedError
from agents.research.messages import EvaluateQuickly
from agents.research.toolkit.plain import plain


def asking(**config: Any) -> EvaluateQuickly:
    return EvaluateQuickly(model_script_path="m.py", model_class_name="M", eval_config=config)


def in_itself() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["again"] = value
    return value


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels):
        value = {"deeper": value}
    return value


@pytest.mark.parametrize(
    ("value", "where", "told"),
    [
        (math.inf, "", "is inf, which is no finite number"),
        ({"a": [1, math.nan]}, ".a.1", "is nan, which is no finite number"),
        (np.int64(10), "", "is a int64, which is no JSON"),
        ({"x": {"y": {"accuracy"}}}, ".x.y", "is a set, which is no JSON"),
        (b"\xff", "", "is a bytes, which is no JSON"),
        ("caf\ud800", "", r"holds '\\ud800', which is no character"),
        ({"\ud800": 1}, "", r"holds '\\ud800', which is no character"),
        (in_itself(), "", "holds itself"),
        (nested(20_000), "", "is nested too deeply"),
    ],
)
def test_what_is_no_json_is_named(value: Any, where: str, told: str) -> None:
    with pytest.raises(WorkRefusedError, match=told) as refused:
        plain(asking(params=value))

    assert refused.value.where.startswith(f"eval_config.params{where}")


def test_what_is_json_passes() -> None:
    request = asking(epochs=3, metrics=["accuracy"], model_params={"sizes": (1, 2), "deep": None})

    assert plain(request) is request


def test_a_text_that_is_no_text_is_refused_in_any_field() -> None:
    request = EvaluateQuickly(model_script_path="m.py", model_class_name="\ud800", eval_config={})

    with pytest.raises(WorkRefusedError, match="model_class_name holds"):
        plain(request)
