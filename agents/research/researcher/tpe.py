"""What to try next, by Optuna's TPE, where it is installed."""

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, Any

from agents.research.researcher.knobs import Choice, Knob
from agents.research.researcher.search import Proposal
from agents.research.researcher.space import Recipe, Space

if TYPE_CHECKING:
    import optuna


def propose_by_tpe(
    space: Space, measured: Sequence[tuple[Recipe, float]], random: Random
) -> Proposal:
    """What TPE asks for after it was told of `measured`: recipes with their merits.

    It is told everything anew each time, so that nothing has to be kept between two proposals.
    """
    import optuna  # noqa: PLC0415  optional

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sampler = optuna.samplers.TPESampler(seed=random.randrange(2**31))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for recipe, merit in measured:
        told = {knob.name: _distribution(knob) for knob in space.active(recipe)}
        study.add_trial(
            optuna.trial.create_trial(params=dict(recipe), distributions=told, value=merit)
        )
    asked = study.ask()
    recipe = space.chosen(lambda knob: _suggested(knob, asked))
    return Proposal(recipe, (), f"by Optuna's TPE, from {len(measured)} results")


def _suggested(knob: Knob, asked: "optuna.Trial") -> Any:
    if isinstance(knob, Choice):
        return asked.suggest_categorical(knob.name, list(knob.options))
    return asked.suggest_float(knob.name, knob.low, knob.high, log=True)


def _distribution(knob: Knob) -> "optuna.distributions.BaseDistribution":
    import optuna  # noqa: PLC0415  optional

    if isinstance(knob, Choice):
        return optuna.distributions.CategoricalDistribution(knob.options)
    return optuna.distributions.FloatDistribution(knob.low, knob.high, log=True)
