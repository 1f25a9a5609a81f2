"""The scores of an experiment, kept where no model's code can write.

The experiment's own folder is the model's: its files may say anything. What is believed later, when
the same training is asked for again or goes on, is this book.
"""

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from io import BufferedRandom
from pathlib import Path
from typing import Any, Self

from agents.ml.atomic_files import write_text_atomically
from agents.ml.errors import CheckpointError
from agents.ml.training.early_stopping import Best
from agents.ml.training.experiment import has_checkpoint, read_json, require_same
from agents.ml.training.locks import hold


class Scorebook:
    """The scored epochs of one experiment, and its result; `with` keeps other trainings out.

    Attributes:
        identity: what the experiment was asked to do; None if it was never trained here.
        history: a line for each epoch.
        result: None until the run has ended.
    """

    def __init__(self, folder: Path, experiment_dir: Path) -> None:
        """Open the book of the experiment in `experiment_dir`; a new one is empty.

        Raises:
            CheckpointError: a link leads there, and may lead elsewhere tomorrow.
        """
        name = sha256(str(_place(experiment_dir)).encode()).hexdigest()[:32]
        self._path, self._experiment_dir = folder / f"{name}.json", experiment_dir
        self._lock: BufferedRandom | None = None
        self.identity: dict[str, Any] | None = None
        self.history: list[dict[str, Any]] = []
        self.result: dict[str, Any] | None = None
        self._read()

    def __enter__(self) -> Self:
        """Hold the book.

        Raises:
            CheckpointError: another process is training this experiment.
        """
        self._lock = hold(self._path.with_suffix(".lock"), self._experiment_dir)
        self._read()
        return self

    def __exit__(self, *_: object) -> None:
        if self._lock is not None:
            self._lock.close()

    def settle(self, identity: Mapping[str, Any]) -> None:
        """Take the book for this experiment.

        One without a checkpoint is not binding; one whose folder was deleted begins anew.

        Raises:
            CheckpointError: it has scores of one that was asked to do something else.
        """
        is_there = (self._experiment_dir / "config.json").exists()
        has_begun = is_there and (self.result or has_checkpoint(self._experiment_dir))
        if self.identity is not None and has_begun:
            require_same(identity, self.identity, where=str(self._experiment_dir))
        else:
            self.history, self.result = [], None
        self.identity = dict(identity)

    def add(self, record: dict[str, Any]) -> None:
        """Keep the line of an epoch; those of later ones belong to a run that has died.

        Raises:
            CheckpointError: epochs before it are not in the book.
        """
        epoch = record["epoch"]
        if epoch > len(self.history) + 1:
            raise CheckpointError(
                f"epoch {epoch} is to be scored, but only {len(self.history)} before it were "
                "scored here; choose another experiment_name",
                where=str(self._experiment_dir),
            )
        self.history = [*self.history[: epoch - 1], record]
        self._write()

    def best_checkpoint(self, metric: str) -> Path | None:
        """Return where the weights lie that scored best, if the run has left them there.

        What the experiment's own checkpoints say is not read.
        """
        best = Best(metric)
        for record in self.history:
            best.update(record[metric], record["epoch"])
        if best.value is None:
            return None
        name = f"best_{self.history[best.epoch - 1]['step']:09d}.pt"
        path = self._experiment_dir / "checkpoints" / name
        return path if path.is_file() else None

    def close(self, result: dict[str, Any]) -> None:
        """Keep the result."""
        self.result = result
        self._write()

    def _write(self) -> None:
        kept = {"identity": self.identity, "history": self.history, "result": self.result}
        text = json.dumps(kept)  # a score may be NaN, which Python reads again
        write_text_atomically(self._path, text)

    def _read(self) -> None:
        if self._path.exists():
            kept = read_json(self._path)
            self.identity, self.history = kept["identity"], kept["history"]
            self.result = kept["result"]


def _place(experiment_dir: Path) -> Path:
    place = Path(os.path.abspath(experiment_dir))  # noqa: PTH100  links are not followed
    if place != place.resolve():
        raise CheckpointError("lies behind a link; name its own path", where=str(experiment_dir))
    return place
