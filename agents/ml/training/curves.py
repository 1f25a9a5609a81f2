"""A run's history for TensorBoard, beside metrics.jsonl. Needs the extra `tensorboard`."""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from agents.ml.errors import ConfigError


class Curves:
    """The numbers of each epoch, in the folder `tensorboard` of an experiment."""

    def __init__(self, experiment_dir: Path) -> None:
        """Raise ConfigError where TensorBoard is not installed."""
        self._folder = experiment_dir / "tensorboard"
        self._open()

    def rewrite(self, history: Sequence[Mapping[str, Any]]) -> None:
        """Make the curves say exactly this: a run that goes on has unsaid some of its epochs."""
        self._writer.close()
        shutil.rmtree(self._folder, ignore_errors=True)
        self._open()
        for record in history:
            self.add(record)

    def add(self, record: Mapping[str, Any]) -> None:
        for name, value in record.items():
            if name != "epoch" and isinstance(value, int | float) and math.isfinite(value):
                self._writer.add_scalar(name, value, record["epoch"])
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()

    def _open(self) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter  # noqa: PLC0415  an extra
        except ImportError as error:
            text = "needs TensorBoard; run: pip install 'guildbus[tensorboard]'"
            raise ConfigError(text, where="tensorboard") from error
        self._writer: Any = SummaryWriter(str(self._folder))
