"""Quick evaluations of one model with many seeds and learning rates, stacked where that pays."""

import copy
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from agents.ml.data.batches import Batches
from agents.ml.optimizers.building import OPTIMIZERS, OptimizerConfig, build_optimizer
from agents.ml.reporting import Report
from agents.ml.training.configs import QuickEvalConfig
from agents.ml.training.history import with_scores
from agents.ml.training.losses import build_loss
from agents.ml.training.population import (
    CANNOT_STACK,
    PROPORTIONAL,
    Member,
    Population,
    batch_of,
    pays,
)
from agents.ml.training.quick import train_quickly
from agents.ml.training.randomness import load_rng_state, rng_state, seeded
from agents.ml.training.scoring import Scorer, has_diverged, rows_at_once
from agents.ml.training.supervised import Material, ModelCode, Setup, parameter_count, prepare
from agents.ml.training.tuning import is_close

_LEAST_MEMBERS = 4
_TOLERANCE = 1e-3


@dataclass(frozen=True)
class _MemberScorer:
    """Says whose outputs are to be scored."""

    scorer: Scorer
    member: int

    def score(self, record: dict[str, Any], outputs: Iterable[Tensor]) -> dict[str, float]:
        return self.scorer.score({**record, "member": self.member}, outputs)


def train_population(
    code: ModelCode,
    config: QuickEvalConfig,
    members: Sequence[Member],
    material: Material,
    report: Report,
) -> list[dict[str, Any]]:
    """Train one model per member; see `train_quickly` for what is returned of each.

    `stacked` says besides whether they were trained at once.
    """
    if _can_stack(config, members, material):
        run = _Stacked(_prepared(code, config, members, material), config, members, material)
        if run.pays():
            return run.train(report)
    trained = []
    for index, member in enumerate(members):
        with seeded(member.seed):
            scorer = _MemberScorer(material.scorer, index)
            own = Material(material.dataset, material.output_shape, scorer)
            trained.append(train_quickly(code, _of_member(config, member), own, report))
    return [{**one, "stacked": False} for one in trained]


def _prepared(
    code: ModelCode, config: QuickEvalConfig, members: Sequence[Member], material: Material
) -> list[Setup]:
    """Return a setup for each member, all of the one class that loading the file once gives."""
    first = prepare(
        code,
        material,
        model_params=config.model_params,
        loss_function=config.loss_function,
        device=config.device,
        warnings=[],
    )
    setups = []
    for member in members:
        with seeded(member.seed):
            model = type(first.model)(**config.model_params)
        setups.append(replace(first, model=first.compute.place(model)))
    return setups


def _of_member(config: QuickEvalConfig, member: Member) -> QuickEvalConfig:
    params = {**config.optimizer.params, "lr": member.learning_rate}
    optimizer = config.optimizer.model_copy(update={"params": params})
    return config.model_copy(update={"seed": member.seed, "optimizer": optimizer})


def _can_stack(config: QuickEvalConfig, members: Sequence[Member], material: Material) -> bool:
    optimizer = config.optimizer
    return (
        len(members) >= _LEAST_MEMBERS
        and optimizer.type in PROPORTIONAL
        and optimizer.script_path is None
        and not optimizer.param_groups
        and material.dataset.task != "causal_lm"
    )


