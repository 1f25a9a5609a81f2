"""Folders of images, one per class, decoded by pillow."""

import os
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from agents.ml.config import did_you_mean
from agents.ml.data.bundled import SplitParams
from agents.ml.data.dataset import (
    Dataset,
    ResidentSource,
    Source,
    Split,
    SplitName,
    check_num_classes,
)
from agents.ml.data.decoding import decode_image
from agents.ml.data.splits import stratified_split
from agents.ml.errors import DatasetError

RESIDENT_LIMIT_BYTES = 1024**3
_SUFFIXES = {
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".gif", ".webp", ".ppm", ".pgm", ".tif",
    ".tiff",
}  # fmt: skip
_LIST = "_annotations.txt"
_GREY = 127.5  # pixel values become -1..1
_PARTS: dict[str, SplitName] = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


class ImageFolderParams(SplitParams):
    """`data_path` holds a folder per class, or such folders inside train/, val/ and test/.

    The three may be written with capitals, or as training, valid, validation and testing. val/ and
    test/ may hold a list of their images and classes instead, as Tiny ImageNet has it in
    `val_annotations.txt`. What begins with a dot or `__` is no class and no image: notebooks and
    systems leave such behind. Names are compared in their composed form (NFC), for some systems
    take accents apart.
    """

    data_path: str
    image_size: int = Field(default=64, ge=1, le=4096)
    channels: Literal[1, 3] = 3


def load_image_folder(params: ImageFolderParams, num_classes: int | None) -> Dataset:
    """Images in one folder per class, decoded by pillow to `image_size` squared.

    What fits in a gigabyte is decoded once and kept; more is decoded batch by batch.
    """
    root = Path(params.data_path)
    if not root.is_dir():
        raise DatasetError(f"no such folder: {root.absolute()}", where="data_path")
    parts = _parts(root)
    train_root = parts.get("train", root)
    folders = _class_folders(train_root)
    if not folders:
        raise DatasetError(f"{train_root.absolute()} has no folder per class", where="data_path")
    class_names = tuple(folders)
    classes = check_num_classes(len(class_names), num_classes, where="num_classes")
    shape = (params.channels, params.image_size, params.image_size)

    found = {name: _images_in(folder) for name, folder in folders.items()}
    _require_images(found, folders)
    paths, labels_N = _labelled(found.values())
    dealt = stratified_split(
        labels_N,
        val_fraction=0.0 if "val" in parts else params.val_fraction,
        test_fraction=0.0 if "test" in parts else params.test_fraction,
        seed=params.split_seed,
    )
    common = _image_source(paths, labels_N, params)

    def opener(name: SplitName) -> Split:
        if name != "train" and name in parts:
            own_paths, own_labels_N = _list_part(parts[name], name, class_names)
            own = _image_source(own_paths, own_labels_N, params)
            return Split(own, torch.arange(len(own)))
        return Split(common, dealt[name])

    return Dataset(
        "image_folder",
        "classification",
        shape,
        classes,
        {
            "train": lambda: opener("train"),
            "val": lambda: opener("val"),
            "test": lambda: opener("test"),
        },
        class_names,
    )


class ImageFiles:
    """Images decoded when a batch asks for them, pixel values from -1 to 1."""

    def __init__(self, paths: list[Path], labels_N: Tensor, params: ImageFolderParams) -> None:
        self._paths, self._labels_N, self._params = paths, labels_N, params
        self._device = torch.device("cpu")

    def __len__(self) -> int:
        return len(self._paths)

    def batch(self, indices_B: Tensor) -> tuple[Tensor, Tensor]:
        pixels_B = torch.stack([self.decode(i) for i in indices_B.tolist()])
        labels_B = self._labels_N[indices_B]
        inputs_B = pixels_B.to(self._device).float().sub_(_GREY).div_(_GREY)
        return inputs_B, labels_B.to(self._device)

    def to(self, device: torch.device) -> "ImageFiles":
        moved = ImageFiles(self._paths, self._labels_N, self._params)
        moved._device = device  # of the same class
        return moved

    def decode(self, index: int) -> Tensor:
        """Return one image as bytes (C, H, W)."""
        return _decode(self._paths[index], self._params)


def _image_source(paths: list[Path], labels_N: Tensor, params: ImageFolderParams) -> Source:
    files = ImageFiles(paths, labels_N, params)
    size = len(paths) * params.channels * params.image_size**2
    if size > RESIDENT_LIMIT_BYTES or not paths:
        return files
    pixels_N = torch.stack([files.decode(i) for i in range(len(paths))])
    grey = torch.tensor(_GREY)
    return ResidentSource(pixels_N, labels_N, mean=grey, std=grey)


def _decode(path: Path, params: ImageFolderParams) -> Tensor:
    pixels = decode_image(path, params.image_size, params.channels)
    return torch.from_numpy(pixels).permute(2, 0, 1)


