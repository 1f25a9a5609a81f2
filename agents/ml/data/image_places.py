"""Where the files of named image datasets lie, and how they get there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field

from agents.ml.config import StrictConfig
from agents.ml.data.downloads import download, unpack
from agents.ml.data.files import find_together
from agents.ml.data.remotes import REMOTES
from agents.ml.errors import DatasetError

Part = Literal["train", "test"]
Roles = list[tuple[str, ...]]  # for each file that is needed, the names it may have

DEFAULT_ROOT = "data"

# The first is where downloads go.
_INNER: Mapping[str, tuple[str, ...]] = {
    "mnist": ("mnist", "MNIST/raw", "MNIST"),
    "fashion_mnist": ("fashion-mnist", "fashion_mnist", "FashionMNIST/raw", "FashionMNIST"),
    "cifar10": ("cifar-10-batches-bin", "cifar-10-batches-py", "cifar10"),
}
_INSTALLED = {"fashion_mnist": Path("/usr/share/datasets/fashion-mnist")}
_PACKAGES = {"fashion_mnist": "apt-get install dataset-fashion-mnist"}  # of Debian
_CIFAR_TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
_CIFAR_TEST = ("test_batch",)


class ImageFileParams(StrictConfig):
    """Where an image dataset with an official test set lies; validation is cut from training.

    Attributes:
        data_path: the folder of its files, one above it, or an .npz file. Without it they are
            looked for in `data`, and where the system's packages have them.
        download: fetch what is missing into `data_path`; needs a network.
    """

    data_path: str | None = None
    download: bool = False
    split: Literal["train"] = "train"
    val_fraction: float = Field(default=0.1, gt=0, lt=1)
    split_seed: int = Field(default=0, ge=0)


def image_folders(name: str, params: ImageFileParams) -> list[Path]:
    """The folders in which to look, the most particular first.

    MNIST and Fashion-MNIST call their files the same: without a `data_path` nothing that lies in
    `data` itself is taken for the latter.
    """
    root = _root(params)
    inner = [root / folder for folder in _INNER[name]]
    if params.data_path is None and name in _INSTALLED:
        return [*inner, _INSTALLED[name]]
    return [*inner, root]


def find_image_files(name: str, params: ImageFileParams, roles: Roles) -> list[Path]:
    """Return a file for each role, or the one .npz file that has everything.

    What is missing is downloaded where `params` say so.

    Raises:
        DatasetError: they are nowhere, or cannot be downloaded.
    """
    found = _find(name, params, roles)
    if found is None and params.download:
        _fetch(name, params)
        found = _find(name, params, roles)
    if found is None:
        raise _missing(name, params, roles)
    return found


def whereabouts(name: str, params: ImageFileParams) -> list[Path]:
    """Every folder that may hold samples of the dataset, and the files that do."""
    roles_of = cifar_roles if name == "cifar10" else idx_roles
    parts: tuple[Part, Part] = ("train", "test")
    found = [_find(name, params, roles_of(part)) or [] for part in parts]
    folders = image_folders(name, params)
    given = Path(params.data_path or DEFAULT_ROOT)
    return [given, *folders, *(path for paths in found for path in paths)]


def idx_roles(part: Part) -> Roles:
    """Names of images and labels of MNIST and what is distributed like it."""
    stem = "train" if part == "train" else "t10k"
    roles: Roles = []
    for base, rank in ((f"{stem}-images", 3), (f"{stem}-labels", 1)):
        names = (f"{base}-idx{rank}-ubyte", f"{base}.idx{rank}-ubyte")
        roles.append(tuple(file for name in names for file in (name, f"{name}.gz")))
    return roles


def cifar_roles(part: Part) -> Roles:
    """Names of CIFAR-10's batches, binary or pickled."""
    stems = _CIFAR_TRAIN if part == "train" else _CIFAR_TEST
    return [(f"{stem}.bin", stem) for stem in stems]


def _find(name: str, params: ImageFileParams, roles: Roles) -> list[Path] | None:
    given = Path(params.data_path or DEFAULT_ROOT)
    if given.suffix == ".npz" and given.is_file():
        return [given]
    folders = image_folders(name, params)
    return find_together(folders, roles) or find_together(folders, [(f"{name}.npz",)])


def _fetch(name: str, params: ImageFileParams) -> None:
    folder = _root(params) / _INNER[name][0]
    if name != "cifar10":
        for remote in REMOTES[name]:
            download(remote, folder)
        return
    archive = download(REMOTES[name][0], _root(params))
    members = [f"cifar-10-batches-bin/{stem}.bin" for stem in (*_CIFAR_TRAIN, *_CIFAR_TEST)]
    unpack(archive, members, folder)
    archive.unlink(missing_ok=True)


def _missing(name: str, params: ImageFileParams, roles: Roles) -> DatasetError:
    places = ", ".join(str(folder.absolute()) for folder in image_folders(name, params))
    files = ", ".join([*(file for role in roles for file in role), f"{name}.npz"])
    package = f", install them ({_PACKAGES[name]})" if name in _PACKAGES else ""
    return DatasetError(
        f"no files of {name!r} found in {places}; looked for {files}. Put them there{package}, "
        "name their folder as 'data_path' in dataset_params, or set 'download': true in it where "
        "jobs have a network",
        where="data_path",
    )


def _root(params: ImageFileParams) -> Path:
    root = Path(params.data_path or DEFAULT_ROOT)
    return root.parent if root.is_file() else root
