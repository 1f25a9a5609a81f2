"""A job in a process of its own: `python -m agents.ml.training JOB_DIR`, or `JOB PAYLOAD.json`.

A job directory holds `job.json`, {"job": "train", "payload": {...}}, with paths relative to it, and
in the end `job_result.json`. Copied to another machine it runs there; under `torchrun` several
processes train one model:

    torchrun --nproc-per-node 4 -m agents.ml.training JOB_DIR

Progress and, last, the result are lines of JSON on stdout. Exit codes: 0 done, 1 a typed error (on
stderr), 2 wrong usage, 143 stopped by SIGTERM after a checkpoint; the same call then goes on.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

from agents.ml.atomic_files import write_text_atomically
from agents.ml.config import StrictConfig, read_config, require_known
from agents.ml.errors import MLError, TrainingInterrupted
from agents.ml.training import jobs as jobs_training
from agents.ml.training.interrupts import EXIT_CODE

_IS_FIRST = os.environ.get("RANK", "0") == "0"
_JOBS = {
    job.__name__: job
    for job in (
        jobs_training.quick_evaluate,
        jobs_training.train,
        jobs_training.train_language_model,
        jobs_training.evaluate_checkpoint,
    )
}


class _Job(StrictConfig):
    job: str
    payload: dict[str, Any]


def main(arguments: list[str]) -> int:
    """Run one job and return the exit code."""
    try:
        asked = _asked(arguments)
        if asked is None:
            known = ", ".join(_JOBS)
            print(f"usage: JOB_DIR, or JOB PAYLOAD.json; JOB is one of {known}", file=sys.stderr)  # noqa: T201  # a command
            return 2
        require_known(asked.job, _JOBS, what="job", where="job")
        result = {"result": _JOBS[asked.job](asked.payload, _print)}
        _print(result)
        if len(arguments) == 1 and _IS_FIRST:
            write_text_atomically(Path("job_result.json"), json.dumps(result["result"], indent=2))
    except TrainingInterrupted as stopped:
        print(stopped, file=sys.stderr)  # noqa: T201  # as above
        return EXIT_CODE
    except (MLError, OSError, ValueError, RecursionError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201  # as above
        return 1
    return 0


def _asked(arguments: list[str]) -> _Job | None:
    """Return what is asked for; from a job directory, which becomes the current one."""
    match arguments:
        case [folder] if Path(folder, "job.json").is_file():
            os.chdir(folder)
            where, asked = "job.json", json.loads(Path("job.json").read_text(encoding="utf-8"))
        case [job, payload] if job in _JOBS:
            where, text = "", Path(payload).read_text(encoding="utf-8")
            asked = {"job": job, "payload": json.loads(text)}
        case _:
            return None
    return read_config(_Job, asked, where=where)


def _print(record: dict[str, Any]) -> None:
    if _IS_FIRST:
        print(json.dumps(record), flush=True)  # noqa: T201  # as above


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
