"""The optimizer tool, for messages and plain calls alike."""

from typing import Any

from agents.research.errors import WorkRefusedError
from agents.research.jobs import Audience, Jobs
from agents.research.optimizers.messages import (
    ConfigureOptimizer,
    OptimizerConfigured,
    OptimizerRegistered,
)
from agents.research.results import read_result
from agents.research.writing.client import LanguageModel
from agents.research.writing.optimizers import write_optimizer

_REGISTER = "agents.research.training_jobs:register_optimizer_config"


async def configure(
    jobs: Jobs, llm: LanguageModel, request: ConfigureOptimizer, audience: Audience
) -> OptimizerConfigured | OptimizerRegistered:
    """Register what is asked for.

    Raises:
        WorkRefusedError: names the key at fault; nothing is registered.
        NoLanguageModelError: a class is to be written, and there is no language model.
        LanguageModelError: the language model could not be loaded, or did not answer.
        NoWorkingCodeError: nothing of what it wrote passed.
    """
    if request.action == "generate_config":
        return await _configured(jobs, request, audience)
    return await _registered(jobs, llm, request, audience)


async def _configured(
    jobs: Jobs, request: ConfigureOptimizer, audience: Audience
) -> OptimizerConfigured:
    if request.optimizer_details is None:
        raise _wrong("optimizer_details", "is required: type, default_params and param_groups")
    if request.output_script_path is not None:
        raise _wrong("output_script_path", "generate_config writes no file; leave it out")
    payload = {
        "name": request.config_name,
        "config": request.optimizer_details,
        "optimizers": jobs.optimizers,
    }
    task = f"register the optimizer {request.config_name}"
    kept = (await jobs.run(_REGISTER, payload, audience, task=task)).result
    config: dict[str, Any] = {"type": kept.pop("type"), "default_params": kept.pop("params")}
    return OptimizerConfigured(config_name=request.config_name, config=config | kept)


async def _registered(
    jobs: Jobs, llm: LanguageModel, request: ConfigureOptimizer, audience: Audience
) -> OptimizerRegistered:
    if not request.output_script_path:
        raise _wrong("output_script_path", "is required: the .py file to write the class to")
    jobs.inside(request.output_script_path, key="output_script_path")
    written = await write_optimizer(jobs, llm, request, audience)
    told = {key: written.value.get(key) for key in ("script_path", "checks")}
    told |= {"config_name": request.config_name, **written.credits}
    return read_result(OptimizerRegistered, told, of=request.config_name)


def _wrong(key: str, text: str) -> WorkRefusedError:
    return WorkRefusedError("ConfigError", f"{key}: {text}", where=key)
