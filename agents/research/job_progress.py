"""How far a job says it has come, and what it has measured, as items to be shown.

A job that runs a model's code may say anything: what is no number or no text is not shown.
"""

import sys
from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from guild.progress import Measured, Progress

_TEXT_CHARS = 500
_MOST = 2.0**53  # steps and bytes
_MOST_CURVES = 32
_NAME_CHARS = 100
_COUNTERS = ("step", "epoch")
_CURVES = ("loss", "lr", "samples_per_s")
_SHOWN = ("val_loss", "val_accuracy", "val_bits_per_byte")


def progress_of(task: str, event: Mapping[str, Any]) -> Progress:
    """A job's own event as an item.

    Training reports steps and epochs, the tokenizer stages and bytes, the assembler steps in
    words; other jobs say `done`, `total` and `text` themselves.
    """
    done: Any
    total: Any
    text: Any
    if "steps_total" in event:
        done, total, text = event.get("step"), event["steps_total"], ", ".join(_figures(event))
    else:
        done = event.get("done") or event.get("done_bytes")
        total = event.get("total") or event.get("size_bytes")
        text = event.get("text") or event.get("stage") or event.get("step")
    return Progress(task=task, done=_amount(done), total=_amount(total) or None, text=_text(text))


def measured_of(task: str, event: Mapping[str, Any]) -> Measured | None:
    """The figures in a training's own event; None where there are none."""
    step = event.get("step")
    if "steps_total" not in event or not _is_figure(step) or not 0 <= step <= _MOST:
        return None
    metrics = event.get("metrics")
    told = {name: event.get(name) for name in _CURVES}
    if isinstance(metrics, Mapping):
        told |= metrics
    if "train_loss" in told:  # of a whole epoch, and so is the loss that is told with it
        del told["loss"]
    values = {
        _text(name)[:_NAME_CHARS]: float(value)
        for name, value in told.items()
        if _is_figure(value) and name not in _COUNTERS
    }
    some = dict(list(values.items())[:_MOST_CURVES])
    return Measured(task=task, step=float(step), values=some) if some else None


def _figures(event: Mapping[str, Any]) -> Iterator[str]:
    metrics = event.get("metrics")
    known = {name: metrics.get(name) for name in _SHOWN} if isinstance(metrics, Mapping) else {}
    for name, value in {"loss": event.get("loss"), **known}.items():
        if _is_figure(value):
            yield f"{name} {value:.3f}"


def _is_figure(value: Any) -> TypeGuard[float]:
    """Whether it is a number that a curve can have a point at: no bool, NaN or infinity."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max


def _amount(value: Any) -> float:
    return float(value) if isinstance(value, int | float) and 0 <= value <= _MOST else 0.0


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else ""
    return text[:_TEXT_CHARS].encode("utf-8", "replace").decode()  # half characters do not travel
