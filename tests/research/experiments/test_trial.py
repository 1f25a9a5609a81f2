from typing import Any

import pytest
from pydantic import ValidationError

from agents.research.experiments import Trial, fingerprint_of
from tests.research.experiments.samples import trial


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}),
        ({"lr": 1}, {"lr": 1.0}),
        ({"shape": (3, 4)}, {"shape": [3, 4]}),
    ],
    ids=["order of keys", "kind of number", "tuple"],
)
def test_configs_that_mean_the_same_have_one_fingerprint(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert fingerprint_of(one) == fingerprint_of(other)


@pytest.mark.parametrize(
    "other",
    [
        {"width": 17},
        {"width": "16"},
        {"width": 16, "depth": None},
        {"width": True},
        {"width": 16.5},
        {"width": [16]},
    ],
)
def test_configs_that_mean_something_else_have_another_fingerprint(other: dict[str, Any]) -> None:
    assert fingerprint_of({"width": 16}) != fingerprint_of(other)
    assert fingerprint_of({"width": 1}) != fingerprint_of({"width": True})


def test_line_ends_make_no_other_code_but_every_other_character_does() -> None:
    assert fingerprint_of({}, "a = 1\r\nb = 2\r\n") == fingerprint_of({}, "a = 1\nb = 2\n")
    assert fingerprint_of({}, "a = '\u2028'\n") != fingerprint_of({}, "a = '\n'\n")


def test_an_id_follows_from_what_makes_a_trial_the_same() -> None:
    same = trial(16, note="another reason", proposer="llm")
    others = [trial(17), trial(16, seed=1), trial(16, study="wine"), trial(16, kind="full")]

    assert same.id == trial(16).id
    assert len({trial(16).id, *(other.id for other in others)}) == 5


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object()])
def test_a_config_that_json_cannot_say_is_refused(value: Any) -> None:
    with pytest.raises((ValidationError, ValueError)):
        Trial.new(study="digits", kind="quick", config={"x": value})


def test_half_characters_are_replaced_since_no_file_holds_them() -> None:
    tried = Trial.new(study="s", kind="quick", config={"file": "a\udc80"}, note="b\udc80")

    assert tried.config == {"file": "a?"}
    assert tried.note == "b?"
