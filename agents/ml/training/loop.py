"""The one training loop, for every task: a step, an epoch, a checkpoint, and back again.

What a run is after a step is a function of its configuration alone, so that a run which was killed
anywhere and resumed ends in the same weights, bit for bit, and the same lines of history.
"""

import math
import threading
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

from agents.ml.checkpoints import load_checkpoint
from agents.ml.data.batches import Batches
from agents.ml.errors import CheckpointError, ConfigError, TrainingInterrupted
from agents.ml.reporting import Report
from agents.ml.training.early_stopping import Best
from agents.ml.training.experiment import Experiment
from agents.ml.training.gradients import compute_gradients
from agents.ml.training.history import with_scores
from agents.ml.training.interrupts import stop_on_sigterm
from agents.ml.training.progress import Progress
from agents.ml.training.randomness import load_rng_state, rng_state
from agents.ml.training.run import Outcome, Run
from agents.ml.training.scoring import has_diverged
from agents.ml.training.team import Alone, Team


class Diverged(Exception):  # noqa: N818  # an outcome
    """A loss that is no number."""


@dataclass
class _State:
    step: int = 0
    epoch_loss: float = 0.0
    epoch_samples: int = 0
    stopped_early: bool = False
    seconds: float = 0.0
    best_file: str | None = None
    history: list[dict[str, Any]] = field(default_factory=list)


