"""`pytorch_full_trainer`: a training that survives its process."""

from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from agents.ml.data import Dataset, Split, digest_of_files, load_dataset
from agents.ml.data.batches import Batches
from agents.ml.errors import ModelScriptError
from agents.ml.optimizers.building import build_optimizer
from agents.ml.plain_files import read_plain
from agents.ml.reporting import Report, no_report
from agents.ml.training.account import account_of
from agents.ml.training.compute import Compute
from agents.ml.training.configs import (
    TrainerConfig,
    metrics_to_compute,
    read_trainer_config,
)
from agents.ml.training.early_stopping import EarlyStopping
from agents.ml.training.experiment import Experiment, finite_mapping
from agents.ml.training.loop import Trainer
from agents.ml.training.randomness import seeded
from agents.ml.training.run import Plan, Run
from agents.ml.training.schedulers import build_schedule
from agents.ml.training.scoring import Measure, Targets
from agents.ml.training.supervised import Material, ModelCode, Setup, prepare
from agents.ml.training.team import Team, assembled
from agents.ml.training.tuning import tune


def pytorch_full_trainer(
    model_script_path: str,
    model_class_name: str,
    trainer_config: dict[str, Any],
    experiment_name: str | None = None,
    log_base_dir: str = "full_experiments",
    *,
    report: Report = no_report,
) -> dict[str, Any]:
    """Train to the end, or go on where an experiment of this name and configuration stopped.

    An experiment that has ended is not run again: its result is returned at once. The held-out
    test split stays closed; see `evaluate_checkpoint`. All happens in this process, the model's
    code beside what scores it; `judge` keeps them apart.

    Returns:
        `status` ("completed" or "diverged"), `history` (one record per epoch, as in metrics.jsonl),
        `best_checkpoint_path`, `best_epoch`, `best_metric`, `best_value`, `final_evaluation` (the
        validation scores of the best weights), `epochs_run`, `steps_run`, `stopped_early`,
        `diverged_at_step`, `resumed_from_step`, `experiment_name`, `experiment_dir`, `params`,
        `chance_level`, `seconds`, `samples_per_s`, `device`, `seed`, `warnings`.

    Raises:
        ConfigError: naming each wrong key of `trainer_config`, before anything runs.
        DatasetError, ModelScriptError: naming the file, class or shape.
        CheckpointError: the name belongs to another configuration, or to a running process.
        TrainingInterrupted: SIGTERM came; the same call goes on from the checkpoint.
    """
    config = read_trainer_config(trainer_config)
    identity = identity_of(model_script_path, model_class_name, config)
    code = ModelCode(model_script_path, model_class_name)
    with assembled(config.device) as team:
        if team.rank > 0:
            return _train_along(code, config, team)
        with Experiment(experiment_name, log_base_dir, identity) as experiment:
            result = experiment.result()
            if not team.told(lambda: result is not None):
                result = _train(code, config, experiment, report, team)
                experiment.finish(result)
            return team.told(lambda: result or {})


def _train(
    code: ModelCode,
    config: TrainerConfig,
    experiment: Experiment | None,
    report: Report,
    team: Team,
) -> dict[str, Any]:
    with seeded(config.seed):
        dataset = load_trainer_dataset(config)
        targets = Targets.of(dataset, dataset.split("val"), trainer_measure(config))
        material = Material(dataset, targets.output_shape, targets)
        trained = train_fully(code, config, material, experiment, report=report, team=team)
    return full_result(trained, targets)


def _train_along(code: ModelCode, config: TrainerConfig, team: Team) -> dict[str, Any]:
    # The first process holds the experiment, and tells how it ends.
    if not team.told(lambda: False):
        _train(code, config, None, no_report, team)
    return team.told(dict[str, Any])


def identity_of(
    model_script_path: str, model_class_name: str, config: TrainerConfig
) -> dict[str, Any]:
    """Return what an experiment is: under one name there can be one such.

    Raises:
        ModelScriptError: the script cannot be read.
    """
    try:
        script_hash = sha256(read_plain(Path(model_script_path))).hexdigest()
    except OSError as error:
        raise ModelScriptError(f"cannot be read: {error}", where=str(model_script_path)) from error
    return {
        "model_script_path": str(Path(model_script_path).absolute()),
        "model_class_name": model_class_name,
        "model_script_sha256": script_hash,
        "data_sha256": digest_of_files(config.dataset, config.dataset_params),
        "trainer_config": config.model_dump(mode="json"),
    }


