"""Losses by name, each fitted to the targets of its task. Suffixes: B batch, C classes."""

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

from agents.ml.config import require_known
from agents.ml.data.dataset import TaskKind
from agents.ml.errors import ConfigError

Loss = Callable[[Tensor, Tensor], Tensor]

_FITTING: dict[TaskKind, tuple[str, ...]] = {
    "classification": ("CrossEntropyLoss", "MSELoss", "NLLLoss", "BCEWithLogitsLoss"),
    "regression": ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss"),
    "causal_lm": ("CrossEntropyLoss",),
}
_WEIGHTED = ("CrossEntropyLoss", "NLLLoss")
LOSSES = tuple(dict.fromkeys(name for names in _FITTING.values() for name in names))


def default_loss(task: TaskKind) -> str:
    return _FITTING[task][0]


def check_loss(
    name: str, task: TaskKind, *, label_smoothing: float = 0.0, is_weighted: bool = False
) -> None:
    """Refuse an unknown loss, or one that does not fit the task.

    Raises:
        ConfigError: naming those that do.
    """
    require_known(name, LOSSES, what="loss function", where="loss_function")
    if name not in _FITTING[task]:
        fitting = ", ".join(_FITTING[task])
        raise ConfigError(f"{name} does not fit {task}; use {fitting}", where="loss_function")
    if label_smoothing and name != "CrossEntropyLoss":
        raise ConfigError("is for CrossEntropyLoss only", where="label_smoothing")
    if is_weighted and (task != "classification" or name not in _WEIGHTED):
        raise ConfigError(f"are for {' and '.join(_WEIGHTED)} only", where="class_weights")


def build_loss(
    name: str,
    task: TaskKind,
    *,
    label_smoothing: float = 0.0,
    weight_C: Tensor | None = None,
) -> Loss:
    """Return the mean loss of a batch, in which a sample counts as much as its class weighs.

    In classification, MSELoss and BCEWithLogitsLoss compare the scores (B, C) with one-hot labels:
    torch would broadcast the labels (B,) without a word.

    Raises:
        ConfigError: as `check_loss`.
    """
    is_weighted = weight_C is not None
    check_loss(name, task, label_smoothing=label_smoothing, is_weighted=is_weighted)
    if name == "CrossEntropyLoss":
        return partial(functional.cross_entropy, weight=weight_C, label_smoothing=label_smoothing)
    if name == "NLLLoss":
        return partial(functional.nll_loss, weight=weight_C)
    if task == "classification" and name in ("MSELoss", "BCEWithLogitsLoss"):
        compare = (
            functional.mse_loss
            if name == "MSELoss"
            else functional.binary_cross_entropy_with_logits
        )
        return lambda scores_BC, labels_B: compare(scores_BC, one_hot(labels_B, scores_BC))
    plain: dict[str, Loss] = {
        "MSELoss": functional.mse_loss,
        "L1Loss": functional.l1_loss,
        "SmoothL1Loss": functional.smooth_l1_loss,
        "HuberLoss": functional.huber_loss,
    }
    return plain[name]


def one_hot(labels_B: Tensor, like_BC: Tensor) -> Tensor:
    """Return labels as rows of 0 and 1 with the shape and type of `like_BC`."""
    return functional.one_hot(labels_B, like_BC.shape[1]).to(like_BC.dtype)
