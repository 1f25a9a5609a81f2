"""The fifteen tools as a tool-calling model is offered them: what a dictionary holds is said."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from agents.llm.tools import Tool

if TYPE_CHECKING:
    from agents.research.toolkit import ResearchToolkit

_FILE_S = 60.0
_MODEL_S = 600.0
_TRAINING_S = 24 * 3600.0
_SPARE_S = 30.0


class _Config(BaseModel):
    """A dictionary of which some keys are known by name; the tool itself checks all of them."""

    model_config = ConfigDict(extra="allow")

    def given(self) -> dict[str, Any]:
        return self.model_dump(exclude_unset=True)


class Layer(_Config):
    type: str = Field(description="a class of torch.nn, such as Conv2d, or of module_path")
    params: dict[str, Any] = Field(default={}, description="sizes of inputs are inferred")
    module_path: str = Field(default="", description="a Python file with a block of your own")


class ModelConfig(_Config):
    model_name: str = Field(description="name of the class")
    input_shape: list[int] = Field(description="of one sample, such as [1, 8, 8]")
    layers: list[Layer] = Field(default=[], description="in their order")
    description: str = Field(default="", description="instead of layers: the model in words")


class EvalConfig(_Config):
    dataset: str = Field(description="digits, mnist, fashion_mnist, cifar10 or dummy")
    num_classes: int = 10
    batch_size: int = 64
    epochs: int = 1
    optimizer: str = "Adam"
    learning_rate: float = 0.001
    metrics: list[str] = ["accuracy"]


class Named(_Config):
    type: str
    params: dict[str, Any] = {}


class TrainerConfig(_Config):
    dataset: str = Field(description="as for the quick evaluator, or a file of your own")
    dataset_params: dict[str, Any] = {}
    num_classes: int = 10
    batch_size: int = 64
    epochs: int = 10
    optimizer: Named = Named(type="AdamW")
    scheduler: Named | None = None
    metrics: list[str] = ["accuracy"]
    early_stopping: dict[str, Any] | None = None


class OptimizerDetails(_Config):
    type: str = Field(default="", description="for generate_config: Adam, SGD, AdamW and so on")
    default_params: dict[str, Any] = Field(default={}, description="lr, weight_decay and so on")
    param_groups: list[dict[str, Any]] = Field(
        default=[], description="each a name_regex of parameters, and settings of their own"
    )
    description: str = Field(
        default="", description="for register_custom_optimizer: what it should do"
    )
    base_optimizer: str = Field(default="", description="one that it resembles")
    additional_params: dict[str, Any] = Field(
        default={}, description="arguments of its constructor, with their defaults"
    )


class _Offered:
    """Methods of the toolkit that a model can call by names and JSON alone."""

    def __init__(self, kit: "ResearchToolkit") -> None:
        self._kit = kit

    def python_run(self, script_path: str, args: list[str] | None = None) -> str:
        """Run a Python script with arguments; gives what it printed."""
        return self._kit.python_run(script_path, *(args or ()))

    def pytorch_model_assembler(self, model_config: ModelConfig, output_script_path: str) -> str:
        """Write the PyTorch module that model_config describes to a Python file."""
        made = self._kit.assemble(model_config.given(), output_script_path)
        return (
            f"wrote {made.model_name} with {made.total_params:,} parameters to {made.script_path}"
        )

    def pytorch_model_summary(
        self, model_script_path: str, model_class_name: str, input_size: list[int]
    ) -> str:
        """Sizes and costs of a model, layer by layer; input_size is such as [1, 1, 8, 8]."""
        summary = self._kit.pytorch_model_summary(
            model_script_path, model_class_name, tuple(input_size)
        )
        return str(summary["summary_str"])

    def pytorch_quick_evaluator(
        self, model_script_path: str, model_class_name: str, eval_config: EvalConfig
    ) -> dict[str, Any]:
        """Train for a few epochs and measure, to see whether a model learns at all."""
        return self._kit.pytorch_quick_evaluator(
            model_script_path, model_class_name, eval_config.given()
        )

    def pytorch_full_trainer(
        self,
        model_script_path: str,
        model_class_name: str,
        trainer_config: TrainerConfig,
        experiment_name: str | None = None,
        log_base_dir: str = "full_experiments",
    ) -> dict[str, Any]:
        """Train to the end, with checkpoints; the same name goes on where it was stopped."""
        result = self._kit.pytorch_full_trainer(
            model_script_path,
            model_class_name,
            trainer_config.given(),
            experiment_name,
            log_base_dir,
        )
        return {key: value for key, value in result.items() if key != "history"}

    def pytorch_optimizer_configurator(
        self,
        action: Literal["generate_config", "register_custom_optimizer"],
        config_name: str,
        optimizer_details: OptimizerDetails,
        output_script_path: str | None = None,
    ) -> dict[str, Any]:
        """Register an optimizer under a name, by its configuration or described in words."""
        return self._kit.pytorch_optimizer_configurator(
            action, config_name, optimizer_details.given(), output_script_path
        )

    def pytorch_tokenizer_manager(  # noqa: PLR0917  the signature of its document
        self,
        action: Literal["train", "load", "apply"],
        tokenizer_name: str,
        config: dict[str, Any] | None = None,
        tokenizer_path: str | None = None,
        text_input: list[str] | None = None,
        hf_pretrained_id: str | None = None,
    ) -> dict[str, Any]:
        """Train a tokenizer (config: type, vocab_size, data_files), load or apply one."""
        return self._kit.pytorch_tokenizer_manager(
            action, tokenizer_name, config, tokenizer_path, text_input, hf_pretrained_id
        )


def offered(kit: "ResearchToolkit", *, command_timeout_s: float) -> list[Tool]:
    """The tools with their schemas, each with the time that it may take."""
    for_models = _Offered(kit)
    command_s = command_timeout_s + _SPARE_S
    times: dict[Callable[..., Any], float] = {
        kit.read_file: _FILE_S,
        kit.write_file: _FILE_S,
        kit.append_to_file: _FILE_S,
        kit.list_directory: _FILE_S,
        kit.create_directory: _FILE_S,
        kit.bash_run: command_s,
        for_models.python_run: command_s,
        for_models.pytorch_model_assembler: _MODEL_S,
        for_models.pytorch_model_summary: _MODEL_S,
        for_models.pytorch_quick_evaluator: _TRAINING_S,
        for_models.pytorch_full_trainer: _TRAINING_S,
        for_models.pytorch_optimizer_configurator: _MODEL_S,
        for_models.pytorch_tokenizer_manager: _TRAINING_S,
        kit.pip_install_pytorch_package: _TRAINING_S,
        kit.create_pytorch_project_scaffold: _FILE_S,
    }
    return [Tool(function, timeout_s=timeout_s) for function, timeout_s in times.items()]