def load_trainer_dataset(config: TrainerConfig) -> Dataset:
    return load_dataset(config.dataset, config.dataset_params, num_classes=config.num_classes)


def trainer_measure(config: TrainerConfig, metrics: list[str] | None = None) -> Measure:
    """Return the config's loss with `metrics`, by default those that it needs."""
    assert config.loss_function is not None  # read_trainer_config fills it in
    asked = metrics if metrics is not None else metrics_to_compute(config)
    return Measure(config.loss_function, asked, config.label_smoothing)


def train_fully(
    code: ModelCode,
    config: TrainerConfig,
    material: Material,
    experiment: Experiment | None,
    *,
    report: Report,
    team: Team,
) -> dict[str, Any]:
    """Build the model and train it; of `val` nothing but its inputs is read.

    Returns:
        the trainer's account of the run; without an experiment, which only the first of a team has,
        a part of it.
    """
    warnings: list[str] = []
    config = config.model_copy(update={"device": team.device or config.device})
    setup = prepare_model(code, config, material, warnings)
    if team.rank > 0:
        torch.manual_seed(config.seed + team.rank)  # each its own dropout
    if experiment is not None and config.tensorboard:
        experiment.draw()
    saved = team.told(lambda: experiment.latest(warnings) if experiment else None)
    run = _run(setup, config, material, saved, team)
    trainer = Trainer(run, report, experiment=experiment, saved=saved, team=team)
    outcome = trainer.fit()
    account = account_of(outcome, run, experiment) if experiment else {}
    return {
        **account,
        "train_samples": len(run.train),
        "device": str(setup.compute.device),
        "compute": run.computed,
        "warnings": warnings,
    }


def full_result(trained: dict[str, Any], targets: Targets) -> dict[str, Any]:
    """Put together the account of a run and what is known of its validation split."""
    known = {"val_samples": len(targets), "chance_level": targets.chance_level}
    return finite_mapping({**trained, **known})


def prepare_model(
    code: ModelCode, config: TrainerConfig, material: Material, warnings: list[str]
) -> Setup:
    """Build the model as `config` says; see `prepare`."""
    return prepare(
        code,
        material,
        model_params=config.model_params,
        loss_function=config.loss_function,
        label_smoothing=config.label_smoothing,
        class_weights=config.class_weights,
        device=config.device,
        warnings=warnings,
    )


def _run(
    setup: Setup,
    config: TrainerConfig,
    material: Material,
    saved: dict[str, Any] | None,
    team: Team,
) -> Run:
    train, val = setup.splits(material.dataset)
    step_size = config.batch_size * config.gradient_accumulation_steps
    batches = Batches(len(train), step_size, seed=config.seed)
    steps_per_epoch = batches.steps_per_epoch
    steps_total = steps_per_epoch * config.epochs
    if saved is not None and "compute" in saved:
        computed = saved["compute"]
    else:
        first = partial(_first_batch, train, batches, config.batch_size)
        computed = team.told(lambda: tune(setup, first, steps_total, config.precision))
    setup = setup.running_on(Compute.from_json(computed, setup.compute.device))
    optimizer = build_optimizer(setup.model, config.optimizer)
    schedule = (
        build_schedule(
            optimizer,
            config.scheduler,
            steps_total=steps_total,
            epochs_total=config.epochs,
        )
        if config.scheduler
        else None
    )
    plan = Plan(
        steps_total=steps_total,
        steps_per_epoch=steps_per_epoch,
        batch_size=config.batch_size,
        seed=config.seed,
        accumulate=config.gradient_accumulation_steps,
        clip_norm=config.gradient_clip_norm,
        checkpoint_every_epochs=config.checkpoint_interval,
        checkpoint_every_steps=config.checkpoint_every_steps,
        keep_last=config.keep_last,
        best_metric=config.watched_metric() if config.save_best_model else None,
    )
    stopping = config.early_stopping
    return Run(
        setup.model,
        setup.task,
        train,
        val,
        material.scorer,
        optimizer,
        plan,
        schedule=schedule,
        early_stopping=EarlyStopping(stopping) if stopping else None,
        early_stopping_key=stopping.metric if stopping else "",
        computed=computed,
    )


def _first_batch(train: Split, batches: Batches, size: int) -> tuple[Tensor, Tensor]:
    return train.batch(batches.at(0)[:size])
