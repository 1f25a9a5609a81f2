"""From the body of a request to what engines are asked."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from agents.llm.dialogue import Sampling, grammar_of_format
from agents.llm.dialogue.plan import Plan as PlannedAnswer
from agents.llm.dialogue.plan import Wish, plan_answer, plan_text
from agents.llm.dialogue.reading import Reading
from agents.llm.dialogue.structure import CannotConstrainError
from agents.llm.endpoint.errors import ApiError, as_api_error, unsupported
from agents.llm.endpoint.parameters import ChatBody, CompletionBody, NamedTool
from agents.llm.endpoint.parameters import Sampling as Body
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import InvalidRequestError, MissingDependencyError
from agents.llm.engines.loaded import LoadedTokenizer, loaded_tokenizer

if TYPE_CHECKING:
    from agents.llm.structured import Grammar


@dataclass(frozen=True)
class Plan:
    """What an engine is asked.

    Attributes:
        answers: one for each choice; all are read alike.
        is_call: whether each answer is one call of a tool and nothing else.
        strict: the grammars of arguments of tools whose calls must be valid.
    """

    answers: Sequence[PlannedAnswer]
    tokens: LoadedTokenizer | None
    is_call: bool = False
    strict: Mapping[str, Any] = field(default_factory=dict)

    @property
    def reading(self) -> Reading:
        """How each answer is read."""
        return self.answers[0].reading


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
    with _refused_by_name(body, "tool_choice" if body.offered else _parameter(body)):
        planned = plan_answer(_wish(body), engine, sampling, logprobs=logprobs)
        strict = _strict(body)
    seeds = [body.sampling(index)["seed"] for index in range(body.n)]
    return Plan(
        [
            replace(planned, request=planned.request.model_copy(update={"seed": seed}))
            for seed in seeds
        ],
        loaded_tokenizer(engine),
        is_call=planned.reading.call is not None,
        strict=strict,
    )


def plan_completion(body: CompletionBody, engine: Engine, deadline_s: float | None) -> Plan:
    """What an engine is asked for a completion; see `plan_chat`."""
    answers = []
    with _refused_by_name(body, _parameter(body)):
        grammar = _grammar(body)
        for prompt in body.prompts:
            for index in range(body.n):
                sampling = Sampling(
                    max_new_tokens=body.max_tokens, deadline_s=deadline_s, **body.sampling(index)
                )
                answers.append(plan_text(prompt, grammar, engine, sampling, logprobs=body.logprobs))
    return Plan(answers, loaded_tokenizer(engine))


def _wish(body: ChatBody) -> Wish:
    wanted = body.tool_choice
    return Wish(
        body.messages,
        [tool.schema_for_model for tool in body.tools],
        wanted.function.name if isinstance(wanted, NamedTool) else wanted,
        is_parallel=body.parallel_tool_calls,
        grammar=_grammar(body),
    )


def _parameter(body: Body) -> str:
    return body.form.parameter if body.form else "response_format"


def _grammar(body: Body) -> "Grammar | None":
    """What the answer must look like.

    Raises:
        ApiError: it cannot be enforced.
    """
    if body.form is None:
        return None
    try:
        return grammar_of_format(body.form.response_format)
    except InvalidRequestError as error:
        told = as_api_error(error, body.model)
        parameter = body.form.parameter
        raise ApiError(400, f"{parameter}: {told.message}", param=parameter) from error


@contextmanager
def _refused_by_name(body: Body, parameter: str) -> Iterator[None]:
    """What the server lacks to constrain answers is told with the parameter that needs it.

    Raises:
        ApiError: it lacks something.
    """
    try:
        yield
    except CannotConstrainError:
        raise unsupported(
            parameter, f"the backend of {body.model} cannot constrain answers"
        ) from None
    except (ModuleNotFoundError, MissingDependencyError) as error:
        raise unsupported(
            parameter,
            "the server has no llguidance, which constrains answers; its operator can install "
            "guildbus[torch] or guildbus[llamacpp]",
        ) from error


def _strict(body: ChatBody) -> dict[str, Any]:
    """By the name of the tool."""
    strict = [tool.function for tool in body.offered if tool.function.strict]
    if not strict:
        return {}
    from agents.llm.structured import grammar_of_schema  # noqa: PLC0415  llguidance is an extra

    return {function.name: grammar_of_schema(function.parameters) for function in strict}
