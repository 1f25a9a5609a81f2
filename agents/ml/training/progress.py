"""Progress reports, at most a few per second."""

import time
from typing import Any, Protocol

from agents.ml.reporting import Report
from agents.ml.training.experiment import finite_mapping


class Channel(Protocol):
    """A report that can also ask its receiver."""

    def __call__(self, event: dict[str, Any], /) -> None: ...

    def ask(self, question: dict[str, Any], /) -> dict[str, Any]:
        """Return the reply, once it is there."""
        ...


_MIN_INTERVAL_S = 0.25


class Progress:
    """Turns steps into reports: `kind` is "step" or "epoch"; every epoch is reported.

    Both carry step, steps_total, epoch, epochs_total, loss, lr, samples_per_s and eta_s; an epoch
    also its line of the history as `metrics`.
    """

    def __init__(self, report: Report, *, steps_total: int, steps_per_epoch: int) -> None:
        self._report, self._steps_total = report, steps_total
        self._steps_per_epoch = steps_per_epoch
        self._steps = self._samples = 0
        self._started_s = time.monotonic()
        self._reported_s = 0.0

    def step(self, step: int, *, loss: float, lr: float, samples: int) -> None:
        """Count a step that ended, and report it when the last report is old enough."""
        self._steps += 1
        self._samples += samples
        if time.monotonic() - self._reported_s >= _MIN_INTERVAL_S:
            self._send("step", step, {"loss": loss, "lr": lr})

    def epoch(self, step: int, record: dict[str, Any]) -> None:
        values = {"loss": record["train_loss"], "lr": record["lr"], "metrics": record}
        self._send("epoch", step, values)

    def samples_per_s(self) -> float:
        """Return the samples trained on per second since this run started or resumed."""
        return self._samples / max(1e-9, time.monotonic() - self._started_s)

    def _send(self, kind: str, step: int, values: dict[str, Any]) -> None:
        self._reported_s = time.monotonic()
        per_step_s = (self._reported_s - self._started_s) / max(1, self._steps)
        event = {
            "kind": kind,
            "step": step,
            "steps_total": self._steps_total,
            "epoch": -(-step // self._steps_per_epoch),
            "epochs_total": -(-self._steps_total // self._steps_per_epoch),
            "samples_per_s": round(self.samples_per_s(), 1),
            "eta_s": round((self._steps_total - step) * per_step_s, 1),
            **values,
        }
        self._report(finite_mapping(event))
