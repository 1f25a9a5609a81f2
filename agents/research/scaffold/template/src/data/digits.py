"""Scikit-learn's handwritten digits: 1,797 real images of 8 by 8 pixels in ten classes."""

from typing import Literal

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.utils.data import TensorDataset

Split = Literal["train", "val", "test"]

NUM_CLASSES = 10
_SPLIT_SEED = 0  # of the split, not of the training: runs are compared on the same images


def load(split: Split) -> TensorDataset:
    """Images of shape [N, 1, 8, 8] between 0 and 1, and labels of shape [N].

    60 % of them are for training, 20 % for validation and 20 % for the test.
    """
    digits = load_digits()
    images = torch.tensor(digits.images, dtype=torch.float32).unsqueeze(1) / 16
    labels = torch.tensor(digits.target, dtype=torch.long)
    rest, test = _split(list(range(len(labels))), labels, share=0.2)
    train, val = _split(rest, labels, share=0.25)
    chosen = {"train": train, "val": val, "test": test}[split]
    return TensorDataset(images[chosen], labels[chosen])


def _split(indices: list[int], labels: torch.Tensor, share: float) -> tuple[list[int], list[int]]:
    classes = labels[indices].numpy()
    kept, taken = train_test_split(
        indices, test_size=share, stratify=classes, random_state=_SPLIT_SEED
    )
    return sorted(kept), sorted(taken)
