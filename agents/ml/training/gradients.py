"""The gradients of a step: in batches that fit, by as many processes as there are."""

import torch
from torch import Tensor, nn

from agents.ml.data.batches import micro_batches
from agents.ml.errors import ModelScriptError
from agents.ml.training.run import Run
from agents.ml.training.team import Team


def compute_gradients(run: Run, team: Team, positions: Tensor) -> float:
    """Give every parameter its gradient; return the mean loss of the samples at `positions`.

    Both are those of one batch of all of them. Samples whose classes weigh nothing teach nothing:
    a step that has no others gives no gradients, and the loss 0.

    Raises:
        ModelScriptError: the model fails on them, forward or backward.
    """
    plan, samples = run.plan, len(positions)
    own = team.share(positions)
    total, weight = 0.0, 0.0
    run.optimizer.zero_grad(set_to_none=True)
    with torch.enable_grad():
        for micro in micro_batches(own, plan.batch_size):
            inputs_B, targets_B = run.train.batch(micro)
            counted = run.task.weight(targets_B)
            if counted == 0:
                continue
            loss = run.task.loss(run.model, inputs_B, targets_B) * (counted / samples)
            _backward(run.model, loss)
            total, weight = total + float(loss.detach()), weight + counted
    total, weight = team.sum_step(run.model, total, weight, share=len(own) / samples)
    if weight not in (0, samples):
        total *= samples / weight
        _scale(run.model, samples / weight)
    if plan.clip_norm is not None:
        nn.utils.clip_grad_norm_(run.model.parameters(), plan.clip_norm)
    return total


def _scale(model: nn.Module, factor: float) -> None:
    for parameter in model.parameters():
        if parameter.grad is not None:
            parameter.grad.mul_(factor)


def _backward(model: nn.Module, loss: Tensor) -> None:
    try:
        torch.autograd.backward(loss)
    except RuntimeError as error:
        where = type(model).__name__
        raise ModelScriptError(f"backward fails: {error}", where=where) from error
