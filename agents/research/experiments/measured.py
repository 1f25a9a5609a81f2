"""What a trial that runs has measured until now, in a file of its own beside the store.

The store keeps a trial's history once it has ended; until then its curves are read from here.
"""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agents.research.experiments.store import store_path
from agents.research.jobs import Audience
from guild.progress import Measured

_MOST_LINES = 2_000  # then every other measurement is left out, twice as many each time
_KEPT_S = 7 * 86_400.0  # of a trial that was cut short and not taken up again


def measured_path(workspace: Path, trial_id: str) -> Path:
    return store_path(workspace).parent / "running" / f"{trial_id}.jsonl"


def noting(workspace: Path, trial_id: str, audience: Audience) -> Audience:
    """An audience that hands on to `audience`, and writes down what was measured.

    What cannot be written is not: the work matters more. Without a trial nothing is.
    """
    return _Noting(measured_path(workspace, trial_id), audience) if trial_id else audience


def read_measured(workspace: Path, trial_id: str) -> list[dict[str, Any]]:
    """The records of a trial that were written down; an empty list without a file."""
    records = []
    with suppress(OSError), measured_path(workspace, trial_id).open("rb") as file:
        for line in file:
            with suppress(ValueError):  # of a line that was cut when its writer was killed
                records.append(json.loads(line))
    return records


def forget_measured(workspace: Path, trial_id: str) -> None:
    """Once the store has what came of it; and with it what was left behind long ago."""
    path = measured_path(workspace, trial_id)
    with suppress(OSError):
        path.unlink(missing_ok=True)
        for other in _left_behind(path.parent):
            other.unlink(missing_ok=True)


def _left_behind(folder: Path) -> Iterator[Path]:
    for path in folder.glob("*.jsonl"):
        if path.stat().st_mtime < time.time() - _KEPT_S:
            yield path


class _Noting:
    def __init__(self, path: Path, audience: Audience) -> None:
        self._path, self._audience = path, audience
        self._lines = self._seen = 0
        self._every = 1

    def emit(self, message: BaseModel, /) -> None:
        self._audience.emit(message)
        if isinstance(message, Measured):
            self._seen += 1
            if self._seen % self._every == 0:
                self._note({**message.values, "step": message.step})

    def _note(self, record: Mapping[str, float]) -> None:
        with suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
        self._lines += 1
        if self._lines % _MOST_LINES == 0:
            self._every *= 2
