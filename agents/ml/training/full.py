"""`pytorch_full_trainer`: a training that survives its process, and the measuring of its result."""

from hashlib import sha256
from pathlib import Path
from typing import Any

from agents.ml.checkpoints import load_checkpoint
from agents.ml.config import read_config
from agents.ml.data.batches import Batches
from agents.ml.data.dataset import SplitName
from agents.ml.early_stopping import EarlyStopping
from agents.ml.errors import CheckpointError, ModelScriptError
from agents.ml.optimizers import build_optimizer
from agents.ml.randomness import seeded
from agents.ml.schedulers import build_schedule
from agents.ml.training.account import account_of
from agents.ml.training.configs import (
    TrainerConfig,
    metrics_to_compute,
    read_trainer_config,
)
from agents.ml.training.experiment import Experiment, checkpoint_path, finite_mapping, read_json
from agents.ml.training.loop import Plan, Run, Trainer
from agents.ml.training.progress import Report, no_report
from agents.ml.training.supervised import Setup, chance_level, prepare
from agents.ml.training.tasks import Classification

_MAX_CONFUSION_CLASSES = 100


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
    test split stays closed; see `evaluate_checkpoint`.

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
    identity = {
        "model_script_path": str(Path(model_script_path).absolute()),
        "model_class_name": model_class_name,
        "model_script_sha256": _script_hash(model_script_path),
        "trainer_config": config.model_dump(mode="json"),
    }
    with Experiment(experiment_name, log_base_dir, identity) as experiment:
        result = experiment.result()
        if result is None:
            with seeded(config.seed):
                result = _train(model_script_path, model_class_name, config, experiment, report)
            experiment.finish(result)
        return result


def evaluate_checkpoint(
    experiment_dir: str,
    *,
    split: SplitName = "test",
    checkpoint: str = "best",
    metrics: list[str] | None = None,
    device: str | None = None,
) -> dict[str, Any]:
    """Measure a checkpoint of an experiment; the one place where the held-out test is opened.

    Args:
        experiment_dir: what the full trainer called so.
        split: "test", "val" or "train".
        checkpoint: "best", "last" or the path of a checkpoint.
        metrics: by default those the experiment was trained with.
        device: by default the experiment's.

    Returns:
        `metrics` with `loss`, `split`, `samples`, `checkpoint_path`, `chance_level`, `class_names`
        and `confusion_matrix` (rows labels, columns predictions; None for other tasks or more than
        100 classes), `device`, `warnings`.

    Raises:
        CheckpointError: no such experiment or checkpoint, or a damaged one.
        ConfigError, DatasetError, ModelScriptError: as in training.
    """
    folder = Path(experiment_dir)
    if not (folder / "config.json").is_file():
        raise CheckpointError("is no experiment: it has no config.json", where=str(folder))
    stored = read_json(folder / "config.json")
    if "trainer_config" not in stored:
        raise CheckpointError("is no experiment of the full trainer", where=str(folder))
    config = read_config(TrainerConfig, stored["trainer_config"], where="trainer_config")
    asked = metrics if metrics is not None else metrics_to_compute(config)
    path = checkpoint_path(folder, checkpoint)
    warnings: list[str] = []
    with seeded(config.seed):
        setup = _prepare(
            stored["model_script_path"],
            stored["model_class_name"],
            config,
            metrics=asked,
            device=device or config.device,
            warnings=warnings,
        )
        _load_weights(setup, path)
        samples = setup.dataset.split(split).to(setup.compute.device)
        confusion = None
        if isinstance(setup.task, Classification):
            scores, counts_CC = setup.task.evaluate_with_confusion(setup.model, samples)
            if len(counts_CC) <= _MAX_CONFUSION_CLASSES:
                confusion = counts_CC.tolist()
        else:
            scores = setup.task.evaluate(setup.model, samples)
    return {
        "metrics": finite_mapping(scores),
        "split": split,
        "samples": len(samples),
        "checkpoint_path": str(path),
        "chance_level": chance_level(samples, setup.dataset),
        "class_names": list(setup.dataset.class_names),
        "confusion_matrix": confusion,
        "device": str(setup.compute.device),
        "warnings": warnings,
    }


def _train(
    script: str, class_name: str, config: TrainerConfig, experiment: Experiment, report: Report
) -> dict[str, Any]:
    warnings: list[str] = []
    metrics = metrics_to_compute(config)
    setup = _prepare(
        script, class_name, config, metrics=metrics, device=config.device, warnings=warnings
    )
    run = _run(setup, config)
    outcome = Trainer(run, report, experiment=experiment, warnings=warnings).fit()
    result = {
        **account_of(outcome, run, experiment),
        "train_samples": len(run.train),
        "val_samples": len(run.val),
        "chance_level": chance_level(run.val, setup.dataset),
        "device": str(setup.compute.device),
    }
    return {**finite_mapping(result), "warnings": warnings}


def _prepare(
    script: str,
    class_name: str,
    config: TrainerConfig,
    *,
    metrics: list[str],
    device: str | None,
    warnings: list[str],
) -> Setup:
    return prepare(
        script,
        class_name,
        model_params=config.model_params,
        dataset=config.dataset,
        dataset_params=config.dataset_params,
        num_classes=config.num_classes,
        loss_function=config.loss_function,
        label_smoothing=config.label_smoothing,
        metrics=metrics,
        device=device,
        warnings=warnings,
        bf16=config.precision == "bf16",
    )


def _run(setup: Setup, config: TrainerConfig) -> Run:
    train, val = setup.splits()
    step_size = config.batch_size * config.gradient_accumulation_steps
    steps_per_epoch = Batches(len(train), step_size, seed=0).steps_per_epoch
    steps_total = steps_per_epoch * config.epochs
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
        optimizer,
        plan,
        schedule=schedule,
        early_stopping=EarlyStopping(stopping) if stopping else None,
        early_stopping_key=stopping.metric if stopping else "",
    )


def _script_hash(path: str) -> str:
    try:
        return sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise ModelScriptError(f"cannot be read: {error}", where=str(path)) from error


def _load_weights(setup: Setup, path: Path) -> None:
    state = load_checkpoint(path)
    if "model" not in state:
        raise CheckpointError("holds no model", where=str(path))
    try:
        setup.model.load_state_dict(state["model"])
    except RuntimeError as error:
        raise CheckpointError(f"does not fit the model: {error}", where=str(path)) from error
