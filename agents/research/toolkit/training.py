"""Tools that train models and measure them."""

from typing import Any

from agents.research import tools
from agents.research.messages import EvaluateQuickly, TrainFully
from agents.research.toolkit.calls import Calls


class TrainingTools(Calls):
    """The quick evaluator and the full trainer."""

    def pytorch_quick_evaluator(
        self, model_script_path: str, model_class_name: str, eval_config: dict[str, Any]
    ) -> dict[str, Any]:
        """Train for a few epochs and measure, to see whether a model learns at all.

        Returns:
            as `agents.ml.training.quick.pytorch_quick_evaluator`.

        Raises:
            WorkRefusedError: names every key of `eval_config` that is wrong, or the file.
        """
        request = EvaluateQuickly(
            model_script_path=model_script_path,
            model_class_name=model_class_name,
            eval_config=eval_config,
        )
        return self._do(tools.evaluate_quickly, request)

    def pytorch_full_trainer(
        self,
        model_script_path: str,
        model_class_name: str,
        trainer_config: dict[str, Any],
        experiment_name: str | None = None,
        log_base_dir: str = "full_experiments",
    ) -> dict[str, Any]:
        """Train to the end, or go on where the experiment of this name stopped.

        Returns:
            as `agents.ml.training.full.pytorch_full_trainer`.

        Raises:
            WorkRefusedError: names every key of `trainer_config` that is wrong, or the file.
        """
        request = TrainFully(
            model_script_path=model_script_path,
            model_class_name=model_class_name,
            trainer_config=trainer_config,
            experiment_name=experiment_name,
            log_base_dir=log_base_dir,
        )
        return self._do(tools.train, request)