class Trainer:
    """Runs a `Run`; with an experiment it checkpoints, and goes on from `saved`, its latest."""

    def __init__(
        self,
        run: Run,
        report: Report,
        *,
        experiment: Experiment | None = None,
        saved: dict[str, Any] | None = None,
        team: Team | None = None,
    ) -> None:
        self._run, self._plan, self._team = run, run.plan, team or Alone()
        self._progress = Progress(
            report, steps_total=run.plan.steps_total, steps_per_epoch=run.plan.steps_per_epoch
        )
        self._experiment = experiment
        self._saved = saved
        self._batches = Batches(
            len(run.train), run.plan.batch_size * run.plan.accumulate, seed=run.plan.seed
        )
        self._state = _State()
        self._best = Best(run.plan.best_metric) if run.plan.best_metric else None
        self._clock_s = time.monotonic()
        self._rate = 0.0  # that the last step was taken with

    def fit(self) -> Outcome:
        """Train to the end of the plan, or until it stops early or diverges.

        Raises:
            TrainingInterrupted: SIGTERM came and a checkpoint was saved; without an experiment
                the signal ends the process as usual.
        """
        resumed_from_step = self._resume()
        diverged_at_step = None
        can_stop = self._experiment is not None or self._team.rank > 0
        with stop_on_sigterm() if can_stop else nullcontext(threading.Event()) as stop:
            try:
                while not self._is_finished():
                    self._step()
                    self._after_step(stop)
            except Diverged:
                diverged_at_step = self._state.step
        if diverged_at_step is None:
            self._load_best()
        return self._outcome(resumed_from_step, diverged_at_step)

    def _is_finished(self) -> bool:
        return self._state.stopped_early or self._state.step >= self._plan.steps_total

    def _step(self) -> None:
        run, state = self._run, self._state
        positions = self._batches.at(state.step)
        self._rate = float(run.optimizer.param_groups[0]["lr"])
        run.model.train()
        try:
            loss = float(run.optimizer.step(lambda: compute_gradients(run, self._team, positions)))
        except RuntimeError as error:  # of SparseAdam, whose gradients are not sparse, and the like
            name = type(run.optimizer).__name__
            raise ConfigError(f"{name} cannot step: {error}", where="optimizer.type") from error
        state.step += 1
        if not math.isfinite(loss):
            raise Diverged
        if run.schedule is not None:
            run.schedule.after_step()
        state.epoch_loss += loss * len(positions)
        state.epoch_samples += len(positions)
        self._progress.step(state.step, loss=loss, lr=self._rate, samples=len(positions))

    def _after_step(self, stop: threading.Event) -> None:
        plan, step = self._plan, self._state.step
        if step % plan.steps_per_epoch == 0 or step == plan.steps_total:
            self._end_epoch()
            epochs = len(self._state.history)
            due = epochs % plan.checkpoint_every_epochs == 0 or self._is_finished()
        else:
            due = (
                plan.checkpoint_every_steps is not None and step % plan.checkpoint_every_steps == 0
            )
        must_stop = self._team.any(is_so=stop.is_set())
        if due or must_stop:
            self._save()
        if must_stop and not self._is_finished():
            where = str(self._experiment.folder) if self._experiment else ""
            raise TrainingInterrupted(step, where=where)

    def _end_epoch(self) -> None:
        run, state = self._run, self._state
        epoch = len(state.history) + 1
        trained = {
            "epoch": epoch,
            "step": state.step,
            "train_loss": state.epoch_loss / state.epoch_samples,
            "lr": self._rate,
            "seconds": round(self._seconds(), 3),
            "samples_per_s": round(self._progress.samples_per_s(), 1),
        }
        state.epoch_loss, state.epoch_samples = 0.0, 0
        scores = self._team.told(
            lambda: run.scorer.score(trained, run.task.outputs(run.model, run.val))
        )
        if has_diverged(scores):
            raise Diverged
        record = with_scores(trained, scores)
        state.history.append(record)
        if run.schedule is not None:
            run.schedule.after_epoch(record)
        if run.early_stopping is not None:
            value = record[run.early_stopping_key]
            state.stopped_early = run.early_stopping.should_stop(value, epoch)
        self._keep_if_best(record)
        if self._experiment is not None:
            self._experiment.append(record)
        self._progress.epoch(state.step, record)

    def _keep_if_best(self, record: dict[str, Any]) -> None:
        if self._best is None or not self._best.update(record[self._best.metric], record["epoch"]):
            return
        if self._experiment is not None:
            contents = {
                "model": self._run.model.state_dict(),
                "record": dict(record),
                "compute": self._run.computed,
            }
            self._state.best_file = self._experiment.save_best(self._state.step, contents)

    def _save(self) -> None:
        rngs = self._team.gathered(rng_state())
        if self._experiment is None:
            return
        run, state = self._run, self._state
        state.seconds = self._seconds()
        self._clock_s = time.monotonic()
        contents = {
            **vars(state),
            "history": [dict(record) for record in state.history],
            "model": run.model.state_dict(),
            "optimizer": run.optimizer.state_dict(),
            "schedule": run.schedule.state_dict() if run.schedule else None,
            "early_stopping": run.early_stopping.state_dict() if run.early_stopping else None,
            "best": self._best.state_dict() if self._best else None,
            "rng": rngs,
            "compute": run.computed,
        }
        self._experiment.save(state.step, contents, keep_last=self._plan.keep_last)

    def _resume(self) -> int:
        """Take up the latest checkpoint; the history on the disk becomes the checkpoint's again."""
        if self._saved is not None:
            self._load(self._saved)
            self._saved = None  # it holds a copy of all weights
        if self._experiment is not None:
            self._experiment.write_history(self._state.history)
        self._clock_s = time.monotonic()
        return self._state.step

    def _load(self, saved: dict[str, Any]) -> None:
        run = self._run
        try:
            run.model.load_state_dict(saved["model"])
            run.optimizer.load_state_dict(saved["optimizer"])
            if run.schedule is not None:
                run.schedule.load_state_dict(saved["schedule"])
            if run.early_stopping is not None:
                run.early_stopping.load_state_dict(saved["early_stopping"])
            if self._best is not None:
                self._best.load_state_dict(saved["best"])
            load_rng_state(self._team.own(saved["rng"]))
            self._state = _State(**{name: saved[name] for name in vars(self._state)})
        except (KeyError, IndexError, TypeError, ValueError, RuntimeError) as error:
            where = str(self._experiment.folder) if self._experiment else ""
            raise CheckpointError(f"does not fit this run: {error}", where=where) from error

    def _load_best(self) -> None:
        if self._experiment is not None and self._state.best_file is not None:
            path = self._experiment.folder / "checkpoints" / self._state.best_file
            self._run.model.load_state_dict(load_checkpoint(path)["model"])

    def _outcome(self, resumed_from_step: int, diverged_at_step: int | None) -> Outcome:
        state = self._state
        best = self._best if self._best and self._best.value is not None else None
        return Outcome(
            status="completed" if diverged_at_step is None else "diverged",
            history=state.history,
            steps_run=state.step,
            stopped_early=state.stopped_early,
            seconds=round(self._seconds(), 3),
            samples_per_s=round(self._progress.samples_per_s(), 1),
            resumed_from_step=resumed_from_step,
            diverged_at_step=diverged_at_step,
            best_file=state.best_file,
            best_epoch=best.epoch if best else None,
            best_value=state.history[best.epoch - 1][best.metric] if best else None,
        )

    def _seconds(self) -> float:
        return self._state.seconds + time.monotonic() - self._clock_s
