"""A lock on an experiment, which ends with the process that holds it."""

import fcntl
import time
from pathlib import Path
from typing import IO

from agents.ml.errors import CheckpointError

_WAIT_S = 5.0


def hold(path: Path, experiment_dir: Path) -> IO[str]:
    """Return the file at `path`, locked until it is closed; wait a little for whoever has it.

    Raises:
        CheckpointError: another process keeps it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    file = path.open("w")
    deadline_s = time.monotonic() + _WAIT_S
    while True:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > deadline_s:
                file.close()
                text = "another process is training this experiment"
                raise CheckpointError(text, where=str(experiment_dir)) from error
            time.sleep(0.05)
        else:
            return file
