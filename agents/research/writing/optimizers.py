"""An optimizer, written by a language model: a rule of parts, or code."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

from agents.research.jobs import Audience, Jobs
from agents.research.optimizers.messages import ConfigureOptimizer
from agents.research.writing.client import LanguageModel
from agents.research.writing.prompts import prompt
from agents.research.writing.task import Form, Task, Written

_READ = "agents.research.optimizers.jobs:read_request"
_CHECK = "agents.research.optimizers.jobs:check_answer"
_CHECK_S = 300.0  # code of a language model may run for ever


async def write_optimizer(
    jobs: Jobs, llm: LanguageModel, request: ConfigureOptimizer, audience: Audience
) -> Written[dict[str, Any]]:
    """Have the class written, checked and registered.

    Raises:
        WorkRefusedError: the request is at fault; the language model is not asked.
        ResearchError: as `LanguageModel.write`.
    """
    payload = {
        "name": request.config_name,
        "details": request.optimizer_details,
        "output_script_path": request.output_script_path,
        "optimizers": jobs.optimizers,
    }
    title = f"register the optimizer {request.config_name}"
    asked = (await jobs.run(_READ, payload, audience, task=title)).result
    schema = asked["schema"] if llm.properties.writes == "auto" else None

    def accept(wrote: str) -> Callable[[str], Awaitable[dict[str, Any]]]:
        async def check(answer: str) -> dict[str, Any]:
            given = {**payload, "answer": answer, "wrote": wrote}
            done = await jobs.run(_CHECK, given, audience, task=title, timeout_s=_CHECK_S)
            return done.result

        return check

    details = json.dumps(request.optimizer_details, indent=2)
    arguments = _arguments(asked["arguments"])
    code = Form(
        "code",
        prompt("optimizer_code", name=request.config_name, details=details, arguments=arguments),
        accept("code"),
    )
    rule = Form("rule", prompt("optimizer_rule", details=details), accept("rule"), schema)
    return await llm.write(
        Task(f"the optimizer {request.config_name}", (rule, code) if schema else (code,)), audience
    )


def _arguments(arguments: dict[str, Any]) -> str:
    told = (name if value is None else f"{name}={value!r}" for name, value in arguments.items())
    return ", ".join(["params", "lr with a default", *told])
