"""The research tools as plain calls, for notebooks, scripts and models that call tools."""

from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from agents.llm.closing import Closing
from agents.llm.engines import EngineConfig, ModelRegistry
from agents.research import tools
from agents.research.jobs import Audience, Done, Jobs, JobsProps, open_jobs
from agents.research.messages import (
    AssembleModel,
    EvaluateQuickly,
    ManageTokenizer,
    ModelAssembled,
    SummariseModel,
    TrainFully,
)
from agents.research.writing import AssemblerProps, Writer
from guild.progress import Progress
from guild.registry import check_installed
from guild.sync import BackgroundLoop

Show = Callable[[Progress], None]

_TOKENIZER_KEYS = ("status", "tokenizer_name", "tokenizer_path", "vocab_size", "tokenizer_info")
_ENCODING_KEYS = ("input_ids", "attention_mask")


class ResearchToolkit(Closing):
    """Tools with the names, parameters, defaults and results of their document.

    A call does what an agent does with the message of the same purpose: the same checks, the same
    code in a child process with a clean environment and limits. It returns when that is done, and
    stops it when it is interrupted. Any thread may call, one whose event loop runs, too.

    Args:
        workspace: the folder that all paths are relative to, and may not leave; made if missing.
        llm: the language model that writes what the compiler cannot: the name of a model of the
            transformers backend or its folder, an `EngineConfig` to say more about it, or
            `AssemblerProps` to say how it is asked, too. It is loaded when it is first needed, and
            freed when it was not for five minutes, and with `close`.
        show: told how far the work has come, in a thread of the toolkit's.
        limits: what else `JobsProps` has, such as `memory_mb` and `timeout_s`.

    Raises:
        MissingExtraError: what the tools need is not installed; says how to install it.
        TypeError: `llm` is something else.
    """

    def __init__(
        self,
        *,
        workspace: str | Path = ".",
        llm: str | Path | EngineConfig | AssemblerProps | None = None,
        show: Show | None = None,
        **limits: Any,
    ) -> None:
        check_installed(open_jobs, "the research toolkit")
        writing = _writing(llm)
        properties = JobsProps(workspace=str(workspace), **limits)
        self._audience = _Audience(show)
        self._loop = BackgroundLoop("research toolkit")
        self._stack = AsyncExitStack()
        models = ModelRegistry()
        self._jobs = self._loop.run(self._stack.enter_async_context(open_jobs(properties)))
        self._loop.run(self._stack.enter_async_context(models))
        self._writer = Writer(writing, self._jobs, models, remedy="give the toolkit an 'llm'")

    def close(self) -> None:
        """Free the language model and end the processes. Called again it does nothing."""
        if self._loop.is_running:
            self._loop.run(self._stack.aclose())
            self._loop.close()

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
        request = AssembleModel(config=model_config, output_script_path=output_script_path)
        return self._loop.run(self._writer.assemble(request, self._audience))

    def pytorch_model_summary(
        self, model_script_path: str, model_class_name: str, input_size: tuple[int, ...]
    ) -> dict[str, Any]:
        """Sizes and costs of a model, layer by layer.

        Returns:
            `summary_str`, `total_params`, `trainable_params`, `flops`, `layer_details` and what
            `agents.ml.summary` has besides.

        Raises:
            WorkRefusedError: names the file, class or size at fault.
        """
        request = SummariseModel(
            model_script_path=model_script_path,
            model_class_name=model_class_name,
            input_size=input_size,
        )
        return self._do(tools.summarise, request)

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

    def pytorch_tokenizer_manager(  # noqa: PLR0917  the signature of its document
        self,
        action: str,
        tokenizer_name: str,
        config: dict[str, Any] | None = None,
        tokenizer_path: str | None = None,
        text_input: str | list[str] | None = None,
        hf_pretrained_id: str | None = None,
    ) -> dict[str, Any]:
        """Train, load or apply a tokenizer; `action` says which of the other arguments are read.

        Returns:
            For `train` status, tokenizer_name, tokenizer_path and vocab_size (as it came out); for
            `load` status, tokenizer_name and tokenizer_info; for `apply` input_ids and
            attention_mask, a list per text.

        Raises:
            WorkRefusedError: names the argument, key or file at fault.
        """
        request = ManageTokenizer.model_validate(
            {
                "action": action,
                "tokenizer_name": tokenizer_name,
                "config": config,
                "tokenizer_path": tokenizer_path,
                "text_input": text_input,
                "hf_pretrained_id": hf_pretrained_id,
            }
        )
        result = self._do(tools.manage_tokenizer, request)
        keys = _ENCODING_KEYS if action == "apply" else _TOKENIZER_KEYS
        return {key: result[key] for key in keys if key in result}

    def _do(
        self,
        tool: Callable[[Jobs, Any, Audience], Coroutine[Any, Any, Done]],
        request: BaseModel,
    ) -> dict[str, Any]:
        return self._loop.run(tool(self._jobs, request, self._audience)).result


def _writing(llm: str | Path | EngineConfig | AssemblerProps | None) -> AssemblerProps:
    match llm:
        case AssemblerProps():
            return llm
        case EngineConfig() | None:
            return AssemblerProps(llm=llm)
        case str() | Path():
            return AssemblerProps(llm=EngineConfig(model=str(llm)))
    raise TypeError(
        f"llm must be the name or the folder of a model, an EngineConfig or AssemblerProps, not "
        f"{type(llm).__name__}"
    )


class _Audience:
    """Hands progress on to a function."""

    def __init__(self, show: Show | None) -> None:
        self._show = show

    def emit(self, message: BaseModel, /) -> None:
        if self._show is not None and isinstance(message, Progress):
            self._show(message)
