"""The session in which a model is examined: a handout goes out, what comes back is scored."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.ml.data import Dataset, dataset_task, load_dataset
from agents.ml.data.dataset import SplitName, check_labels
from agents.ml.errors import DatasetError, ScoringError
from agents.ml.training.arrays import read_foreign
from agents.ml.training.claims import Claims, MaterialClaims, claims, self_reported
from agents.ml.training.experiment import finite_mapping
from agents.ml.training.handout import Handout, hand_out, hidden_paths
from agents.ml.training.progress import Channel
from agents.ml.training.scoring import ROWS, Measure, Targets, rows_at_once

_JOBS = "agents.ml.training.distant"
_SCRIPTED = "custom_dataset_script"
_TARGETS = {"classification": ("int64", 1), "regression": ("float32", 2), "causal_lm": ("int64", 2)}


@dataclass(frozen=True)
class Exam:
    """Which split of which dataset a model is scored on, and by what."""

    dataset: str
    params: dict[str, Any]
    num_classes: int | None
    measure: Measure
    scored: SplitName = "val"
    trains: bool = True

    @property
    def named(self) -> dict[str, Any]:
        return {"dataset": self.dataset, "params": self.params, "num_classes": self.num_classes}


class Examination:
    """Has a model's code run on a handout, and scores what it puts out.

    Attributes:
        dataset: without splits where a script of the user's makes them.
        targets: of the split that is scored.
    """

    def __init__(self, channel: Channel, folder: Path, exam: Exam) -> None:
        """Read the dataset, and write the handout to `folder`, which the host removes again."""
        folder = folder.absolute()
        folder.mkdir(parents=True, exist_ok=True)
        self._channel, self._exam, self._outputs = channel, exam, folder / "outputs"
        if exam.dataset == _SCRIPTED:
            self._handout, self.dataset, targets_N = _materialised(channel, folder, exam)
            self.targets = Targets(self.dataset, targets_N, exam.measure)
        else:
            self.dataset = load_dataset(exam.dataset, exam.params, num_classes=exam.num_classes)
            self.targets = Targets.of(self.dataset, self.dataset.split(exam.scored), exam.measure)
            self._handout = hand_out(
                self.dataset, exam.scored, folder, named=exam.named, trains=exam.trains
            )

    def run(
        self,
        job: str,
        payload: dict[str, Any],
        answer: Callable[[dict[str, Any]], dict[str, float]],
    ) -> dict[str, Any]:
        """Have a job of `distant` run; return its result. Its questions are `answer`ed."""
        place = {
            "handout": self._handout,
            "output_shape": list(self.targets.output_shape),
            "outputs": str(self._outputs),
        }
        hidden = hidden_paths(self._exam.dataset, self._exam.params, self._handout)
        asked = {"job": f"{_JOBS}:{job}", "payload": {**payload, "place": place}, "hidden": hidden}
        said = self._channel.ask({"run": asked})
        while "question" in said:
            scores = answer(said["question"])
            said = self._channel.ask({"reply": finite_mapping(scores)})
        result: dict[str, Any] = said["result"]
        return result

    def self_reported(self, kind: type[Claims]) -> list[str]:
        """Return the keys of a result that are told as the model's process said them."""
        return self_reported(kind, self.dataset.task)

    def score(self, *, of: str) -> dict[str, float]:
        """Score what was put out last.

        Raises:
            ScoringError: naming `of`, which did not put out what it had to.
        """
        shape = self.targets.output_shape
        array = {"path": self._outputs, "dtype": "float32", "shape": [len(self.targets), *shape]}
        try:
            return self.targets.score({}, read_foreign(array, rows_at_once(shape)))
        except ScoringError as error:
            raise ScoringError(str(error), where=of) from error


def _materialised(channel: Channel, folder: Path, exam: Exam) -> tuple[Handout, Dataset, Tensor]:
    """Have the user's script run, and take the targets away before a model's code runs."""
    payload = {**exam.named, "scored": exam.scored, "trains": exam.trains, "folder": str(folder)}
    asked = {"job": f"{_JOBS}:materialise", "payload": payload, "hidden": []}
    where = str(exam.params["script_path"])
    said = claims(MaterialClaims, channel.ask({"run": asked})["result"], of=where)
    task = dataset_task(exam.dataset, exam.params)
    dataset = Dataset(exam.dataset, task, (), exam.num_classes, {})
    dtype, dimensions = _TARGETS[task]
    path, shape = folder / "targets", said["shape"]
    if said["dtype"] != dtype or len(shape) != dimensions:
        raise DatasetError(f"its targets are {said['dtype']} of shape {shape}", where=where)
    array = {"path": path, "dtype": dtype, "shape": shape}
    targets_N = torch.cat(list(read_foreign(array, ROWS)))
    path.unlink()
    if exam.num_classes is not None:
        check_labels(targets_N, exam.num_classes, where=where)
    return said["handout"], dataset, targets_N
