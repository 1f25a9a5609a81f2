"""A lock on an experiment, which ends with the process that holds it."""

import fcntl
import time
from io import BufferedRandom
from pathlib import Path

from agents.ml.errors import CheckpointError
from agents.ml.plain_files import open_own

_WAIT_S = 5.0


def hold(path: Path, experiment_dir: Path) -> BufferedRandom:
    """Return the file at `path`, locked until it is closed; wait a little for its holder.

    Raises:
        CheckpointError: another process keeps it, or it is no file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = open_own(path)
    except OSError as error:
        text = f"its lock {path.name} cannot be opened: {error.strerror}"
        raise CheckpointError(text, where=str(experiment_dir)) from error
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
