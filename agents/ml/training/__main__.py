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

from agents.ml import jobs_training
from agents.ml.checkpoints import write_atomically
from agents.ml.errors import MLError, TrainingInterrupted
from agents.ml.training.interrupts import EXIT_CODE

_JOBS = {
    job.__name__: job
    for job in (
        jobs_training.quick_evaluate,
        jobs_training.train,
        jobs_training.train_language_model,
        jobs_training.evaluate_checkpoint,
    )
}


_IS_FIRST = os.environ.get("RANK", "0") == "0"


def main(arguments: list[str]) -> int:
    """Run one job and return the exit code."""
    try:
        asked = _asked(arguments)
        if asked is None:
            known = ", ".join(_JOBS)
            print(f"usage: JOB_DIR, or JOB PAYLOAD.json; JOB is one of {known}", file=sys.stderr)  # noqa: T201  # a command
            return 2
        job, payload = asked
        result = {"result": _JOBS[job](payload, _print)}
        _print(result)
        if len(arguments) == 1 and _IS_FIRST:
            text = json.dumps(result["result"], indent=2)
            write_atomically(Path("job_result.json"), lambda file: file.write(text.encode()))
    except TrainingInterrupted as stopped:
        print(stopped, file=sys.stderr)  # noqa: T201  # as above
        return EXIT_CODE
    except (MLError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201  # as above
        return 1
    return 0


def _asked(arguments: list[str]) -> tuple[str, dict[str, Any]] | None:
    """Return job and payload; from a job directory, which becomes the current one."""
    if len(arguments) == 1 and Path(arguments[0], "job.json").is_file():
        os.chdir(arguments[0])
        asked = json.loads(Path("job.json").read_text(encoding="utf-8"))
        arguments = [asked.get("job"), ""]
        payload = asked.get("payload")
    elif len(arguments) == 2:  # noqa: PLR2004  # job and payload
        payload = json.loads(Path(arguments[1]).read_text(encoding="utf-8"))
    return (arguments[0], payload) if arguments and arguments[0] in _JOBS else None


def _print(record: dict[str, Any]) -> None:
    if _IS_FIRST:
        print(json.dumps(record), flush=True)  # noqa: T201  # as above


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
