"""How long candidates are trained: most for a moment, the best of these longer, and so on up.

Each rung takes the best third of the one below for three times as long (Li et al. 2020, "A system
for massively parallel hyperparameter tuning"), on another fold, so that luck on one fold does not
carry a candidate to the top.
"""

import math

from agents.ml.selection.facts import Facts

ETA = 3
_RUNGS = 3
_MOST_EPOCHS = 60
_FEWEST_EPOCHS = 3
_SHORTEST = 2  # epochs that tell anything
_EFFORT = 1500  # epochs times the root of the samples: small data are gone through more often


def ladder(facts: Facts, affordable: float = math.inf) -> tuple[int, ...]:
    """The epochs of each rung, ascending; the last is a full training.

    Args:
        facts: of the data.
        affordable: the most epochs of a full training that the budget allows. A full training is
            never shorter than the first look at a candidate.
    """
    wanted = min(_MOST_EPOCHS, max(_FEWEST_EPOCHS, round(_EFFORT / math.sqrt(facts.samples))))
    first_look = max(_SHORTEST, round(wanted / ETA ** (_RUNGS - 1)))
    full = max(first_look, min(wanted, int(min(affordable, _MOST_EPOCHS))))
    return tuple(sorted({max(_SHORTEST, round(full / ETA**down)) for down in range(_RUNGS)}))
