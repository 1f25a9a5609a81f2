"""What every training with an experiment tells of itself in its result."""

from typing import Any

from agents.ml.training.experiment import Experiment
from agents.ml.training.history import final_scores
from agents.ml.training.run import Outcome, Run
from agents.ml.training.supervised import parameter_count


def account_of(outcome: Outcome, run: Run, experiment: Experiment) -> dict[str, Any]:
    """How it went, what came out and where that lies.

    `final_evaluation` holds the validation scores of the best weights, nothing if it diverged.
    """
    best = outcome.best_file
    has_ended = outcome.status == "completed"
    return {
        "status": outcome.status,
        "history": outcome.history,
        "best_checkpoint_path": str(experiment.folder / "checkpoints" / best) if best else None,
        "best_epoch": outcome.best_epoch,
        "best_metric": run.plan.best_metric,
        "best_value": outcome.best_value,
        "final_evaluation": (
            final_scores(outcome.history, outcome.best_epoch) if has_ended else {}
        ),
        "epochs_run": len(outcome.history),
        "steps_run": outcome.steps_run,
        "stopped_early": outcome.stopped_early,
        "diverged_at_step": outcome.diverged_at_step,
        "resumed_from_step": outcome.resumed_from_step,
        "experiment_name": experiment.name,
        "experiment_dir": str(experiment.folder),
        "params": parameter_count(run.model),
        "seconds": outcome.seconds,
        "samples_per_s": outcome.samples_per_s,
        "seed": run.plan.seed,
    }
