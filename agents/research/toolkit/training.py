"""Tools that train models and measure them, and the one that configures their optimizers."""

from typing import Any

from agents.research import tools
from agents.research.messages import EvaluateQuickly, TrainFully, TrainLanguageModel
from agents.research.optimizers.messages import ConfigureOptimizer, OptimizerConfigured
from agents.research.optimizers.tools import configure
from agents.research.toolkit.calls import Calls
from agents.research.toolkit.plain import asked, plain


class TrainingTools(Calls):
    """The quick evaluator, the trainers, and the optimizer configurator."""

    def pytorch_quick_evaluator(
        self, model_script_path: str, model_class_name: str, eval_config: dict[str, Any]
    ) -> dict[str, Any]:
        """Train for a few epochs and measure, to see whether a model learns at all.

        Returns:
            as `agents.ml.training.quick.pytorch_quick_evaluator`.

        Raises:
            WorkRefusedError: names every key of `eval_config` that is wrong, or the file.
        """
        request = asked(
            EvaluateQuickly,
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
        request = asked(
            TrainFully,
            model_script_path=model_script_path,
            model_class_name=model_class_name,
            trainer_config=trainer_config,
            experiment_name=experiment_name,
            log_base_dir=log_base_dir,
        )
        return self._do(tools.train, request)

    def train_language_model(
        self,
        config: dict[str, Any],
        output_dir: str,
        experiment_name: str | None = None,
        log_base_dir: str = "full_experiments",
        serve_as: str | None = None,
    ) -> dict[str, Any]:
        """Train a small Phi on text, or go on where the experiment of this name stopped.

        Args:
            config: as `agents.ml.training.configs.LanguageModelConfig`.
            output_dir: becomes a folder that transformers loads without network.
            experiment_name: by default a new one.
            log_base_dir: where the experiment's folder lies.
            serve_as: a link that points to `output_dir` once it is complete.

        Returns:
            as `agents.ml.training.language.train_language_model`.

        Raises:
            WorkRefusedError: names every key of `config` that is wrong, or the file.
        """
        request = asked(
            TrainLanguageModel,
            config=config,
            output_dir=output_dir,
            experiment_name=experiment_name,
            log_base_dir=log_base_dir,
            serve_as=serve_as,
        )
        return self._do(tools.train_language_model, request)

    def pytorch_optimizer_configurator(
        self,
        action: str,
        config_name: str,
        optimizer_details: dict[str, Any] | None = None,
        output_script_path: str | None = None,
    ) -> dict[str, Any]:
        """Register an optimizer's configuration, or a class that the language model writes.

        Its name then serves as `optimizer`, or as its `type`, in both training tools.

        Returns:
            For `generate_config` the configuration, in the form of `optimizer_details`; for
            `register_custom_optimizer` status, config_name, script_path, who wrote it
            (`generated_by`, `wrote`, `attempts`, `usage`) and the `checks` it passed.

        Raises:
            WorkRefusedError: names the argument or key at fault; nothing is registered.
            NoLanguageModelError: a class is to be written, and the toolkit has no `llm`.
            LanguageModelError: the language model could not be loaded, or did not answer.
            NoWorkingCodeError: nothing that it wrote passed the checks; nothing is written.
        """
        request = asked(
            ConfigureOptimizer,
            action=action,
            config_name=config_name,
            optimizer_details=optimizer_details,
            output_script_path=output_script_path,
        )
        done = self._loop.run(configure(self._jobs, self._llm, plain(request), self._audience))
        if isinstance(done, OptimizerConfigured):
            return done.config
        return done.model_dump(mode="json")
