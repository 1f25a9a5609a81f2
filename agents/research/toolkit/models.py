"""Tools that write models and look into them."""

from typing import Any

from agents.research.messages import AssembleModel, ModelAssembled, SummariseModel
from agents.research.toolkit.calls import Calls
from agents.research.toolkit.plain import asked, plain
from agents.research.writing import models as writing
from agents.research.writing.summaries import summarise


class ModelTools(Calls):
    """The assembler and the summary."""

    def pytorch_model_assembler(
        self, model_config: dict[str, Any], output_script_path: str
    ) -> None:
        """Write the `nn.Module` that `model_config` describes.

        Raises:
            ResearchError: as `assemble`.
        """
        self.assemble(model_config, output_script_path)

    def assemble(self, model_config: dict[str, Any], output_script_path: str) -> ModelAssembled:
        """As `pytorch_model_assembler`, and tell of it.

        Returns:
            who wrote the model, after how many attempts and tokens, and what was checked.

        Raises:
            WorkRefusedError: names the layer, key or file at fault; nothing is written.
            NoLanguageModelError: the config is in words, and the toolkit has no `llm`.
            LanguageModelError: the language model could not be loaded, or did not answer.
            NoWorkingCodeError: nothing that it wrote passed the checks; nothing is written.
        """
        request = asked(AssembleModel, config=model_config, output_script_path=output_script_path)
        return self._loop.run(
            writing.assemble(self._jobs, self._llm, plain(request), self._audience)
        )

    def pytorch_model_summary(
        self, model_script_path: str, model_class_name: str, input_size: tuple[int, ...]
    ) -> dict[str, Any]:
        """Sizes and costs of a model, layer by layer.

        Returns:
            `summary_str`, `total_params`, `trainable_params`, `flops`, `layer_details` and what
            `agents.ml.models.summary` has besides; where there is an `llm`, its prose stands above
            the table, and under `prose`.

        Raises:
            WorkRefusedError: names the file, class or size at fault.
        """
        request = asked(
            SummariseModel,
            model_script_path=model_script_path,
            model_class_name=model_class_name,
            input_size=input_size,
        )
        return self._loop.run(summarise(self._jobs, self._llm, plain(request), self._audience))
