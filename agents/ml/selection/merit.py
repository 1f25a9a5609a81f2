"""By what models are compared."""

from collections.abc import Mapping

_LOSS_COUNTS = 0.1


def merit(metrics: Mapping[str, float]) -> float:
    """What candidates are compared by: accuracy, and a little of the loss.

    The accuracy of a small fold moves in steps that are larger than the differences between good
    candidates; the loss still tells them apart.
    """
    return metrics["accuracy"] - _LOSS_COUNTS * min(metrics["loss"], 3.0)
