"""The gradients of a step: in batches that fit, by as many processes as there are."""

import torch
from torch import Tensor, nn

from agents.ml.data.batches import micro_batches
from agents.ml.errors import ModelScriptError
from agents.ml.training.run import Run
from agents.ml.training.team import Team


def compute_gradients(run: Run, team: Team, positions: Tensor) -> float:
    """Give every parameter its gradient; return the mean loss of the samples at `positions`.

    Raises:
        ModelScriptError: the model fails on them, forward or backward.
    """
    plan, total = run.plan, 0.0
    run.optimizer.zero_grad(set_to_none=True)
    with torch.enable_grad():
        for micro in micro_batches(team.share(positions), plan.batch_size):
            share = len(micro) / len(positions)
            loss = run.task.loss(run.model, *run.train.batch(micro)) * share
            _backward(run.model, loss)
            total += float(loss.detach())
        total = team.sum_step(run.model, total)
    if plan.clip_norm is not None:
        nn.utils.clip_grad_norm_(run.model.parameters(), plan.clip_norm)
    return total


def _backward(model: nn.Module, loss: Tensor) -> None:
    try:
        torch.autograd.backward(loss)
    except RuntimeError as error:
        where = type(model).__name__
        raise ModelScriptError(f"backward fails: {error}", where=where) from error
