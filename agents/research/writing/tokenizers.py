"""Advice on tokenizers: by arithmetic on a sample, or by a language model that is told of it."""

import json
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.ml.errors import MLError
from agents.research import tools
from agents.research.errors import LanguageModelError, NoWorkingCodeError, WorkRefusedError
from agents.research.jobs import Audience, Done, Jobs
from agents.research.messages import (
    AdviseTokenizer,
    ManageTokenizer,
    TokenizerAdvised,
    TokenizerType,
)
from agents.research.writing.answers import read_json
from agents.research.writing.client import LanguageModel
from agents.research.writing.prompts import prompt
from agents.research.writing.task import Form, Task

_DESCRIBE = "agents.research.text_jobs:describe_corpus"
_TYPES = get_args(TokenizerType)
_REASON_CHARS = 100
_ADVISED = ("type", "vocab_size")


async def advise(
    jobs: Jobs, llm: LanguageModel, request: AdviseTokenizer, audience: Audience
) -> TokenizerAdvised:
    """Recommend a type and a size; where the language model gives none, arithmetic's.

    Raises:
        WorkRefusedError: names the file at fault.
    """
    for path in request.data_files:
        jobs.inside(path, key="data_files")
    measured = (
        await jobs.run(_DESCRIBE, request.model_dump(), audience, task="measure the corpus")
    ).result
    facts, advice = measured["facts"], measured["advice"]
    if not llm.is_there:
        return TokenizerAdvised(**advice, facts=facts, generated_by="arithmetic")
    try:
        written = await llm.write(_task(request, measured), audience)
    except (LanguageModelError, NoWorkingCodeError) as error:
        advice["reasons"].append(f"the language model gave no advice: {error}")
        usage = getattr(error, "usage", None)
        return TokenizerAdvised(**advice, facts=facts, generated_by="arithmetic", usage=usage)
    choice = written.value
    told = {key: value for key, value in written.credits.items() if key != "wrote"}
    return TokenizerAdvised(
        type=choice.type,
        vocab_size=choice.vocab_size,
        reasons=(choice.reason, *(f"by arithmetic: {reason}" for reason in advice["reasons"])),
        facts=facts,
        **told,
    )


async def manage_tokenizer(
    jobs: Jobs, llm: LanguageModel, request: ManageTokenizer, audience: Audience
) -> Done:
    """`tools.manage_tokenizer`, where type and size may be missing for `train`.

    What is filled in then is told under `advice`.

    Raises:
        WorkRefusedError: names the argument, key or file at fault.
    """
    asked = _advice_for(request)
    if asked is None:
        return await tools.manage_tokenizer(jobs, request, audience)
    advice = await advise(jobs, llm, asked, audience)
    config = {key: getattr(advice, key) for key in _ADVISED} | (request.config or {})
    filled = request.model_copy(update={"config": config})
    done = await tools.manage_tokenizer(jobs, filled, audience)
    return done._replace(result={**done.result, "advice": advice.model_dump(mode="json")})


def _advice_for(request: ManageTokenizer) -> AdviseTokenizer | None:
    """What to ask before a training; None where its config says all, or is wrong anyway."""
    config = request.config or {}
    if request.action != "train" or all(key in config for key in _ADVISED):
        return None
    keys = ("data_files", "type", "special_tokens")
    try:
        return AdviseTokenizer.model_validate({key: config[key] for key in keys if key in config})
    except ValidationError:
        return None


class _Choice(BaseModel):
    model_config = ConfigDict(extra="forbid")

    type: TokenizerType
    vocab_size: int
    reason: str = Field(min_length=1, max_length=_REASON_CHARS)


def _task(request: AdviseTokenizer, measured: Mapping[str, Any]) -> Task[_Choice]:
    types = [request.type] if request.type else list(_TYPES)
    sizes = sorted({*measured["sizes"], measured["advice"]["vocab_size"]})

    async def accept(answer: str) -> _Choice:
        try:
            choice = _Choice.model_validate(read_json(answer))
        except (MLError, ValidationError) as error:
            raise WorkRefusedError(type(error).__name__, str(error)) from error
        if choice.type not in types or choice.vocab_size not in sizes:
            text = f"type must be one of {types}, vocab_size one of {sizes}"
            raise WorkRefusedError("AnswerError", text)
        return choice

    asked = prompt(
        "tokenizer",
        facts=json.dumps(measured["facts"], indent=2),
        advice="; ".join(measured["advice"]["reasons"]),
        sizes=", ".join(map(str, sizes)),
    )
    schema = {
        "type": "object",
        "properties": {
            "type": {"enum": types},
            "vocab_size": {"enum": sizes},
            "reason": {"type": "string", "minLength": 1, "maxLength": _REASON_CHARS},
        },
        "required": ["type", "vocab_size", "reason"],
        "additionalProperties": False,
    }
    forms = (Form("form", asked, accept, schema), Form("json", asked, accept))
    return Task("advice on a tokenizer", forms)
