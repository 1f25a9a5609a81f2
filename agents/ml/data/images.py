"""MNIST and CIFAR-10, read from disk by readers of our own; nothing is downloaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from agents.ml.config import StrictConfig
from agents.ml.data.dataset import Dataset, ResidentSource, Split, check_labels, check_num_classes
from agents.ml.data.files import find_file, missing_files, read_array_pickle, read_idx, read_npz
from agents.ml.data.splits import stratified_split
from agents.ml.errors import DatasetError

Part = Literal["train", "test"]
_STATISTICS_SAMPLES = 4096
_CIFAR_ROW_BYTES = 1 + 3 * 32 * 32


class ImageFileParams(StrictConfig):
    """Where an image dataset with an official test set lies; validation is cut from training."""

    data_path: str = "data"
    split: Literal["train"] = "train"
    val_fraction: float = Field(default=0.1, gt=0, lt=1)
    split_seed: int = Field(default=0, ge=0)


def load_mnist(params: ImageFileParams, num_classes: int | None) -> Dataset:
    """70,000 hand-written digits of 1x28x28 pixels, from idx files or mnist.npz."""
    folders = _folders(params, "mnist", "MNIST/raw", "MNIST")
    classes = check_num_classes(10, num_classes, where="num_classes")

    def read(part: Part) -> tuple[Tensor, Tensor]:
        stem = "train" if part == "train" else "t10k"
        images = find_file(folders, _idx_names(f"{stem}-images", 3))
        labels = find_file(folders, _idx_names(f"{stem}-labels", 1))
        if images and labels:
            return read_idx(images).unsqueeze(1), read_idx(labels).long()
        npz = _given_file(params, ".npz") or find_file(folders, ["mnist.npz"])
        if npz is None:
            names = [
                *_idx_names(f"{stem}-images", 3),
                *_idx_names(f"{stem}-labels", 1),
                "mnist.npz",
            ]
            raise missing_files("mnist", folders, names)
        pixels, classes_N = _npz_part(npz, part)
        return pixels.reshape(-1, 1, *pixels.shape[-2:]), classes_N

    return _with_official_test("mnist", (1, 28, 28), classes, params, read)


def load_cifar10(params: ImageFileParams, num_classes: int | None) -> Dataset:
    """60,000 colour images of 3x32x32 pixels, from the binary, the pickled or an npz version."""
    folders = _folders(params, "cifar-10-batches-bin", "cifar-10-batches-py", "cifar10")
    classes = check_num_classes(10, num_classes, where="num_classes")

    def read(part: Part) -> tuple[Tensor, Tensor]:
        stems = [f"data_batch_{i}" for i in range(1, 6)] if part == "train" else ["test_batch"]
        found = [find_file(folders, [f"{stem}.bin", stem]) for stem in stems]
        paths = [path for path in found if path is not None]
        if len(paths) == len(stems):
            batches = [_read_cifar_batch(path) for path in paths]
            return torch.cat([b[0] for b in batches]), torch.cat([b[1] for b in batches])
        npz = _given_file(params, ".npz") or find_file(folders, ["cifar10.npz"])
        if npz is None:
            names = [*(f"{stem}.bin" for stem in stems), *stems, "cifar10.npz"]
            raise missing_files("cifar10", folders, names)
        pixels, labels_N = _npz_part(npz, part)
        if pixels.ndim == 4 and pixels.shape[-1] == 3:  # noqa: PLR2004  # N, H, W, 3 colours
            pixels = pixels.permute(0, 3, 1, 2).contiguous()
        return pixels, labels_N

    return _with_official_test("cifar10", (3, 32, 32), classes, params, read)


def _with_official_test(
    name: str,
    shape: tuple[int, int, int],
    num_classes: int,
    params: ImageFileParams,
    read: Callable[[Part], tuple[Tensor, Tensor]],
) -> Dataset:
    pixels_N, labels_N = _checked(read("train"), shape, num_classes, name)
    indices = stratified_split(
        labels_N, val_fraction=params.val_fraction, test_fraction=0.0, seed=params.split_seed
    )
    mean, std = _statistics(pixels_N[indices["train"]])
    source = ResidentSource(pixels_N, labels_N, mean=mean, std=std)

    def open_test() -> Split:
        test_pixels_N, test_labels_N = _checked(read("test"), shape, num_classes, name)
        test = ResidentSource(test_pixels_N, test_labels_N, mean=mean, std=std)
        return Split(test, torch.arange(len(test)))

    return Dataset(
        name,
        "classification",
        shape,
        num_classes,
        {
            "train": lambda: Split(source, indices["train"]),
            "val": lambda: Split(source, indices["val"]),
            "test": open_test,
        },
    )


def _checked(
    samples: tuple[Tensor, Tensor], shape: tuple[int, int, int], num_classes: int, name: str
) -> tuple[Tensor, Tensor]:
    pixels_N, labels_N = samples[0], samples[1].long().flatten()
    if tuple(pixels_N.shape[1:]) != shape or pixels_N.dtype != torch.uint8:
        found = f"{pixels_N.dtype} images of shape {tuple(pixels_N.shape[1:])}"
        raise DatasetError(f"the files hold {found}, expected bytes of shape {shape}", where=name)
    check_labels(labels_N, num_classes, where=name)
    return pixels_N, labels_N


def _statistics(pixels_N: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and deviation per channel (C, 1, 1) of evenly spaced images."""
    stride = max(1, len(pixels_N) // _STATISTICS_SAMPLES)
    sample_N = pixels_N[::stride].float()
    mean = sample_N.mean(dim=(0, 2, 3)).reshape(-1, 1, 1)
    std = sample_N.std(dim=(0, 2, 3)).clamp_min(1e-3).reshape(-1, 1, 1)
    return mean, std


def _read_cifar_batch(path: Path) -> tuple[Tensor, Tensor]:
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


def _npz_part(path: Path, part: Part) -> tuple[Tensor, Tensor]:
    arrays = read_npz(path)
    pairs = {
        "train": [("x_train", "y_train"), ("x", "y")],
        "test": [("x_test", "y_test"), ("xt", "yt")],
    }
    for pixels, labels in pairs[part]:
        if pixels in arrays and labels in arrays:
            return arrays[pixels], arrays[labels]
    raise DatasetError(
        f"has no arrays {pairs[part][0]} or {pairs[part][1]}, it has {sorted(arrays)}",
        where=str(path),
    )


def _folders(params: ImageFileParams, *inner: str) -> list[Path]:
    root = Path(params.data_path)
    root = root.parent if root.is_file() else root
    return [root, *(root / name for name in inner)]


def _given_file(params: ImageFileParams, suffix: str) -> Path | None:
    path = Path(params.data_path)
    return path if path.is_file() and path.suffix == suffix else None


def _idx_names(stem: str, rank: int) -> list[str]:
    bases = [f"{stem}-idx{rank}-ubyte", f"{stem}.idx{rank}-ubyte"]
    return [name for base in bases for name in (base, f"{base}.gz")]
