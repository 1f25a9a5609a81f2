"""The source of an optimizer, from its update rule: plain PyTorch, to be read and changed."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping

from agents.ml.update_rules.hyperparameters import HYPERPARAMETERS
from agents.ml.update_rules.request import CustomOptimizer
from agents.ml.update_rules.rule import UpdateRule
from agents.ml.update_rules.steps import steps_of

_HEAD = '''\
"""{name}, an optimizer for PyTorch, put together from parts.

{asked}
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer


class {name}(Optimizer):
    """{parts}

    Args:
        params: parameters, or groups of them with settings of their own.
{meanings}
    """

    def __init__(
        self,
        params: Iterable[Any],
{arguments}
    ) -> None:
{checks}
        defaults = {{
{defaults}
        }}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None and p.grad.is_sparse:
                    raise RuntimeError("{name} takes no sparse gradients")
                if p.grad is not None:
                    self._update(p, group)
        return loss
'''
_WIDTH = 92


def write_source(
    name: str, asked: CustomOptimizer, rule: UpdateRule, uses: Mapping[str, str]
) -> str:
    """Write the file of the class `name`.

    Args:
        name: of the class.
        asked: what was asked for; its arguments become the constructor's.
        rule: with every part that `uses` needs.
        uses: by the name of an argument, which hyperparameter it is.
    """
    called = {role: argument for argument, role in uses.items()}
    names = {role: called.get(role, _own_name(role, rule)) for role in _roles(rule, called)}
    given = asked.arguments
    defaults = {
        argument: _default(role, rule) if given.get(argument) is None else given[argument]
        for role, argument in names.items()
    }
    text = _HEAD.format(
        name=name,
        asked=_as_prose(asked.description),
        parts=textwrap.fill(f"{_parts(rule)}.", _WIDTH, subsequent_indent="    "),
        meanings=_lines(8, (f"{a}: {HYPERPARAMETERS[r].meaning}." for r, a in names.items())),
        arguments=_lines(8, (f"{a}: float = {value!r}," for a, value in defaults.items())),
        checks=_lines(8, _checks(names)),
        defaults=_lines(12, (f'"{argument}": {argument},' for argument in names.values())),
    )
    body = "\n".join(steps_of(rule, names))
    source = f"{text}\n{textwrap.indent(body, '    ')}\n"
    if "math." not in body:
        source = source.replace("import math\n", "", 1)
    return source if "nn." in body else source.replace("from torch import nn\n", "", 1)


def _roles(rule: UpdateRule, called: Mapping[str, str]) -> Iterator[str]:
    """The hyperparameters of the rule's parts, in the order of the constructor."""
    parts = {
        "lr": True,
        "momentum": rule.momentum != "none",
        "vector_momentum": rule.vectors == "own_momentum",
        "beta2": rule.scaling in {"rms", "amsgrad"},
        "eps": rule.scaling != "none",
        "weight_decay": rule.weight_decay != "none",
        "vector_weight_decay": rule.vectors == "own_weight_decay",
        "max_norm": rule.gradient == "clipped",
        "schedule_steps": rule.schedule != "constant",
        "final_fraction": rule.schedule == "cosine_then_constant",
    }
    return (role for role, is_there in parts.items() if is_there or role in called)


def _own_name(role: str, rule: UpdateRule) -> str:
    if role == "schedule_steps":
        return "warmup_steps" if rule.schedule == "warmup" else "decay_steps"
    return role


def _default(role: str, rule: UpdateRule) -> float:
    return rule.default_rate if role == "lr" else HYPERPARAMETERS[role].default


def _parts(rule: UpdateRule) -> str:
    """The rule in words."""
    said = [
        "" if rule.gradient == "plain" else f"{rule.gradient} gradients",
        "" if rule.momentum == "none" else f"{rule.momentum.replace('_', ' ')} momentum",
        "" if rule.scaling == "none" else f"{rule.scaling} scaling",
        {"plain": "", "sign": "steps of one size by sign", "trust_ratio": "a trust ratio"}[
            rule.step
        ],
        "" if rule.weight_decay == "none" else f"{rule.weight_decay} weight decay",
        "" if rule.schedule == "constant" else f"{rule.schedule.replace('_', ' ')} rate",
    ]
    parts = ", ".join(filter(None, said)) or "plain gradient descent"
    return f"{parts[0].upper()}{parts[1:]}"


def _checks(names: Mapping[str, str]) -> Iterator[str]:
    for role, argument in names.items():
        bounds = HYPERPARAMETERS[role].bounds.format(argument)
        yield f"if not {bounds}:"
        yield f'    raise ValueError(f"{bounds} does not hold for {{{argument}}}")'


def _as_prose(description: str) -> str:
    """A description as lines that can stand in a docstring, whatever it holds."""
    plain = "".join(c if c.isprintable() else " " for c in description)
    safe = plain.replace("\\", "/").replace('"', "'")
    return textwrap.fill(f"Asked for: {safe.strip()}", _WIDTH)


def _lines(indent: int, lines: Iterable[str]) -> str:
    return "\n".join(" " * indent + line for line in lines)
