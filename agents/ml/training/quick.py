"""`pytorch_quick_evaluator`: a short training that says whether a model learns at all."""

from collections.abc import Mapping, Sequence
from typing import Any

from agents.ml.data import load_dataset
from agents.ml.data.batches import Batches
from agents.ml.optimizers.building import build_optimizer
from agents.ml.reporting import Report, no_report
from agents.ml.training.compute import Compute
from agents.ml.training.configs import (
    QuickEvalConfig,
    quick_dataset_params,
    read_quick_eval_config,
)
from agents.ml.training.experiment import finite_mapping
from agents.ml.training.history import scores_in
from agents.ml.training.loop import Trainer
from agents.ml.training.randomness import seeded
from agents.ml.training.run import Plan, Run
from agents.ml.training.scoring import Measure, Targets
from agents.ml.training.supervised import Material, ModelCode, Setup, parameter_count, prepare
from agents.ml.training.tuning import tune


def pytorch_quick_evaluator(
    model_script_path: str,
    model_class_name: str,
    eval_config: dict[str, Any],
    *,
    report: Report = no_report,
) -> dict[str, Any]:
    """Train for a few epochs and measure on the validation split, all in this process.

    Here the model's code runs beside what scores it; `judge` keeps them apart.

    Returns:
        `status` ("completed" or "diverged"), `metrics` with the final scores and `loss` (empty when
        it diverged), `train_loss` of the last epoch, `history`, `chance_level` (accuracy of always
        naming the most common class), `params`, `seconds`, `samples_per_s`, `steps_run`,
        `diverged_at_step`, `device`, `seed`, `warnings`.

    Raises:
        ConfigError: naming each wrong key of `eval_config`, before anything runs.
        DatasetError, ModelScriptError: naming the file, class or shape.
    """
    config = read_quick_eval_config(eval_config)
    with seeded(config.seed):
        dataset = load_dataset(
            config.dataset, quick_dataset_params(config), num_classes=config.num_classes
        )
        targets = Targets.of(dataset, dataset.split("val"), quick_measure(config))
        trained = train_quickly(
            ModelCode(model_script_path, model_class_name),
            config,
            Material(dataset, targets.output_shape, targets),
            report,
        )
    return quick_result(config, trained, trained["history"], targets)


def quick_measure(config: QuickEvalConfig) -> Measure:
    assert config.loss_function is not None  # read_quick_eval_config fills both in
    assert config.metrics is not None
    return Measure(config.loss_function, config.metrics)


def train_quickly(
    code: ModelCode, config: QuickEvalConfig, material: Material, report: Report
) -> dict[str, Any]:
    """Build the model and train it; of `val` nothing but its inputs is read.

    Returns:
        what only the trainer knows: how it went, `params`, `device`, and times.
    """
    warnings: list[str] = []
    setup = prepare(
        code,
        material,
        model_params=config.model_params,
        loss_function=config.loss_function,
        device=config.device,
        warnings=warnings,
    )
    run = _run(setup, config, material)
    outcome = Trainer(run, report).fit()
    return {
        "status": outcome.status,
        "history": outcome.history,
        "params": parameter_count(setup.model),
        "train_samples": len(run.train),
        "steps_run": outcome.steps_run,
        "diverged_at_step": outcome.diverged_at_step,
        "seconds": outcome.seconds,
        "samples_per_s": outcome.samples_per_s,
        "device": str(setup.compute.device),
        "compute": run.computed,
        "warnings": warnings,
    }


def quick_result(
    config: QuickEvalConfig,
    trained: Mapping[str, Any],
    history: Sequence[Mapping[str, Any]],
    targets: Targets,
) -> dict[str, Any]:
    """Put together what the trainer says and what was scored, which is `history`."""
    last = history[-1] if trained["status"] == "completed" else {}
    scores = scores_in(last)
    result = {
        **trained,
        "metrics": {name: scores[name] for name in sorted(scores)},
        "train_loss": last.get("train_loss"),
        "history": history,
        "chance_level": targets.chance_level,
        "val_samples": len(targets),
        "epochs_run": len(history),
        "seed": config.seed,
    }
    return finite_mapping(result)


def _run(setup: Setup, config: QuickEvalConfig, material: Material) -> Run:
    train, val = setup.splits(material.dataset)
    batches = Batches(len(train), config.batch_size, seed=config.seed)
    steps_per_epoch = batches.steps_per_epoch
    steps_total = steps_per_epoch * config.epochs
    computed = tune(setup, lambda: train.batch(batches.at(0)), steps_total, "auto")
    setup = setup.running_on(Compute.from_json(computed, setup.compute.device))
    plan = Plan(
        steps_total=steps_total,
        steps_per_epoch=steps_per_epoch,
        batch_size=config.batch_size,
        seed=config.seed,
        best_metric=None,
    )
    return Run(
        setup.model,
        setup.task,
        train,
        val,
        material.scorer,
        build_optimizer(setup.model, config.optimizer),
        plan,
        computed=computed,
    )
