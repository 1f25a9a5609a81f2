"""A job in a process of its own: `python -m agents.ml.training JOB payload.json`.

Progress and, last, the result are lines of JSON on stdout. Exit codes: 0 done, 1 a typed error (on
stderr), 2 wrong usage, 143 stopped by SIGTERM after a checkpoint; the same call then goes on.
"""

import json
import sys
from pathlib import Path
from typing import Any

from agents.ml import jobs_training
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


def main(arguments: list[str]) -> int:
    """Run one job and return the exit code."""
    if len(arguments) != 2 or arguments[0] not in _JOBS:  # noqa: PLR2004  # job and payload
        print(f"usage: JOB PAYLOAD.json, JOB one of {', '.join(_JOBS)}", file=sys.stderr)  # noqa: T201  # a command
        return 2
    try:
        payload = json.loads(Path(arguments[1]).read_text(encoding="utf-8"))
        _print({"result": _JOBS[arguments[0]](payload, _print)})
    except TrainingInterrupted as stopped:
        print(stopped, file=sys.stderr)  # noqa: T201  # as above
        return EXIT_CODE
    except (MLError, OSError, ValueError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201  # as above
        return 1
    return 0


def _print(record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)  # noqa: T201  # as above


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
