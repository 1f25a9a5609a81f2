"""Random data: says whether a model runs and how fast, not whether it learns."""

import torch
from pydantic import Field

from agents.ml.config import StrictConfig
from agents.ml.data.dataset import Dataset, ResidentSource, Split
from agents.ml.errors import ConfigError


class DummyParams(StrictConfig):
    """`input_shape` begins with the batch dimension 1, as in the quick evaluator's document.

    With `vocab_size` the inputs are token ids instead of normally distributed numbers.
    """

    input_shape: list[int] = Field(min_length=2)
    samples: int = Field(default=1024, ge=4, le=1_000_000)
    vocab_size: int | None = Field(default=None, ge=2)
    split_seed: int = Field(default=0, ge=0)


def load_dummy(params: DummyParams, num_classes: int | None) -> Dataset:
    """Inputs and labels drawn independently; a quarter each for validation and test."""
    batch, *shape = params.input_shape
    if batch != 1 or min(shape) < 1:
        raise ConfigError(
            f"begins with the batch dimension 1, as in [1, 3, 32, 32]; got {params.input_shape}",
            where="input_shape",
        )
    if num_classes is None:
        raise ConfigError("is required for the dataset 'dummy'", where="num_classes")
    generator = torch.Generator().manual_seed(params.split_seed)
    size = (params.samples, *shape)
    inputs_N = (
        torch.randint(params.vocab_size, size, generator=generator)
        if params.vocab_size is not None
        else torch.randn(size, generator=generator)
    )
    labels_N = torch.randint(num_classes, (params.samples,), generator=generator)
    source = ResidentSource(inputs_N, labels_N)
    quarter = params.samples // 4
    order_N = torch.arange(params.samples)
    return Dataset(
        "dummy",
        "classification",
        tuple(shape),
        num_classes,
        {
            "train": lambda: Split(source, order_N[2 * quarter :]),
            "val": lambda: Split(source, order_N[:quarter]),
            "test": lambda: Split(source, order_N[quarter : 2 * quarter]),
        },
    )
