"""MNIST, Fashion-MNIST and CIFAR-10, read by readers of our own."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from agents.ml.data.dataset import Dataset, ResidentSource, Split, check_labels, check_num_classes
from agents.ml.data.files import read_array_pickle, read_idx, read_npz
from agents.ml.data.image_places import (
    ImageFileParams,
    Part,
    Roles,
    cifar_roles,
    find_image_files,
    idx_roles,
)
from agents.ml.data.splits import stratified_split
from agents.ml.errors import DatasetError

Samples = tuple[Tensor, Tensor]
_STATISTICS_SAMPLES = 4096
_CIFAR_ROW_BYTES = 1 + 3 * 32 * 32
_CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
    "Ankle boot",
)  # fmt: skip
_THINGS = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


class _Named(NamedTuple):
    """A dataset with an official test set, and how its files are found and read."""

    name: str
    shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    roles_of: Callable[[Part], Roles]
    read_files: Callable[[list[Path]], Samples]


def load_mnist(params: ImageFileParams, num_classes: int | None) -> Dataset:
    """70,000 hand-written digits of 1x28x28 pixels, from idx files or mnist.npz."""
    digits = tuple(map(str, range(10)))
    return _load(_Named("mnist", (1, 28, 28), digits, idx_roles, _read_idx), params, num_classes)


def load_fashion_mnist(params: ImageFileParams, num_classes: int | None) -> Dataset:
    """70,000 pieces of clothing in 1x28x28 pixels, from idx files or fashion_mnist.npz."""
    named = _Named("fashion_mnist", (1, 28, 28), _CLOTHES, idx_roles, _read_idx)
    return _load(named, params, num_classes)


def load_cifar10(params: ImageFileParams, num_classes: int | None) -> Dataset:
    """60,000 colour images of 3x32x32 pixels, from the binary, the pickled or an npz version."""
    named = _Named("cifar10", (3, 32, 32), _THINGS, cifar_roles, _read_cifar)
    return _load(named, params, num_classes)


def _load(named: _Named, params: ImageFileParams, num_classes: int | None) -> Dataset:
    classes = check_num_classes(len(named.class_names), num_classes, where="num_classes")

    def read(part: Part) -> Samples:
        roles = named.roles_of(part)
        paths = find_image_files(named.name, params, roles)
        if paths[0].suffix == ".npz":
            return _read_npz(paths[0], part)
        return named.read_files(paths)

    pixels_N, labels_N = _checked(read("train"), named.shape, classes, named.name)
    indices = stratified_split(
        labels_N, val_fraction=params.val_fraction, test_fraction=0.0, seed=params.split_seed
    )
    mean, std = _statistics(pixels_N[indices["train"]])
    source = ResidentSource(pixels_N, labels_N, mean=mean, std=std)

    def open_test() -> Split:
        test_pixels_N, test_labels_N = _checked(read("test"), named.shape, classes, named.name)
        test = ResidentSource(test_pixels_N, test_labels_N, mean=mean, std=std)
        return Split(test, torch.arange(len(test)))

    return Dataset(
        named.name,
        "classification",
        named.shape,
        classes,
        {
            "train": lambda: Split(source, indices["train"]),
            "val": lambda: Split(source, indices["val"]),
            "test": open_test,
        },
        named.class_names,
    )


def _checked(
    samples: tuple[Tensor, Tensor], shape: tuple[int, int, int], num_classes: int, name: str
) -> tuple[Tensor, Tensor]:
    pixels_N, labels_N = samples[0], _whole(samples[1], name)
    if tuple(pixels_N.shape[1:]) != shape or pixels_N.dtype != torch.uint8:
        found = f"{pixels_N.dtype} images of shape {tuple(pixels_N.shape[1:])}"
        raise DatasetError(f"the files hold {found}, expected bytes of shape {shape}", where=name)
    if len(pixels_N) != len(labels_N):
        raise DatasetError(f"{len(pixels_N)} images but {len(labels_N)} labels", where=name)
    check_labels(labels_N, num_classes, where=name)
    return pixels_N, labels_N


def _whole(labels_N: Tensor, name: str) -> Tensor:
    """The labels as integers, if they are whole numbers."""
    whole_N = labels_N.long().flatten()
    if labels_N.is_complex() or not torch.equal(whole_N.to(labels_N.dtype), labels_N.flatten()):
        raise DatasetError(f"its labels are {labels_N.dtype} and no whole numbers", where=name)
    return whole_N


def _statistics(pixels_N: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation per channel (C, 1, 1) of evenly spaced images."""
    stride = max(1, len(pixels_N) // _STATISTICS_SAMPLES)
    sample_N = pixels_N[::stride].float()
    mean = sample_N.mean(dim=(0, 2, 3)).reshape(-1, 1, 1)
    std = sample_N.std(dim=(0, 2, 3)).clamp_min(1e-3).reshape(-1, 1, 1)
    return mean, std


def _read_idx(paths: list[Path]) -> Samples:
    images, labels = paths
    return read_idx(images).unsqueeze(1), read_idx(labels).long()


def _read_cifar(paths: list[Path]) -> Samples:
    batches = [_read_cifar_batch(path) for path in paths]
    return torch.cat([pixels for pixels, _ in batches]), torch.cat(
        [labels for _, labels in batches]
    )


def _read_cifar_batch(path: Path) -> Samples:
    if path.suffix == ".bin":
        return _read_cifar_binary(path)
    batch = read_array_pickle(path)
    try:
        pixels_N = torch.as_tensor(batch[b"data"]).reshape(-1, 3, 32, 32)
        return pixels_N, torch.tensor(batch[b"labels"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise DatasetError(f"is not a CIFAR-10 batch: {error!r}", where=str(path)) from error


def _read_cifar_binary(path: Path) -> tuple[Tensor, Tensor]:
    size = path.stat().st_size
    if size == 0 or size % _CIFAR_ROW_BYTES:
        raise DatasetError(f"{size} bytes are no whole number of CIFAR-10 rows", where=str(path))
    rows = torch.from_file(str(path), size=size, dtype=torch.uint8).reshape(-1, _CIFAR_ROW_BYTES)
    return rows[:, 1:].reshape(-1, 3, 32, 32).clone(), rows[:, 0].long()


def _read_npz(path: Path, part: Part) -> Samples:
    """Pixels with their channels in front, and labels."""
    arrays = read_npz(path)
    pairs = {
        "train": [("x_train", "y_train"), ("x", "y")],
        "test": [("x_test", "y_test"), ("xt", "yt")],
    }
    for pixels, labels in pairs[part]:
        if pixels in arrays and labels in arrays:
            return _channels_first(arrays[pixels]), arrays[labels]
    raise DatasetError(
        f"has no arrays {pairs[part][0]} or {pairs[part][1]}, it has {sorted(arrays)}",
        where=str(path),
    )


def _channels_first(pixels: Tensor) -> Tensor:
    if pixels.ndim == 3:  # noqa: PLR2004  N, H, W
        return pixels.unsqueeze(1)
    if pixels.ndim == 4 and pixels.shape[-1] in {1, 3}:  # noqa: PLR2004  N, H, W, colours
        return pixels.permute(0, 3, 1, 2).contiguous()
    return pixels
