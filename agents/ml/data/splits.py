"""Deterministic, disjoint splits, seeded apart from training: the test set stays held out."""

import torch
from torch import Tensor

from agents.ml.data.dataset import SplitName
from agents.ml.errors import DatasetError


def random_split(
    size: int, *, val_fraction: float, test_fraction: float, seed: int
) -> dict[SplitName, Tensor]:
    """Deal the indices 0..size-1 into train, val and test.

    Raises:
        DatasetError: a share that should hold something would be empty.
    """
    order_N = torch.randperm(size, generator=_generator(seed))
    return _cut(order_N, _share(size, val_fraction), _share(size, test_fraction))


def stratified_split(
    labels_N: Tensor, *, val_fraction: float, test_fraction: float, seed: int
) -> dict[SplitName, Tensor]:
    """Deal the indices so that each class has its share in every split.

    Raises:
        DatasetError: a share that should hold something would be empty.
    """
    generator = _generator(seed)
    parts: dict[SplitName, list[Tensor]] = {"train": [], "val": [], "test": []}
    for label in sorted(set(labels_N.tolist())):
        members = (labels_N == label).nonzero().flatten()
        members = members[torch.randperm(len(members), generator=generator)]
        n_val, n_test = round(len(members) * val_fraction), round(len(members) * test_fraction)
        parts["val"].append(members[:n_val])
        parts["test"].append(members[n_val : n_val + n_test])
        parts["train"].append(members[n_val + n_test :])
    splits = {name: torch.cat(members).sort().values for name, members in parts.items()}
    wanted = {"train": 1.0, "val": val_fraction, "test": test_fraction}
    for name, fraction in wanted.items():
        if fraction > 0 and len(splits[name]) == 0:  # type: ignore[index]  # literal keys
            classes = len(set(labels_N.tolist()))
            why = f"and none has enough for a share of {fraction}"
            if name == "train":
                why = f"and val_fraction {val_fraction} and test_fraction {test_fraction} take all"
            raise DatasetError(
                f"{len(labels_N)} samples of {classes} classes are too few for a {name} split: "
                f"each class is dealt out by itself, {why}"
            )
    return splits


def _cut(order_N: Tensor, n_val: int, n_test: int) -> dict[SplitName, Tensor]:
    if n_val + n_test >= len(order_N):
        raise DatasetError(f"{len(order_N)} samples are too few to be split")
    return {
        "train": order_N[n_val + n_test :].sort().values,
        "val": order_N[:n_val].sort().values,
        "test": order_N[n_val : n_val + n_test].sort().values,
    }


def _share(size: int, fraction: float) -> int:
    return max(1, round(size * fraction)) if fraction > 0 else 0


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
