"""Datasets by name: checked parameters in, disjoint splits out."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any, NamedTuple

from agents.ml.config import StrictConfig, read_config, require_known
from agents.ml.data.bundled import (
    SplitParams,
    folder_of_bundled_data,
    load_bundled_table,
    load_digits,
)
from agents.ml.data.custom import CustomParams, load_custom
from agents.ml.data.dataset import Dataset, Source, Split, SplitName, TaskKind
from agents.ml.data.dummy import DummyParams, load_dummy
from agents.ml.data.image_folder import ImageFolderParams, files_of, load_image_folder
from agents.ml.data.image_places import ImageFileParams, whereabouts
from agents.ml.data.images import load_cifar10, load_fashion_mnist, load_mnist
from agents.ml.data.tabular import CsvParams, load_csv
from agents.ml.data.text import (
    TextClassificationParams,
    TextParams,
    load_text,
    load_text_classification,
)

__all__ = [
    "DATASETS",
    "Dataset",
    "Source",
    "Split",
    "SplitName",
    "TaskKind",
    "check_dataset",
    "dataset_task",
    "digest_of_files",
    "load_dataset",
    "places_of",
]


class _Kind(NamedTuple):
    params: type[StrictConfig]
    load: Callable[[Any, int | None], Dataset]


DATASETS: Mapping[str, _Kind] = {
    "digits": _Kind(SplitParams, load_digits),
    "mnist": _Kind(ImageFileParams, load_mnist),
    "fashion_mnist": _Kind(ImageFileParams, load_fashion_mnist),
    "cifar10": _Kind(ImageFileParams, load_cifar10),
    "dummy": _Kind(DummyParams, load_dummy),
    "image_folder": _Kind(ImageFolderParams, load_image_folder),
    "imagenet": _Kind(ImageFolderParams, load_image_folder),
    "imagenet_subset": _Kind(ImageFolderParams, load_image_folder),
    "csv": _Kind(CsvParams, load_csv),
    "tabular": _Kind(CsvParams, load_csv),
    "iris": _Kind(SplitParams, partial(load_bundled_table, "iris")),
    "wine": _Kind(SplitParams, partial(load_bundled_table, "wine")),
    "breast_cancer": _Kind(SplitParams, partial(load_bundled_table, "breast_cancer")),
    "diabetes": _Kind(SplitParams, partial(load_bundled_table, "diabetes")),
    "text": _Kind(TextParams, load_text),
    "text_classification": _Kind(TextClassificationParams, load_text_classification),
    "custom_dataset_script": _Kind(CustomParams, load_custom),
}


def check_dataset(name: str, params: Mapping[str, Any]) -> StrictConfig:
    """Return the checked parameters of a dataset, touching no data.

    Raises:
        ConfigError: unknown dataset, or a key of its parameters that is unknown or wrong.
    """
    require_known(name, DATASETS, what="dataset", where="dataset")
    return read_config(DATASETS[name].params, params, where="dataset_params")


def dataset_task(name: str, params: Mapping[str, Any]) -> TaskKind:
    """Return the task a dataset poses, touching no data.

    Raises:
        ConfigError: as `check_dataset`.
    """
    checked = check_dataset(name, params)
    if isinstance(checked, CsvParams):
        return checked.target
    if isinstance(checked, CustomParams):
        return checked.task
    other: dict[str, TaskKind] = {"diabetes": "regression", "text": "causal_lm"}
    return other.get(name, "classification")


def places_of(name: str, params: Mapping[str, Any]) -> list[Path]:
    """Return the files and folders that hold a dataset's samples, there or not.

    Raises:
        ConfigError: as `check_dataset`.
    """
    match check_dataset(name, params):
        case ImageFileParams() as files:
            return whereabouts(name, files)
        case ImageFolderParams() as folder:
            root = Path(folder.data_path)
            return [root, *(sorted(root.iterdir()) if root.is_dir() else ())]
        case TextParams() as text:
            return [Path(path) for path in text.data_path]
        case CsvParams() | TextClassificationParams() as table:
            return [Path(table.data_path)]
        case SplitParams():
            return [folder_of_bundled_data()]
        case _:
            return []


def digest_of_files(name: str, params: Mapping[str, Any]) -> str:
    """A digest of the user's files that a dataset is read from; "" of one that comes with us.

    Of a folder of images it is their names and sizes, since there may be a million. What systems
    leave behind there, such as `.DS_Store`, changes nothing.

    Raises:
        ConfigError: as `check_dataset`.
    """
    match check_dataset(name, params):
        case CsvParams() | TextClassificationParams() | TextParams():
            told = "".join(map(_sha256, places_of(name, params)))
        case CustomParams() as custom:
            told = _sha256(Path(custom.script_path))
        case ImageFolderParams() as folder:
            root = Path(folder.data_path)
            files = [path for path in files_of(root) if path.is_file()]
            told = json.dumps(
                [[str(each.relative_to(root)), each.stat().st_size] for each in files]
            )
        case _:
            return ""
    return sha256(told.encode(errors="surrogateescape")).hexdigest()


def _sha256(path: Path) -> str:
    """Of a file; "" where there is none, which loading it will tell."""
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()


def load_dataset(
    name: str, params: Mapping[str, Any] | None = None, *, num_classes: int | None = None
) -> Dataset:
    """Open a dataset by name.

    Args:
        name: one of `DATASETS`.
        params: the dataset's own keys, see its params class.
        num_classes: classes the model tells apart; by default as many as the data has.

    Raises:
        ConfigError: as `check_dataset`.
        DatasetError: data that is missing, damaged, empty or out of range.
    """
    checked = check_dataset(name, params or {})
    return DATASETS[name].load(checked, num_classes)
