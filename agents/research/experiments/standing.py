"""The leaderboard: one place for each configuration, over all its seeds."""

import math
from collections import defaultdict
from collections.abc import Collection, Iterable
from statistics import fmean, stdev

from pydantic import BaseModel, ConfigDict

from agents.research.experiments.trial import Kind, Trial

RANKED_KINDS: frozenset[Kind] = frozenset({"quick", "full", "baseline", "ensemble"})


class Standing(BaseModel):
    """What one configuration reached.

    Attributes:
        rank: 1 is the best; None for a configuration without a single score.
        trials: ids, the first planned first.
        scores: one for each seed that is done, in the order of `trials`.
        standard_error: of the mean, from the seeds' sample deviation; None with fewer than two.
        best: the best single score.
        unscored: how many seeds ended without a score: diverged, failed, interrupted.
        cost_s: of all seeds together; so are the tokens.
        is_within_noise: whether it differs from the first by no more than noise; None where that
            is not known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rank: int | None = None
    fingerprint: str
    kind: Kind
    proposer: str
    note: str
    trials: tuple[str, ...]
    scores: tuple[float, ...]
    mean: float | None
    standard_error: float | None
    best: float | None
    unscored: int
    cost_s: float
    tokens: int
    is_within_noise: bool | None = None

    @property
    def seeds(self) -> int:
        return len(self.scores)


def leaderboard(
    trials: Iterable[Trial],
    metric: str,
    *,
    higher_is_better: bool = True,
    kinds: Collection[Kind] = RANKED_KINDS,
) -> list[Standing]:
    """Rank configurations by the mean of `metric` over their seeds, those without a score last.

    Tests on held-out data rank nothing unless `kinds` names them: who chooses by them has seen
    them. Equal means stay in the order in which they were planned.
    """
    groups: defaultdict[tuple[Kind, str], list[Trial]] = defaultdict(list)
    for trial in trials:
        if trial.kind in kinds:
            groups[trial.kind, trial.fingerprint].append(trial)
    sign = -1 if higher_is_better else 1
    standings = [_standing(group, metric, sign) for group in groups.values()]
    scored = sorted(
        (s for s in standings if s.mean is not None), key=lambda s: sign * (s.mean or 0)
    )
    ranked = [
        standing.model_copy(
            update={"rank": rank, "is_within_noise": is_within_noise(standing, scored[0])}
        )
        for rank, standing in enumerate(scored, 1)
    ]
    return ranked + [standing for standing in standings if standing.mean is None]


def _standing(trials: list[Trial], metric: str, sign: int) -> Standing:
    found = [trial.score(metric) for trial in trials]
    scores = tuple(score for score in found if score is not None)
    first = trials[0]
    return Standing(
        fingerprint=first.fingerprint,
        kind=first.kind,
        proposer=first.proposer,
        note=first.note,
        trials=tuple(trial.id for trial in trials),
        scores=scores,
        mean=fmean(scores) if scores else None,
        standard_error=stdev(scores) / math.sqrt(len(scores)) if len(scores) > 1 else None,
        best=min(scores, key=lambda score: sign * score) if scores else None,
        unscored=sum(
            trial.has_ended and score is None for trial, score in zip(trials, found, strict=True)
        ),
        cost_s=sum(trial.cost_s for trial in trials),
        tokens=sum(trial.tokens for trial in trials),
    )


def is_within_noise(one: Standing, other: Standing) -> bool | None:
    """Whether two differ by no more than the standard error of their difference.

    None where that is not known: one of them has a single score, or none.
    """
    if one.standard_error is None or other.standard_error is None:
        return None
    assert one.mean is not None  # what has an error has a mean
    assert other.mean is not None
    noise = math.hypot(one.standard_error, other.standard_error)
    return abs(one.mean - other.mean) <= noise
