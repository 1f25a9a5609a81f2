import pytest
from pydantic import Field

from agents.ml.config import StrictConfig, differing_keys, read_config
from agents.ml.errors import ConfigError


class Inner(StrictConfig):
    patience: int = Field(default=3, ge=1)


class Outer(StrictConfig):
    rate: float = Field(gt=0)
    inner: Inner | None = None
    many: list[Inner] = Field(default_factory=list)


@pytest.mark.parametrize(
    ("values", "where", "message"),
    [
        ({"rate": 1, "innner": {}}, "innner", "did you mean 'inner'"),
        ({"rate": 1, "inner": {"patince": 2}}, "inner.patince", "did you mean 'patience'"),
        ({"rate": 1, "many": [{"pat": 2}]}, "many.0.pat", "known are patience"),
        ({}, "rate", "is required"),
        ({"rate": -1}, "rate", "greater than 0, got -1"),
        ({"rate": "1"}, "rate", "valid number, got '1'"),
        ({"rate": True}, "rate", "valid number, got True"),
        ({"rate": float("nan")}, "rate", "finite"),
        ({"rate": 1, "inner": {"patience": 2.5}}, "inner.patience", "integer"),
        ([], "config", "expected a mapping"),
    ],
)
def test_a_wrong_key_is_named(values: dict[str, object], where: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as error:
        read_config(Outer, values)

    assert error.value.where == where


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        read_config(Outer, {"rate": 0, "inner": {"patience": 0}, "extra": 1}, where="cfg")

    assert all(key in str(error.value) for key in ("cfg.rate", "cfg.inner.patience", "cfg.extra"))


def test_differing_keys_are_found_inside_mappings() -> None:
    ours = {"lr": 1, "opt": {"type": "Adam", "eps": 1}, "same": [1]}
    theirs = {"lr": 2, "opt": {"type": "Adam"}, "same": [1]}

    assert differing_keys(ours, theirs) == ["lr", "opt.eps"]
