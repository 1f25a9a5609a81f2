"""The tool that configures optimizers, and has them written."""

from typing import Any

from agents.research.optimizers.messages import ConfigureOptimizer, OptimizerConfigured
from agents.research.optimizers.tools import configure
from agents.research.toolkit.calls import Calls
from agents.research.toolkit.plain import asked, plain


class OptimizerTools(Calls):
    """The optimizer configurator."""

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
