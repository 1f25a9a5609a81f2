"""How long studies have been at work, by heartbeats that are kept on the disk.

While a study is under way, its researcher's process counts the time from beat to beat. So a trial
counts as long as it takes, and the time in which the process was killed, stopped or asleep with
its machine does not. A kill loses what came after the last beat, and what a process does for a
study before that study's first message comes to it is not counted.
"""

import asyncio
import os
import time
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from pydantic import BaseModel, ValidationError

from agents.ml.atomic_files import atomic_file
from agents.research.job_properties import VAULTS
from agents.research.researcher.state import Study
from messaging.process.logs import get_logger

log = get_logger()

_BEAT_S = 1.0
_PAUSE_S = 15.0  # without a beat: more than a busy machine takes, so nothing ran


class _Worked(BaseModel):
    """Attributes:
    began_at: when the study began; another one may have had its name.
    """

    began_at: float
    worked_s: float


class _Running:
    def __init__(self, path: Path, worked: _Worked, now_s: float) -> None:
        self.path, self.worked, self.at_s = path, worked, now_s


class WorkClock:
    """Counts for the studies that are under way in this process; any thread may call.

    Several processes may count for the same study: a second in which two were at work is one.
    """

    def __init__(self, workspace: Path, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._workspace, self._monotonic = workspace, monotonic
        self._running: dict[str, _Running] = {}
        self._lock = Lock()

    def elapsed_s(self, study: Study) -> float:
        """How long `study` has been at work until now, as far as any process has told."""
        with self._lock:
            running = self._running.get(study.request.name)
            if running is None or running.worked.began_at != study.started_at:
                running = self._taken_up(study)
            self._advance(running)
            return max(study.elapsed_s, running.worked.worked_s)

    def start(self, study: Study) -> None:
        """Count for `study` from now on; one that is counted for already goes on."""
        with self._lock:
            running = self._running.get(study.request.name)
            if running is None or running.worked.began_at != study.started_at:
                self._running[study.request.name] = self._taken_up(study)

    def stop(self, study: Study) -> None:
        with self._lock:
            self._running.pop(study.request.name, None)

    def beat(self) -> None:
        """Count the time since the last beat, and keep it."""
        with self._lock:
            for running in self._running.values():
                self._advance(running)
            for running in self._running.values():
                try:
                    _write(running.path, running.worked)
                except OSError as error:  # a full disk: the messages of the study count as well
                    log.warning("study.clock_not_kept", error=str(error))

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await asyncio.sleep(_BEAT_S)
            if self._running:
                await asyncio.to_thread(self.beat)

    def _taken_up(self, study: Study) -> _Running:
        vault = os.path.normpath(f"{VAULTS}/{study.request.folder}")
        path = self._workspace / vault / "worked.json"
        worked = _Worked(began_at=study.started_at, worked_s=study.elapsed_s)
        running = _Running(path, worked, self._monotonic())
        self._advance(running)
        return running

    def _advance(self, running: _Running) -> None:
        now_s = self._monotonic()
        passed_s, running.at_s = now_s - running.at_s, now_s
        worked_s = running.worked.worked_s + (passed_s if passed_s <= _PAUSE_S else 0.0)
        kept = _read(running.path)
        if kept is not None and kept.began_at == running.worked.began_at:
            worked_s = max(worked_s, kept.worked_s)
        running.worked = running.worked.model_copy(update={"worked_s": worked_s})


def _read(path: Path) -> _Worked | None:
    try:
        return _Worked.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None


def _write(path: Path, worked: _Worked) -> None:
    """Not synced to the disk: a process that is killed leaves what it wrote."""
    with atomic_file(path, is_private=False, is_synced=False) as file:
        file.write(worked.model_dump_json().encode())
