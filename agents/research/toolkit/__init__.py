"""The research tools as plain calls, for notebooks, scripts and models that call tools."""

from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from agents.llm.engines import EngineConfig, ModelRegistry
from agents.llm.tools import Tool
from agents.research.job_properties import JobsProps
from agents.research.jobs import open_jobs
from agents.research.toolkit.calls import Show, Shower
from agents.research.toolkit.models import ModelTools
from agents.research.toolkit.offered import offered
from agents.research.toolkit.tokenizers import TokenizerTools
from agents.research.toolkit.training import TrainingTools
from agents.research.toolkit.workspace import WorkspaceTools
from agents.research.writing.client import LanguageModel
from agents.research.writing.settings import WritingProps
from guild.agent.registry import check_installed
from guild.sync import BackgroundLoop

__all__ = ["ResearchToolkit", "Show"]


class ResearchToolkit(
    WorkspaceTools,
    ModelTools,
    TrainingTools,
    TokenizerTools,
):
    """Tools with the names, parameters, defaults and results of their document.

    A call does what an agent does with the message of the same purpose: the same checks, the same
    code in a child process with a clean environment and limits. It returns when that is done, and
    stops it when it is interrupted. Any thread may call, one whose event loop runs, too.

    Args:
        workspace: the folder that all paths are relative to, and may not leave; made if missing.
        llm: the language model that writes what the compiler cannot: the name of a model of the
            transformers backend or its folder, an `EngineConfig` to say more about it, or
            `WritingProps` to say how it is asked, too. It is loaded when it is first needed, and
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
        llm: str | Path | EngineConfig | WritingProps | None = None,
        show: Show | None = None,
        **limits: Any,
    ) -> None:
        check_installed(open_jobs, "the research toolkit")
        writing = _writing(llm)
        properties = JobsProps(workspace=str(workspace), **limits)
        self._audience = Shower(show)
        self._loop = BackgroundLoop("research toolkit")
        self._stack = AsyncExitStack()
        models = ModelRegistry()
        try:
            self._jobs = self._loop.run(self._stack.enter_async_context(open_jobs(properties)))
            self._loop.run(self._stack.enter_async_context(models))
        except BaseException:
            self.close()
            raise
        self._llm = LanguageModel(
            writing, models, self._jobs.files, remedy="give the toolkit an 'llm'"
        )

    def tools(self) -> list[Tool]:
        """The tools for a model that calls them, such as with `LocalAgent.invoke_with_tools`."""
        return offered(self, command_timeout_s=self._jobs.command_timeout_s)


def _writing(llm: str | Path | EngineConfig | WritingProps | None) -> WritingProps:
    match llm:
        case WritingProps():
            return llm
        case EngineConfig() | None:
            return WritingProps(llm=llm)
        case str() | Path():
            return WritingProps(llm=EngineConfig(model=str(llm)))
    raise TypeError(
        f"llm must be the name or the folder of a model, an EngineConfig or WritingProps, not "
        f"{type(llm).__name__}"
    )
