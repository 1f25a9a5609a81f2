"""What the code of a model gets to see of a dataset: training samples, and inputs to be scored on.

A handout is JSON and the files it names. The targets of what is scored are not in it, save for
text, whose inputs hold them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.ml.bundled_data import bundled_folders
from agents.ml.data import Dataset, Split, load_dataset, places_of
from agents.ml.data.batches import in_order
from agents.ml.data.dataset import ResidentSource, SplitName
from agents.ml.data.text import TokenBlocks
from agents.ml.training.arrays import map_array, write_array
from agents.ml.training.scoring import ROWS

Handout = dict[str, Any]

_FOLDERS = ("image_folder", "imagenet", "imagenet_subset")


def hand_out(
    dataset: Dataset, scored: SplitName, folder: Path, *, named: Mapping[str, Any], trains: bool
) -> Handout:
    """Write the files of a handout to `folder`.

    Args:
        dataset: where the samples come from.
        scored: the split whose inputs are handed out.
        folder: exists, and is empty.
        named: what `load_dataset` was called with. Training samples that are not in memory, as
            those of a script of the user's, are loaded so once more where they are trained on.
        trains: whether training samples are handed out, too.
    """
    split = dataset.split(scored)
    handout = {
        "task": dataset.task,
        "input_shape": list(dataset.input_shape),
        "num_classes": dataset.num_classes,
        "scored": _resident(split, folder, "scored", with_targets=dataset.task == "causal_lm")
        or _batched(split, folder, with_targets=dataset.task == "causal_lm"),
    }
    if trains:
        train = _resident(dataset.split("train"), folder, "train", with_targets=True)
        handout["train"] = train or {"named": dict(named)}
    return handout


def open_handout(handout: Handout) -> Dataset:
    """Return a dataset with `train` and, without its targets, `val`, which is what is scored."""
    train = handout.get("train")
    return Dataset(
        "handout",
        handout["task"],
        tuple(handout["input_shape"]),
        handout["num_classes"],
        {
            "val": lambda: _open(handout["scored"]),
            **({"train": lambda: _open(train)} if train else {}),
        },
    )


def _resident(
    split: Split, folder: Path, stem: str, *, with_targets: bool
) -> dict[str, Any] | None:
    """Write samples that are in memory as they are; None if they are not."""
    source, at = split.source, [split.indices_N[at] for at in in_order(len(split), ROWS)]
    if isinstance(source, TokenBlocks):
        tokens = write_array(folder / f"{stem}.tokens", [source.tokens_N])
        return {"tokens": tokens, "context_length": source.context_length}
    if not isinstance(source, ResidentSource):
        return None
    written = {"inputs": write_array(folder / f"{stem}.inputs", (source.inputs_N[i] for i in at))}
    if with_targets:
        targets = (source.targets_N[i] for i in at)
        written["targets"] = write_array(folder / f"{stem}.targets", targets)
    if source.mean is not None and source.std is not None:
        written["mean"] = write_array(folder / f"{stem}.mean", [source.mean[None]])
        written["std"] = write_array(folder / f"{stem}.std", [source.std[None]])
    return written


def _batched(split: Split, folder: Path, *, with_targets: bool) -> dict[str, Any]:
    """Write samples as the model gets them, batch after batch."""
    positions = list(in_order(len(split), ROWS))
    inputs = (split.batch(at)[0] for at in positions)
    written = {"inputs": write_array(folder / "scored.inputs", inputs)}
    if with_targets:
        targets = (split.batch(at)[1] for at in positions)
        written["targets"] = write_array(folder / "scored.targets", targets)
    return written


def _open(samples: dict[str, Any]) -> Split:
    if "named" in samples:
        named = samples["named"]
        loaded = load_dataset(named["dataset"], named["params"], num_classes=named["num_classes"])
        return loaded.split("train")
    if "tokens" in samples:
        tokens_N = map_array(samples["tokens"])
        blocks = TokenBlocks(tokens_N, torch.zeros(0), samples["context_length"])
        return Split(blocks, torch.arange(len(blocks)))
    inputs_N = map_array(samples["inputs"])
    source = ResidentSource(
        inputs_N,
        map_array(samples["targets"]) if "targets" in samples else torch.empty(len(inputs_N), 0),
        mean=_constant(samples.get("mean")),
        std=_constant(samples.get("std")),
    )
    return Split(source, torch.arange(len(source)))


def _constant(array: dict[str, Any] | None) -> Tensor | None:
    return map_array(array)[0] if array else None


def hidden_paths(name: str, params: Mapping[str, Any], handout: Handout) -> list[str]:
    """Return what the reader of the handout must not see: the data it was made of.

    Bundled data goes with it, whose labels a study may be about. What is trained on is left in
    sight where it is not in the handout, and so is the workspace.
    """
    if "named" in handout.get("train", {}):
        root = Path(params.get("data_path", ""))
        parts = ["val", "test"] if name in _FOLDERS else []
        found = [root / part for part in parts]
    else:
        found = [*places_of(name, params), *bundled_folders()]
    here = Path.cwd()
    resolved = dict.fromkeys(path.resolve() for path in found if path.exists())
    hideable = [path for path in resolved if not here.is_relative_to(path)]
    return [
        str(path)
        for path in hideable
        if not any(path != other and path.is_relative_to(other) for other in hideable)
    ]
