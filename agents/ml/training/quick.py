"""`pytorch_quick_evaluator`: a short training that says whether a model learns at all."""

from typing import Any

from agents.ml.data.batches import Batches
from agents.ml.optimizers import OptimizerConfig, build_optimizer
from agents.ml.randomness import seeded
from agents.ml.training.configs import (
    QuickEvalConfig,
    quick_dataset_params,
    read_quick_eval_config,
)
from agents.ml.training.loop import Outcome, Plan, Run, Trainer
from agents.ml.training.progress import Report, no_report
from agents.ml.training.supervised import Setup, chance_level, parameter_count, prepare


def pytorch_quick_evaluator(
    model_script_path: str,
    model_class_name: str,
    eval_config: dict[str, Any],
    *,
    report: Report = no_report,
) -> dict[str, Any]:
    """Train for a few epochs and measure on the validation split.

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
    warnings: list[str] = []
    with seeded(config.seed):
        setup = prepare(
            model_script_path,
            model_class_name,
            model_params=config.model_params,
            dataset=config.dataset,
            dataset_params=quick_dataset_params(config),
            num_classes=config.num_classes,
            loss_function=config.loss_function,
            metrics=config.metrics,
            device=config.device,
            warnings=warnings,
        )
        run = _run(setup, config)
        outcome = Trainer(run, report).fit()
    return _result(outcome, setup, run, config, warnings)


def _run(setup: Setup, config: QuickEvalConfig) -> Run:
    train, val = setup.splits()
    steps_per_epoch = Batches(len(train), config.batch_size, seed=0).steps_per_epoch
    optimizer = OptimizerConfig(type=config.optimizer, params={"lr": config.learning_rate})
    plan = Plan(
        steps_total=steps_per_epoch * config.epochs,
        steps_per_epoch=steps_per_epoch,
        batch_size=config.batch_size,
        seed=config.seed,
        best_metric=None,
    )
    return Run(setup.model, setup.task, train, val, build_optimizer(setup.model, optimizer), plan)


def _result(
    outcome: Outcome, setup: Setup, run: Run, config: QuickEvalConfig, warnings: list[str]
) -> dict[str, Any]:
    last = outcome.history[-1] if outcome.status == "completed" else {}
    scores = {key[4:]: value for key, value in last.items() if key.startswith("val_")}
    return {
        "status": outcome.status,
        "metrics": {name: scores[name] for name in sorted(scores)},
        "train_loss": last.get("train_loss"),
        "history": outcome.history,
        "chance_level": chance_level(run.val, setup.dataset),
        "params": parameter_count(setup.model),
        "train_samples": len(run.train),
        "val_samples": len(run.val),
        "epochs_run": len(outcome.history),
        "steps_run": outcome.steps_run,
        "diverged_at_step": outcome.diverged_at_step,
        "seconds": outcome.seconds,
        "samples_per_s": outcome.samples_per_s,
        "device": str(setup.compute.device),
        "seed": config.seed,
        "warnings": warnings,
    }
