"""The training tools as jobs that run no code of the model's, and therefore score it.

Each has its host run one of `distant`'s jobs, with a handout instead of the dataset, and scores
what that one puts out. So a model's code can neither write a score nor read the targets behind it.
It is answered with the scores alone that decide how it goes on, to three digits: each digit tells
of targets. What else it says of its own work is in the result, under the keys that
`self_reported` names.
"""

from agents.ml.training.judge.checkpoint import evaluate_checkpoint
from agents.ml.training.judge.full import train_fully
from agents.ml.training.judge.population import evaluate_population
from agents.ml.training.judge.quick import evaluate_quickly

__all__ = ["evaluate_checkpoint", "evaluate_population", "evaluate_quickly", "train_fully"]
