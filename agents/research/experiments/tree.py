"""The tree of what was tried: each configuration below the one that it changes."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from agents.research.experiments.standing import Standing, leaderboard
from agents.research.experiments.trial import Kind, Trial

_Key = tuple[Kind, str]


class Branch(NamedTuple):
    """A configuration with what was changed from it.

    Attributes:
        trial: its first trial, which tells who proposed it and why.
        standing: over all its seeds.
        gain: how much better its mean is than its parent's, worse when negative; None where one
            of them has no score, and at a root.
        children: in the order in which they were planned.
    """

    trial: Trial
    standing: Standing
    gain: float | None
    children: "tuple[Branch, ...]"


def grow(
    trials: Iterable[Trial], metric: str, *, higher_is_better: bool = True
) -> tuple[Branch, ...]:
    """The trees of `trials`, in the order of planning; a parent among no `trials` makes a root."""
    tried = list(trials)
    standings = leaderboard(tried, metric, higher_is_better=higher_is_better)
    by_key: dict[_Key, Standing] = {(each.kind, each.fingerprint): each for each in standings}
    key_of: dict[str, _Key] = {id_: key for key, each in by_key.items() for id_ in each.trials}
    first: dict[_Key, Trial] = {}
    for trial in tried:
        if trial.id in key_of:
            first.setdefault(key_of[trial.id], trial)
    below: dict[_Key | None, list[_Key]] = {}
    for key, trial in first.items():
        parent = key_of.get(trial.parent or "")
        below.setdefault(parent if parent != key else None, []).append(key)
    sign = 1 if higher_is_better else -1

    branches: dict[_Key, Branch] = {}
    for key in reversed(list(_down(below))):  # the children before their parents
        parent = key_of.get(first[key].parent or "")
        mine, others = by_key[key].mean, by_key[parent].mean if parent in by_key else None
        gain = None if mine is None or others is None or parent == key else sign * (mine - others)
        children = tuple(branches[child] for child in below.get(key, ()))
        branches[key] = Branch(first[key], by_key[key], gain, children)
    return tuple(branches[key] for key in below.get(None, ()))


def flat(branches: Iterable[Branch]) -> Iterator[tuple[int, Branch]]:
    """Every branch with its depth, each above its children; as deep as a tree may be."""
    left = [(0, branch) for branch in reversed(tuple(branches))]
    while left:
        depth, branch = left.pop()
        yield depth, branch
        left.extend((depth + 1, child) for child in reversed(branch.children))


def _down(below: dict[_Key | None, list[_Key]]) -> Iterator[_Key]:
    left = list(reversed(below.get(None, ())))
    while left:
        key = left.pop()
        yield key
        left.extend(reversed(below.get(key, ())))