def _parts(root: Path) -> dict[SplitName, Path]:
    """The folders of splits below `root`; none unless there is one to train on."""
    parts: dict[SplitName, Path] = {}
    for folder in _folders(root):
        name = _PARTS.get(folder.name.lower())
        if name is not None and name in parts:
            raise DatasetError(
                f"both {parts[name].name!r} and {folder.name!r} are the {name} split",
                where=str(root),
            )
        if name is not None:
            parts[name] = folder
    return parts if "train" in parts else {}


def _folders(root: Path) -> list[Path]:
    return sorted(path for path in root.iterdir() if path.is_dir() and not _is_left_behind(path))


def _is_left_behind(path: Path) -> bool:
    return path.name.startswith((".", "__"))


def _class_folders(root: Path) -> dict[str, Path]:
    """The folders of classes by their names, sorted by these.

    Raises:
        DatasetError: two of them have the same name, composed in two ways.
    """
    found: dict[str, Path] = {}
    for folder in _folders(root):
        name = _composed(folder.name)
        if name in found:
            text = f"two folders are called {name!r}, its accents composed in two ways"
            raise DatasetError(text, where=str(root))
        found[name] = folder
    return dict(sorted(found.items()))


def _composed(name: str) -> str:
    r"""One spelling for what looks the same; bytes that are no UTF-8 become `\xff`."""
    shown = os.fsencode(name).decode("utf-8", errors="backslashreplace")
    return unicodedata.normalize("NFC", shown)


def _images_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if _is_image(path, folder))


def _require_images(found: Mapping[str, list[Path]], folders: Mapping[str, Path]) -> None:
    empty = [str(folders[name]) for name, paths in found.items() if not paths]
    if empty:
        raise DatasetError(
            f"holds no images ({', '.join(sorted(_SUFFIXES))}): remove the folder, or put the "
            "images of its class there",
            where=empty[0],
        )


def _labelled(by_class: Iterable[list[Path]]) -> tuple[list[Path], Tensor]:
    """The paths of all classes in their order, each with the number of its class."""
    pairs = [(path, label) for label, paths in enumerate(by_class) for path in paths]
    return [path for path, _ in pairs], torch.tensor([label for _, label in pairs])


def _list_part(
    root: Path, part: SplitName, class_names: tuple[str, ...]
) -> tuple[list[Path], Tensor]:
    """The images of a split of its own, and their labels.

    Raises:
        DatasetError: it does not tell the classes of its images, or one that is not trained on, or
            has no images.
    """
    annotations = root / f"{part}{_LIST}"
    if annotations.is_file():
        return _annotated(root / "images", annotations, class_names)
    folders = _class_folders(root)
    if not folders.keys() & set(class_names):
        raise DatasetError(
            f"the {part} split tells no classes: it has neither their folders nor the file "
            f"{annotations.name}",
            where=str(root),
        )
    for name in folders.keys() - set(class_names):
        raise DatasetError(
            f"is no class to train on; {did_you_mean(name, class_names)}",
            where=str(folders[name]),
        )
    paths, labels_N = _labelled(
        _images_in(folders[name]) if name in folders else [] for name in class_names
    )
    if not paths:
        raise DatasetError(f"no images under {root.absolute()}", where="data_path")
    return paths, labels_N


def _annotated(
    folder: Path, annotations: Path, class_names: tuple[str, ...]
) -> tuple[list[Path], Tensor]:
    """Images as a table lists them: a line of name, class and more, parted by tabs, for each."""
    index = {name: label for label, name in enumerate(class_names)}
    paths: list[Path] = []
    labels: list[int] = []
    try:
        lines = annotations.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DatasetError(f"cannot be read: {error}", where=str(annotations)) from error
    for number, line in enumerate(lines, start=1):
        name, _, rest = line.partition("\t")
        label = index.get(_composed(rest.partition("\t")[0].strip()))
        if label is None or Path(name).name != name:
            raise DatasetError(
                f"{line[:80]!r} is no image and one of the classes to train on",
                where=f"{annotations}:{number}",
            )
        paths.append(folder / name)
        labels.append(label)
    if not paths:
        raise DatasetError("lists no images", where=str(annotations))
    return paths, torch.tensor(labels)


def files_of(root: Path) -> list[Path]:
    """All that may be read of a dataset below `root`: images, and lists of them."""
    lists = (path for path in root.rglob(f"*{_LIST}") if path.is_file())
    return sorted([*_images_in(root), *lists])


def _is_image(path: Path, folder: Path) -> bool:
    """By its name; `.ipynb_checkpoints/a.png` and macOS's `._a.png` do not count."""
    inside = path.relative_to(folder).parts
    is_left_behind = any(part.startswith((".", "__")) for part in inside)
    return path.suffix.lower() in _SUFFIXES and not is_left_behind and not path.is_dir()