class _Stacked:
    """A population's run."""

    def __init__(
        self,
        setups: Sequence[Setup],
        config: QuickEvalConfig,
        members: Sequence[Member],
        material: Material,
    ) -> None:
        self._setups, self._config, self._members = setups, config, members
        self._material = material
        self._train, self._val = setups[0].splits(material.dataset)
        size = len(self._train)
        self._batches = [Batches(size, config.batch_size, seed=m.seed) for m in members]

    def pays(self) -> bool:
        """Try a step, with the random numbers and the models left as they are."""
        before = rng_state()
        batch = batch_of(self._train, self._batches, 0)
        try:
            is_faster = pays(self._population, partial(self._alone, self._setups[0]), batch)
            return is_faster and self._is_right(batch[0][-1])
        finally:
            load_rng_state(before)

    @torch.no_grad()
    def _is_right(self, inputs_B: Tensor) -> bool:
        """Say whether the last member puts out, stacked, what it does alone.

        What models keep beside their parameters and buffers is not stacked: it is the first one's.
        """
        last = self._setups[-1]
        try:
            ours_BC = self._population().put_out(inputs_B)[-1]
        except CANNOT_STACK:
            return False
        theirs_BC = last.compute.forward(last.model.eval(), inputs_B)
        last.model.train()
        return is_close(ours_BC, theirs_BC, _TOLERANCE)

    def train(self, report: Report) -> list[dict[str, Any]]:
        population, started_s = self._population(), time.monotonic()
        steps_per_epoch = self._batches[0].steps_per_epoch
        histories: list[list[dict[str, Any]]] = [[] for _ in self._members]
        diverged_at: list[int | None] = [None for _ in self._members]
        step = 0
        for epoch in range(1, self._config.epochs + 1):
            losses, sizes = [], []
            for _ in range(steps_per_epoch):
                inputs_MB, targets_MB = batch_of(self._train, self._batches, step)
                losses.append(population.step(inputs_MB, targets_MB))
                sizes.append(targets_MB.shape[1])
                step += 1
            losses_SM = torch.stack(losses).cpu()
            self._mark(diverged_at, losses_SM, step - steps_per_epoch)
            seconds = time.monotonic() - started_s
            samples = epoch * sum(sizes) * len(self._members)
            trained = {
                "epoch": epoch,
                "step": step,
                "seconds": round(seconds, 3),
                "samples_per_s": round(samples / max(1e-9, seconds), 1),
            }
            shares_S1 = torch.tensor(sizes).unsqueeze(1) / sum(sizes)
            means = (losses_SM * shares_S1).sum(dim=0).tolist()
            self._score(population, trained, means, histories, diverged_at)
            total = self._config.epochs
            report({"done": epoch, "total": total, "text": f"{len(self._members)} at once"})
        return [self._account(i, histories[i], diverged_at[i], step) for i in range(len(histories))]

    def _score(
        self,
        population: Population,
        trained: dict[str, Any],
        train_losses: list[float],
        histories: list[list[dict[str, Any]]],
        diverged_at: list[int | None],
    ) -> None:
        outputs_MNK = population.outputs(self._val).cpu()
        at_once = rows_at_once(self._material.output_shape)
        for index, (member, history) in enumerate(zip(self._members, histories, strict=True)):
            if diverged_at[index] is not None:
                continue
            own = {**trained, "train_loss": train_losses[index], "lr": member.learning_rate}
            scorer = _MemberScorer(self._material.scorer, index)
            scores = scorer.score(own, torch.split(outputs_MNK[index], at_once))
            if has_diverged(scores):
                diverged_at[index] = own["step"]
            else:
                history.append(with_scores(own, scores))

    def _mark(self, diverged_at: list[int | None], losses_SM: Tensor, before: int) -> None:
        for index, is_finite in enumerate(losses_SM.isfinite().T):
            if diverged_at[index] is None and not is_finite.all():
                diverged_at[index] = before + int((~is_finite).nonzero()[0]) + 1

    def _account(
        self, index: int, history: list[dict[str, Any]], diverged_at: int | None, steps: int
    ) -> dict[str, Any]:
        setup = self._setups[index]
        last = history[-1] if history else {"seconds": 0.0, "samples_per_s": 0.0}
        return {
            "status": "completed" if diverged_at is None else "diverged",
            "history": history,
            "params": parameter_count(setup.model),
            "train_samples": len(self._train),
            "steps_run": diverged_at or steps,
            "diverged_at_step": diverged_at,
            "seconds": last["seconds"],
            "samples_per_s": last["samples_per_s"],
            "device": str(setup.compute.device),
            "compute": {**setup.compute.to_json(), "step_s": {}},
            "warnings": [],
            "stacked": True,
        }

    def _population(self) -> Population:
        loss = build_loss(self._config.loss_function or "", self._material.dataset.task)
        models = [setup.model for setup in self._setups]
        return Population(models, self._members, loss, self._optimizer)

    def _optimizer(self, parameters: list[Tensor], rate: float) -> Optimizer:
        config = self._config.optimizer
        params = {**config.params, "lr": rate}
        if config.type in ("Adam", "AdamW", "SGD"):
            params.setdefault("fused", True)
        return OPTIMIZERS[config.type](parameters, **params)

    def _alone(self, setup: Setup) -> Any:
        model = copy.deepcopy(setup.model)
        rate = {**self._config.optimizer.params, "lr": self._members[0].learning_rate}
        optimizer = build_optimizer(
            model, OptimizerConfig(type=self._config.optimizer.type, params=rate)
        )

        def step(inputs_B: Tensor, targets_B: Tensor) -> None:
            model.train()
            optimizer.zero_grad()
            torch.autograd.backward(setup.task.loss(model, inputs_B, targets_B))
            optimizer.step()

        return step
