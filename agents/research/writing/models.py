"""Who writes a model: the compiler, or a language model where there are only words."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel

from agents.research import tools
from agents.research.errors import NoLanguageModelError, WorkRefusedError
from agents.research.jobs import Audience, Done, Jobs
from agents.research.messages import AssembleModel, ModelAssembled
from agents.research.results import read_result
from agents.research.writing.client import LanguageModel
from agents.research.writing.prompts import prompt
from agents.research.writing.task import Form, Task

_READ = "agents.research.model_jobs:read_claims"
_CHECK = "agents.research.model_jobs:check_answer"
_CHECK_S = 300.0  # code of a language model may run for ever
_IN_WORDS = "InexpressibleError"
_TOLD = ("model_name", "script_path", "checks", "total_params", "output_shape")


async def assemble(
    jobs: Jobs, llm: LanguageModel, request: AssembleModel, audience: Audience
) -> ModelAssembled:
    """Write the file of a model, or have it written.

    What the compiler can express, it compiles, and no language model is asked. Everything, whoever
    wrote it, passes the same gate before it gets its name.

    Raises:
        WorkRefusedError: the config is at fault; nothing is written.
        NoLanguageModelError: it needs a language model, and there is none.
        LanguageModelError: the language model could not be loaded, or did not answer.
        NoWorkingCodeError: nothing of what it wrote passed.
    """
    try:
        done = await tools.assemble(jobs, request, audience)
    except WorkRefusedError as error:
        if error.kind != _IN_WORDS:
            raise
        if not llm.is_there:
            raise NoLanguageModelError(
                f"{error}; only a language model can turn that into code, and there is none: "
                f"{llm.remedy}, or say it in layers"
            ) from error
    else:
        return _assembled(done, generated_by="compiler", attempts=1)
    task = await _task(jobs, request, audience, may_fill_in=llm.properties.writes == "auto")
    written = await llm.write(task, audience)
    return _assembled(written.value, **written.credits)


async def _task(
    jobs: Jobs, request: AssembleModel, audience: Audience, *, may_fill_in: bool
) -> Task[Done]:
    """Layers where a grammar has all that fit, and code.

    Raises:
        WorkRefusedError: the config lacks what an answer could be held against.
    """
    payload = {"model_config": request.config}
    claims = (await jobs.run(_READ, payload, _Nobody(), task="read the config")).result
    grammar = claims["grammar"] if may_fill_in else None

    def accept(wrote: str) -> Callable[[str], Awaitable[Done]]:
        async def check(answer: str) -> Done:
            payload = {**request.model_dump(), "answer": answer, "wrote": wrote}
            task = tools.assembling(request)
            return await jobs.run(_CHECK, payload, audience, task=task, timeout_s=_CHECK_S)

        return check

    config = json.dumps(request.config, indent=2, default=str)
    layers = Form("layers", prompt("model_layers", config=config), accept("layers"), grammar)
    code = Form("code", prompt("model_code", config=config, **_rules(claims)), accept("code"))
    what = f"the model {claims['name']}"
    return Task(what, (layers, code) if grammar else (code,))


def _rules(claims: Mapping[str, Any]) -> dict[str, str]:
    """What a file is held against, in words."""
    output_shape = claims["output_shape"]
    of_shape = f" of shape (batch, {', '.join(map(str, output_shape))})" if output_shape else ""
    return {
        "name": claims["name"],
        "dtype": claims["input_dtype"],
        "input_shape": ", ".join(map(str, claims["input_shape"])),
        "output": of_shape,
    }


class _Nobody:
    """Is shown a job that takes no time."""

    def emit(self, message: BaseModel, /) -> None:
        pass


def _assembled(done: Done, **how: Any) -> ModelAssembled:
    names = {"model_name": "class_name", "script_path": "path"}
    told = {name: done.result.get(names.get(name, name)) for name in _TOLD}
    return read_result(ModelAssembled, {**told, **how}, of="a block of its own")
