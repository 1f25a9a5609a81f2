"""The numbers that parts of an update rule take, and which of them a name stands for."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class Hyperparameter(NamedTuple):
    """One number.

    Attributes:
        default: unless something else was asked for.
        bounds: as a Python condition on `{}`.
        fits: the same, as a function.
        meaning: for docstrings.
    """

    default: float
    bounds: str
    fits: Callable[[float], bool]
    meaning: str


_FRACTION = ("0 <= {} < 1", lambda value: 0 <= value < 1)
_AT_LEAST_0 = ("{} >= 0", lambda value: value >= 0)
_ABOVE_0 = ("{} > 0", lambda value: value > 0)
_FROM_1 = ("{} >= 1", lambda value: value >= 1)

HYPERPARAMETERS: Mapping[str, Hyperparameter] = {
    "lr": Hyperparameter(0.003, *_AT_LEAST_0, "the learning rate"),
    "momentum": Hyperparameter(0.9, *_FRACTION, "how much of the last direction is kept"),
    "vector_momentum": Hyperparameter(
        0.95, *_FRACTION, "the same for biases and the weights of norms"
    ),
    "beta2": Hyperparameter(0.999, *_FRACTION, "how much of the last squared gradients is kept"),
    "eps": Hyperparameter(1e-8, *_ABOVE_0, "added where is divided"),
    "weight_decay": Hyperparameter(0.01, *_AT_LEAST_0, "how fast weights shrink"),
    "vector_weight_decay": Hyperparameter(
        0.0, *_AT_LEAST_0, "the same for biases and the weights of norms"
    ),
    "max_norm": Hyperparameter(1.0, *_ABOVE_0, "the gradient of a parameter is no longer"),
    "schedule_steps": Hyperparameter(100, *_FROM_1, "steps until the schedule has come to its end"),
    "final_fraction": Hyperparameter(0.1, *_FRACTION, "of the learning rate, which is left then"),
}
_WORDS: Sequence[tuple[str, tuple[str, ...]]] = (  # the first that is in a name tells
    (r"rate", ()),  # schedulers know it as lr
    (r"final|floor|min_|end_|fraction", ("final_fraction",)),
    (r"beta_?2|rho|second|squared", ("beta2",)),
    (r"momentum|nesterov|beta", ("momentum", "vector_momentum")),
    (r"(^|_)eps", ("eps",)),
    (r"steps|warm_?up", ("schedule_steps",)),
    (r"decay|l2", ("weight_decay", "vector_weight_decay")),
    (r"clip|norm", ("max_norm",)),
)


def candidates(name: str, value: Any) -> tuple[str, ...]:
    """The hyperparameters that a parameter of this name and default may be.

    Args:
        name: what the asker calls it.
        value: its default; None where none was said.
    """
    if name in HYPERPARAMETERS:
        return (name,) if value is None or _fits(name, value) else ()
    others = tuple(role for role in HYPERPARAMETERS if role != "lr")
    said = (roles for words, roles in _WORDS if re.search(words, name.lower()))
    return tuple(role for role in next(said, others) if value is None or _fits(role, value))


def _fits(role: str, value: Any) -> bool:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and HYPERPARAMETERS[role].fits(value)
