"""An update rule: which part stands at each place between a gradient and a step."""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from agents.ml.config import StrictConfig, read_config
from agents.ml.errors import ConfigError
from agents.ml.update_rules.hyperparameters import HYPERPARAMETERS
from agents.ml.update_rules.request import CustomOptimizer

_ADAPTIVE = {"scaling": ("rms", "amsgrad"), "momentum": ("heavy_ball", "nesterov")}
_LIKE: Mapping[str, Mapping[str, tuple[str, ...]]] = {  # parts that make a rule one of its kind
    "adagrad": {"scaling": ("adagrad",)},
    "adam": _ADAPTIVE,
    "adamw": {**_ADAPTIVE, "weight_decay": ("decoupled",)},
    "nadam": {**_ADAPTIVE, "momentum": ("nesterov",)},
    "radam": _ADAPTIVE,
    "rmsprop": {"scaling": ("rms",)},
    "sgd": {"scaling": ("none",)},
}
_SWITCHES = {  # a hyperparameter that is asked for switches its part on
    "momentum": ("momentum", "heavy_ball"),
    "vector_momentum": ("momentum", "heavy_ball"),
    "beta2": ("scaling", "rms"),
    "eps": ("scaling", "rms"),
    "weight_decay": ("weight_decay", "decoupled"),
    "vector_weight_decay": ("weight_decay", "decoupled"),
    "schedule_steps": ("schedule", "warmup"),
}
_RATES = {"careful": 0.3, "usual": 1.0, "bold": 3.0}
# Of steps where each number moves by one size, and of others.
_RATE, _PLAIN_RATE = 0.003, 0.03


class UpdateRule(StrictConfig):
    """The parts in their order. All of them go together.

    Attributes:
        gradient: what is done to it first; `centralized` subtracts the mean over inputs.
        momentum: a memory of directions.
        scaling: what each number of the direction is divided by; `rms` is Adam's.
        step: what becomes of the direction; `trust_ratio` makes it as long as the parameter.
        weight_decay: `l2` adds to the gradient, `decoupled` shrinks the weights themselves.
        schedule: of the learning rate.
        vectors: what is different for biases and the weights of norms.
        rate: how large the learning rate is unless something else is asked for.
        uses: which hyperparameters the arguments that were asked for are; see
            `CustomOptimizer.uses`.
    """

    gradient: Literal["plain", "clipped", "centralized"]
    momentum: Literal["none", "heavy_ball", "nesterov"]
    scaling: Literal["none", "rms", "amsgrad", "adagrad"]
    step: Literal["plain", "sign", "trust_ratio"]
    weight_decay: Literal["none", "decoupled", "l2"]
    schedule: Literal["constant", "warmup", "cosine_then_constant", "inverse_sqrt"]
    vectors: Literal["same", "own_momentum", "own_weight_decay"]
    rate: Literal["careful", "usual", "bold"]
    uses: str

    @property
    def default_rate(self) -> float:
        is_even = self.step == "sign" or self.scaling in {"rms", "amsgrad"}
        usual = _RATE if is_even and self.step != "trust_ratio" else _PLAIN_RATE
        return float(f"{_RATES[self.rate] * usual:.1g}")


def rule_schema(asked: CustomOptimizer) -> dict[str, Any] | None:
    """The JSON schema of the rules for what was asked; None where parts cannot be that."""
    uses = asked.uses()
    if not uses:
        return None
    fixed = _LIKE.get((asked.base_optimizer or "").lower(), {})
    places = {
        place: {"enum": list(fixed.get(place, get_args(field.annotation)))}
        for place, field in UpdateRule.model_fields.items()
        if place != "uses"
    }
    return {
        "type": "object",
        "properties": {**places, "uses": {"enum": list(uses)}},
        "required": list(UpdateRule.model_fields),
        "additionalProperties": False,
    }


def read_rule(value: Any, asked: CustomOptimizer) -> tuple[UpdateRule, dict[str, str]]:
    """Read a rule that was chosen, its parts that are needed switched on, and its `uses`.

    Returns:
        the rule, and by the name of each argument that was asked for the hyperparameter it is.

    Raises:
        ConfigError: it is not what was asked for.
    """
    rule = read_config(UpdateRule, value, where="rule")
    uses = asked.uses().get(rule.uses)
    if uses is None:
        text = f"must be one of {', '.join(map(repr, asked.uses()))}, got {rule.uses!r}"
        raise ConfigError(text[:1000], where="rule.uses")
    return rule.model_copy(update=_switched_on(rule, set(uses.values()))), uses


def _switched_on(rule: UpdateRule, needed: set[str]) -> dict[str, str]:
    """The parts that `needed` hyperparameters belong to, where the rule goes without."""
    parts: dict[str, str] = {}
    if rule.vectors == "own_momentum":
        needed = needed | {"vector_momentum"}
    if rule.vectors == "own_weight_decay":
        needed = needed | {"vector_weight_decay"}
    for hyperparameter in HYPERPARAMETERS:
        place, part = _SWITCHES.get(hyperparameter, ("", ""))
        if hyperparameter in needed and place and getattr(rule, place) in {"none", "constant"}:
            parts[place] = part
    if "max_norm" in needed:
        parts["gradient"] = "clipped"
    if "final_fraction" in needed:
        parts["schedule"] = "cosine_then_constant"
    if "beta2" in needed and rule.scaling == "adagrad":
        parts["scaling"] = "rms"
    return parts
