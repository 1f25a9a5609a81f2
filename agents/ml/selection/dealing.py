"""A study's data on the disk: what trials may see, and what they are held to.

In the study's folder, for everybody:

facts.json       what kind of data it is
inputs.npy       samples to learn from and to select by, standardised; texts.json for text
test_inputs.npy  samples of the held-out test; test_texts.json for text
corpus.txt       the texts to learn a tokenizer from

In the vault, which no model's code can reach:

answers.json     the classes of both, the folds, and where else the answers lie on this machine
dealt.json       whose data these are; see `dealt`
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel

from agents.ml.atomic_files import write_text_atomically
from agents.ml.config import read_config, require_known
from agents.ml.data import check_dataset, dataset_task, load_dataset, places_of
from agents.ml.data.batches import in_order
from agents.ml.data.bundled import SplitParams
from agents.ml.data.custom import CustomParams
from agents.ml.data.dataset import Dataset, SplitName
from agents.ml.data.image_folder import ImageFolderParams
from agents.ml.data.label_kinds import require_classes
from agents.ml.data.splits import stratified_split
from agents.ml.data.tabular import Delimiter, class_indices, read_csv, read_labels
from agents.ml.errors import DatasetError
from agents.ml.selection.answers import ANSWERS, Answers
from agents.ml.selection.dealt import (
    DEALT,
    FACTS,
    Dealt,
    clear,
    digest_of_content,
    digest_of_request,
)
from agents.ml.selection.doubts import copies, giveaways
from agents.ml.selection.facts import Facts, Kind
from agents.ml.training.handout import hidden_paths

Array = NDArray[Any]

_BATCH_SIZE = 4096
_TEXTS = "text_classification"
_MOST_DOUBTS = 3


class LabelledTexts(SplitParams):
    """A CSV file with a column of text and a column of labels."""

    data_path: str
    text_column: str = "text"
    label_column: str = "label"
    delimiter: Delimiter = ","


def deal(payload: dict[str, Any], _report: Any) -> dict[str, Any]:
    """Write a study's data and return its facts. Done before for the same, it is not done again.

    What lies there of another request or source, or was changed since, is dealt anew.

    Payload: `dataset`, `dataset_params`, `data` and `vault` (folders), `folds`, `max_samples` to
    learn from, `max_test_samples`, `split` (the seed of what is chosen).

    Raises:
        DatasetError, ConfigError: no such dataset, or not one with classes.
    """
    folder, vault = Path(payload["data"]), Path(payload["vault"])
    asked = digest_of_request(payload, _source(payload))
    before = Dealt.read(vault)
    if before == Dealt(asked=asked, content=digest_of_content(folder, vault)):
        return read_facts(folder).model_dump(mode="json")
    clear(folder, vault)
    vault.mkdir(parents=True, exist_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    if payload["dataset"] == _TEXTS:
        facts = _deal_texts(payload, folder)
    else:
        facts = _deal_arrays(payload, folder)
    _write(folder / FACTS, facts)
    _write(vault / DEALT, Dealt(asked=asked, content=digest_of_content(folder, vault)))  # last
    return facts.model_dump(mode="json")


def read_facts(folder: Path) -> Facts:
    return Facts.model_validate_json((folder / FACTS).read_text("utf-8"))


def _source(payload: dict[str, Any]) -> list[Path]:
    """The files and folders that the data are dealt from."""
    name, params = payload["dataset"], payload["dataset_params"]
    if name == _TEXTS:
        return [Path(read_config(LabelledTexts, params, where="dataset_params").data_path)]
    match check_dataset(name, params):
        case ImageFolderParams() as images:
            return [Path(images.data_path)]
        case CustomParams() as custom:
            return [Path(custom.script_path)]
        case _:
            return places_of(name, params)


def _deal_arrays(payload: dict[str, Any], folder: Path) -> Facts:
    name, params = payload["dataset"], payload["dataset_params"]
    if dataset_task(name, params) != "classification":
        raise DatasetError(
            "the researcher compares models that tell classes apart, and needs a dataset with "
            "classes; numbers are predicted by a trainer, or sorted into a few ranges beforehand",
            where=name,
        )
    dataset = load_dataset(name, params)
    parts = [_arrays(dataset, split) for split in ("train", "val")]
    inputs_N = np.concatenate([inputs for inputs, _ in parts])
    labels_N = np.concatenate([labels for _, labels in parts])
    picked = _subset(labels_N, payload["max_samples"], payload["split"])
    inputs_N, labels_N = inputs_N[picked], labels_N[picked]
    test_inputs_N, test_labels_N = _arrays(dataset, "test")
    tested = _subset(test_labels_N, payload["max_test_samples"], payload["split"])
    _save(folder / "inputs.npy", inputs_N)
    _save(folder / "test_inputs.npy", test_inputs_N[tested])
    kind: Kind = "image" if len(dataset.input_shape) > 1 else "table"
    doubts = copies(map(_bytes, inputs_N), (_bytes(test_inputs_N[at]) for at in tested))
    if kind == "table":
        doubts += giveaways(inputs_N, labels_N, dataset.feature_names)
    return _finish(
        payload,
        kind=kind,
        doubts=doubts,
        input_shape=dataset.input_shape,
        class_names=dataset.class_names or tuple(map(str, range(dataset.num_classes or 0))),
        labels_N=labels_N,
        test_labels_N=test_labels_N[tested],
        hidden=hidden_paths(name, params, {}),
    )


def _deal_texts(payload: dict[str, Any], folder: Path) -> Facts:
    params = read_config(LabelledTexts, payload["dataset_params"], where="dataset_params")
    path = Path(params.data_path)
    header, rows = read_csv(path, params.delimiter)
    for key in ("text_column", "label_column"):
        require_known(getattr(params, key), header, what="column", where=key)
    labels = read_labels(rows, params.label_column, path)
    require_classes(labels, params.label_column, where=str(path))
    labels_N, names = class_indices(labels)
    indices = stratified_split(
        labels_N,
        val_fraction=params.val_fraction,
        test_fraction=params.test_fraction,
        seed=params.split_seed,
    )
    learn = torch.cat([indices["train"], indices["val"]]).numpy()
    learn = learn[_subset(labels_N.numpy()[learn], payload["max_samples"], payload["split"])]
    texts = [row[params.text_column] for _, row in rows]
    if not any(map(str.strip, texts)):
        raise DatasetError(f"column {params.text_column!r} holds no text at all", where=str(path))
    for file, chosen in (("texts", learn.tolist()), ("test_texts", indices["test"].tolist())):
        text = json.dumps([texts[index] for index in chosen])
        (folder / f"{file}.json").write_text(text, "utf-8")
    (folder / "corpus.txt").write_text("\n".join(texts[index] for index in learn), "utf-8")
    return _finish(
        payload,
        kind="text",
        doubts=copies((texts[i] for i in learn), (texts[i] for i in indices["test"])),
        input_shape=(),
        class_names=names,
        labels_N=labels_N.numpy()[learn],
        test_labels_N=labels_N[indices["test"]].numpy(),
        hidden=[str(path.resolve())],
    )


def _finish(
    payload: dict[str, Any],
    *,
    kind: Kind,
    doubts: list[str],
    input_shape: tuple[int, ...],
    class_names: tuple[str, ...],
    labels_N: Array,
    test_labels_N: Array,
    hidden: list[str],
) -> Facts:
    if len(np.unique(labels_N)) < 2 or len(labels_N) < payload["folds"]:  # noqa: PLR2004
        raise DatasetError(
            f"{len(labels_N)} samples of {len(np.unique(labels_N))} classes are too few to select "
            f"by in {payload['folds']} folds",
            where=payload["dataset"],
        )
    answers = Answers(
        labels=labels_N.tolist(),
        folds=_folds(labels_N, payload["folds"], payload["split"]).tolist(),
        test_labels=test_labels_N.tolist(),
        hidden=hidden,
    )
    _write(Path(payload["vault"]) / ANSWERS, answers)
    return Facts(
        kind=kind,
        input_shape=input_shape,
        classes=len(class_names),
        class_names=class_names,
        samples=len(labels_N),
        test_samples=len(test_labels_N),
        folds=payload["folds"],
        chance=float(np.bincount(labels_N).max() / len(labels_N)),
        doubts=tuple(doubts[:_MOST_DOUBTS]),
    )


def _arrays(dataset: Dataset, name: SplitName) -> tuple[Array, Array]:
    split = dataset.split(name)
    batches = [split.batch(positions) for positions in in_order(len(split), _BATCH_SIZE)]
    inputs_N = torch.cat([inputs_B for inputs_B, _ in batches])
    return inputs_N.numpy(), torch.cat([labels_B for _, labels_B in batches]).numpy()


def _bytes(sample: Array) -> bytes:
    return sample.tobytes()


def _subset(labels_N: Array, most: int, seed: int) -> Array:
    """The positions of at most `most` samples, each class with its share."""
    if len(labels_N) <= most:
        return np.arange(len(labels_N))
    share = most / len(labels_N)
    random = np.random.default_rng(seed)
    kept = [
        random.permutation(members)[: max(1, round(len(members) * share))]
        for members in (np.flatnonzero(labels_N == label) for label in np.unique(labels_N))
    ]
    return np.sort(np.concatenate(kept))


def _folds(labels_N: Array, folds: int, seed: int) -> Array:
    """A fold for each sample; every class is dealt out evenly."""
    random = np.random.default_rng(seed)
    dealt_N = np.empty(len(labels_N), dtype=np.int64)
    start = 0
    for label in np.unique(labels_N):
        members = random.permutation(np.flatnonzero(labels_N == label))
        dealt_N[members] = (start + np.arange(len(members))) % folds
        start += len(members)  # so that small classes do not all fill the first fold
    return dealt_N


def _write(path: Path, told: BaseModel) -> None:
    write_text_atomically(path, told.model_dump_json())


def _save(path: Path, values: Array) -> None:
    np.save(path, values, allow_pickle=False)
