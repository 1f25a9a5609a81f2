"""The folder of a run, which survives the run's death at any moment.

config.json                  what was asked for
metrics.jsonl                one line per epoch
tensorboard/                 the same for TensorBoard, where that was asked for
checkpoints/step_000123.pt   everything needed to go on
checkpoints/best_000100.pt   the best weights, named by the step they were reached at
result.json                  there once the run has ended
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from agents.ml.atomic_files import write_text_atomically
from agents.ml.checkpoints import load_checkpoint, save_checkpoint
from agents.ml.config import differing_keys
from agents.ml.errors import CheckpointError
from agents.ml.plain_files import read_plain
from agents.ml.training.curves import Curves
from agents.ml.training.locks import hold
from agents.ml.training.names import settled_name


class Experiment:
    """One named run under a base folder, held by one process at a time.

    Raises:
        ConfigError: a name that is no plain file name.
        CheckpointError: the name belongs to a run with another configuration (its differing keys
            are named), or another process is training it now.
    """

    def __init__(self, name: str | None, base: str | Path, config: Mapping[str, Any]) -> None:
        """Open the run, or start it; `config` is JSON. Keys ending in `_path` may differ later."""
        self.name = settled_name(name)
        self.folder = Path(base) / self.name
        self._curves: Curves | None = None
        self._checkpoints = self.folder / "checkpoints"
        self._checkpoints.mkdir(parents=True, exist_ok=True)
        self._lock = hold(self.folder / ".lock", self.folder)
        try:
            self._settle_config(config)
        except BaseException:
            self._lock.close()
            raise

    def close(self) -> None:
        """Let other processes have the run."""
        if self._curves is not None:
            self._curves.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def result(self) -> dict[str, Any] | None:
        """Return the result of a run that has ended, else None."""
        path = self.folder / "result.json"
        return read_json(path) if path.exists() else None

    def finish(self, result: Mapping[str, Any]) -> None:
        write_result(self.folder, result)

    def latest(self, warnings: list[str]) -> dict[str, Any] | None:
        """Return the newest checkpoint that is whole; a damaged one becomes a warning."""
        return _latest(self.folder, warnings)

    def save(self, step: int, state: dict[str, Any], *, keep_last: int) -> None:
        """Write a checkpoint; only then drop older ones, and bests that none of the kept names."""
        newest = self._checkpoints / f"step_{step:09d}.pt"
        save_checkpoint(newest, state)
        checkpoints = [path for path in _files(self.folder, "step") if path <= newest]
        stale, kept = checkpoints[:-keep_last], checkpoints[-keep_last:]
        bests = _files(self.folder, "best")
        reached = [best for best in bests if _step_of(best) <= _step_of(kept[0])]
        for path in [*stale, *reached[:-1]]:
            if path.name != state["best_file"]:
                path.unlink()

    def save_best(self, step: int, state: dict[str, Any]) -> str:
        """Write the best weights and return their file's name.

        The previous best stays until a checkpoint names this one, so that a run which dies in
        between finds the best its checkpoint knows.
        """
        name = f"best_{step:09d}.pt"
        save_checkpoint(self._checkpoints / name, state)
        return name

    def write_history(self, history: list[dict[str, Any]]) -> None:
        """Make metrics.jsonl, and the curves if there are any, say exactly this."""
        write_history(self.folder, history)
        if self._curves is not None:
            self._curves.rewrite(history)

    def append(self, record: dict[str, Any]) -> None:
        """Add a line to metrics.jsonl."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as file:
            file.write(json_line(record))
        if self._curves is not None:
            self._curves.add(record)

    def draw(self) -> None:
        """Keep curves for TensorBoard, too.

        Raises:
            ConfigError: it is not installed.
        """
        self._curves = Curves(self.folder)

    def _has_begun(self) -> bool:
        return has_checkpoint(self.folder) or self.result() is not None

    def _settle_config(self, config: Mapping[str, Any]) -> None:
        path = self.folder / "config.json"
        if not path.exists() or not self._has_begun():
            _write_json(path, config)  # one that failed before a checkpoint does not bind
            return
        require_same(config, read_json(path), where=str(self.folder))


def require_same(ours: Mapping[str, Any], theirs: Mapping[str, Any], *, where: str) -> None:
    """Refuse to go on with an experiment that was asked to do something else.

    Raises:
        CheckpointError: naming the keys that differ. The script's place may.
    """
    ours = {key: value for key, value in ours.items() if key in theirs or key != "data_sha256"}
    keys = differing_keys(ours, dict(theirs))  # earlier versions did not note their data
    different = [key for key in keys if not key.endswith("model_script_path")]
    if different:
        raise CheckpointError(
            f"an experiment of this name has another configuration: {', '.join(different)} "
            "differ; choose another experiment_name or the configuration it began with",
            where=where,
        )


def write_history(folder: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Make an experiment's metrics.jsonl say exactly this."""
    lines = "".join(json_line(record) for record in history)
    write_text_atomically(folder / "metrics.jsonl", lines)


def write_result(folder: Path, result: Mapping[str, Any]) -> None:
    """Write an experiment's result.json."""
    _write_json(folder / "result.json", result)


def has_checkpoint(folder: Path) -> bool:
    """Whether an experiment has come to its first checkpoint."""
    return bool(_files(folder, "step"))


def checkpoint_path(folder: Path, which: str) -> Path:
    """Return the file of an experiment's checkpoint: `best`, `last`, or a path as it is.

    Raises:
        CheckpointError: there is none.
    """
    if which not in ("best", "last"):
        return Path(which)
    if which == "last":
        steps = _files(folder, "step")
        name = steps[-1].name if steps else None
    else:
        latest = _latest(folder, [])
        name = latest["best_file"] if latest else None
    if name is None:
        raise CheckpointError(f"has no {which} checkpoint", where=str(folder))
    return folder / "checkpoints" / name


def json_line(record: Mapping[str, Any]) -> str:
    """Return one line of JSON; numbers that are not finite become null."""
    return json.dumps(finite_mapping(record), allow_nan=False) + "\n"


def finite_mapping(values: Mapping[str, Any]) -> dict[str, Any]:
    """Replace numbers that JSON cannot say by None, inside lists and mappings too."""
    return {key: _finite(value) for key, value in values.items()}


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return finite_mapping(value)
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def _latest(folder: Path, warnings: list[str]) -> dict[str, Any] | None:
    for path in reversed(_files(folder, "step")):
        try:
            return load_checkpoint(path)
        except CheckpointError as error:
            warnings.append(f"{error}; went on from an older checkpoint")
    return None


def _files(folder: Path, kind: str) -> list[Path]:
    return sorted((folder / "checkpoints").glob(f"{kind}_*.pt"))


def _step_of(path: Path) -> int:
    return int(path.stem.partition("_")[2])


def _write_json(path: Path, value: Mapping[str, Any]) -> None:
    text = json.dumps(finite_mapping(value), indent=2, allow_nan=False) + "\n"
    write_text_atomically(path, text)


def read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(read_plain(path))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot be read: {error}", where=str(path)) from error
    if not isinstance(value, dict):
        raise CheckpointError("holds no JSON object", where=str(path))
    return value
