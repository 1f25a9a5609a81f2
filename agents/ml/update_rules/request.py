"""What a custom optimizer should be: the details of its registration, checked."""

import keyword
import math
import re
from collections.abc import Mapping
from itertools import islice, product
from typing import Any, Self

from pydantic import Field, field_validator

from agents.ml.config import StrictConfig, read_config
from agents.ml.errors import ConfigError
from agents.ml.update_rules.hyperparameters import candidates

_MOST_USES = 500
_TAKEN = {"self", "params", "super", "ValueError"}
_NAMED = re.compile(  # "a 'focal_weight_decay' parameter", "an argument called `beta3`"
    r"['\"`](\w+)['\"`] (?:hyper)?(?:parameter|argument|option)"
    r"|(?:parameter|argument|option)s? (?:called |named )?['\"`](\w+)['\"`]"
)


class CustomOptimizer(StrictConfig):
    """An optimizer in words.

    Attributes:
        description: what it should do.
        base_optimizer: one that it resembles.
        additional_params: arguments of its constructor beside `params` and `lr`, with defaults.
    """

    description: str = Field(min_length=1, max_length=10_000)
    base_optimizer: str | None = Field(default=None, max_length=100)
    additional_params: dict[str, Any] = Field(default_factory=dict, max_length=32)

    @classmethod
    def read(cls, details: Mapping[str, Any] | None) -> Self:
        """Check `details`, in the form of the tool's document.

        Raises:
            ConfigError: it names every wrong key.
        """
        return read_config(cls, {} if details is None else details, where="optimizer_details")

    @field_validator("description")
    @classmethod
    def _says_something(cls, text: str) -> str:
        if not text.strip():
            raise ValueError("it is empty: say what the optimizer should do")
        return text

    @field_validator("additional_params")
    @classmethod
    def _can_be_arguments(cls, params: dict[str, Any]) -> dict[str, Any]:
        for name, value in params.items():
            if not name.isidentifier() or keyword.iskeyword(name) or name in _TAKEN:
                raise ValueError(f"{name!r} is no name for an argument")
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} is no finite number")
        return params

    @property
    def arguments(self) -> dict[str, Any]:
        """Arguments that were asked for with their defaults; None for those in words only."""
        named = {a or b: None for a, b in _NAMED.findall(self.description)}
        given = {name for name in named if name.isidentifier() and not keyword.iskeyword(name)}
        return dict.fromkeys(sorted(given - _TAKEN)) | self.additional_params

    def uses(self) -> dict[str, dict[str, str]]:
        """The ways in which the arguments can be hyperparameters of parts, each one by its text.

        A way is a hyperparameter for each argument, different ones for different arguments. There
        is none where an argument is nothing that parts take, or where there are too many.
        """
        names = list(self.arguments)
        roles = [candidates(name, value) for name, value in self.arguments.items()]
        ways = (way for way in product(*roles) if len(set(way)) == len(way))
        found = list(islice(ways, _MOST_USES + 1))
        if len(found) > _MOST_USES:
            return {}
        each = (dict(zip(names, way, strict=True)) for way in found)
        return {_told(way): way for way in each}


def check_class_name(name: str) -> None:
    """Refuse what cannot be the name of a class.

    Raises:
        ConfigError: it cannot.
    """
    if not name.isidentifier() or not name.isascii() or keyword.iskeyword(name):
        text = f"{name!r} cannot be the name of a class; use letters, digits and '_'"
        raise ConfigError(text, where="config_name")


def _told(way: Mapping[str, str]) -> str:
    return ", ".join(f"{name} is {role}" for name, role in way.items()) or "none"
