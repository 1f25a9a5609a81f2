"""Processes that kill themselves in the middle of a training."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import torch

from agents.ml.errors import TrainingInterrupted
from agents.ml.training import experiment, loop
from agents.ml.training.interrupts import EXIT_CODE

# Children fork from a process that has imported torch and done nothing with it. Its compiler, which
# the first optimizer asks for, takes each of them longer to import than its training takes.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.ml.training.dying", "torch._dynamo"])

_PLACES = {
    "step": (loop.Trainer, "_step"),
    "best": (experiment.Experiment, "save_best"),
    "append": (experiment.Experiment, "append"),
    "save": (experiment.Experiment, "save"),
    "before result": (experiment.Experiment, "finish"),
}


def train_and_die(
    place: str, count: int, train: Callable[..., Any], *arguments: Any, by: int = signal.SIGKILL
) -> int | None:
    """Train in a process that signals itself at the `count`th `place`; return its exit code."""
    process = _CONTEXT.Process(target=_child, args=(place, count, by, train, arguments))
    process.start()
    process.join(timeout=60)
    assert process.exitcode is not None, "the child hangs"
    return process.exitcode


def _child(
    place: str, count: int, signum: int, train: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    torch.set_num_threads(1)
    owner, name = _PLACES[place]
    original: Callable[..., Any] = getattr(owner, name)
    calls: list[None] = []

    def dying(*args: Any, **kwargs: Any) -> Any:
        calls.append(None)
        if len(calls) == count and place.startswith("before"):
            os.kill(os.getpid(), signum)
        result = original(*args, **kwargs)
        if len(calls) == count:
            os.kill(os.getpid(), signum)
        return result

    setattr(owner, name, dying)
    try:
        train(*arguments)
    except TrainingInterrupted:
        sys.exit(EXIT_CODE)
