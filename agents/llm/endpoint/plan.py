"""From the body of a request to what engines are asked."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from agents.llm.dialogue import Sampling, grammar_of_format
from agents.llm.dialogue.plan import Wish, plan_answer
from agents.llm.dialogue.reading import Reading, verbatim
from agents.llm.dialogue.structure import CannotConstrainError
from agents.llm.endpoint.errors import invalid, unsupported
from agents.llm.endpoint.parameters import (
    ChatBody,
    CompletionBody,
    NamedTool,
)
from agents.llm.engines.constraint import Constraint
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import MissingDependencyError
from agents.llm.engines.loaded import LoadedTokenizer, loaded_tokenizer
from agents.llm.engines.request import GenerationRequest


@dataclass(frozen=True)
class Plan:
    """One request for each choice.

    Attributes:
        reading: how each answer is read.
        is_call: whether each answer is one call of a tool and nothing else.
        strict: the grammars of arguments of tools whose calls must be valid.
    """

    requests: Sequence[GenerationRequest]
    tokens: LoadedTokenizer | None
    reading: Reading
    make_constraint: Callable[[], Constraint] | None = None
    is_call: bool = False
    strict: Mapping[str, Any] = field(default_factory=dict)


def plan_chat(body: ChatBody, engine: Engine, deadline_s: float | None) -> Plan:
    """What a loaded engine is asked for a chat. Renders, tokenizes and compiles: takes time.

    Raises:
        ApiError: the request cannot be followed.
        InvalidRequestError: likewise, for reasons of the model.
    """
    sampling = Sampling(
        max_new_tokens=body.new_tokens, deadline_s=deadline_s, **body.sampling(index=0)
    )
    logprobs = body.top_logprobs if body.logprobs else None
    form = "tool_choice" if body.offered else "response_format"
    try:
        planned = plan_answer(_wish(body), engine, sampling, logprobs=logprobs)
        strict = _strict(body)
    except CannotConstrainError:
        raise unsupported(form, f"the backend of {body.model} cannot constrain answers") from None
    except (ModuleNotFoundError, MissingDependencyError) as error:
        raise unsupported(
            form,
            "the server has no llguidance, which constrains answers; its operator can install "
            "guildbus[torch] or guildbus[llamacpp]",
        ) from error
    seeds = [body.sampling(index)["seed"] for index in range(body.n)]
    return Plan(
        [planned.request.model_copy(update={"seed": seed}) for seed in seeds],
        loaded_tokenizer(engine),
        planned.reading,
        planned.make_constraint,
        is_call=planned.reading.call is not None,
        strict=strict,
    )


def plan_completion(body: CompletionBody, engine: Engine, deadline_s: float | None) -> Plan:
    """What an engine is asked for a completion; see `plan_chat`."""
    requests = [
        _request(
            prompt,
            max_new_tokens=body.max_tokens,
            logprobs=body.logprobs,
            deadline_s=deadline_s,
            **body.sampling(index),
        )
        for prompt in body.prompts
        for index in range(body.n)
    ]
    return Plan(requests, loaded_tokenizer(engine), Reading(verbatim))


def _request(prompt: str | tuple[int, ...], **settings: Any) -> GenerationRequest:
    given = {"prompt": prompt} if isinstance(prompt, str) else {"prompt_ids": prompt}
    try:
        return GenerationRequest(**given, **settings)
    except ValidationError as error:
        raise invalid(error) from None


def _wish(body: ChatBody) -> Wish:
    wanted = body.tool_choice
    return Wish(
        body.messages,
        [tool.schema_for_model for tool in body.tools],
        wanted.function.name if isinstance(wanted, NamedTool) else wanted,
        is_parallel=body.parallel_tool_calls,
        grammar=grammar_of_format(body.response_format.model_dump(by_alias=True)),
    )


def _strict(body: ChatBody) -> dict[str, Any]:
    """By the name of the tool."""
    strict = [tool.function for tool in body.offered if tool.function.strict]
    if not strict:
        return {}
    from agents.llm.structured import grammar_of_schema  # noqa: PLC0415  llguidance is an extra

    return {function.name: grammar_of_schema(function.parameters) for function in strict}
