"""From the body of a request to what engines are asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from agents.llm.chat import ChatPrompt, render_chat
from agents.llm.endpoint.errors import ApiError, invalid, unsupported
from agents.llm.endpoint.parameters import (
    ChatBody,
    CompletionBody,
    JsonObjectFormat,
    JsonSchemaFormat,
    NamedTool,
)
from agents.llm.endpoint.vocabularies import MakeConstraint, budget, constraints
from agents.llm.engines.engine import Engine
from agents.llm.engines.loaded import LoadedTokenizer, loaded_tokenizer
from agents.llm.engines.request import GenerationRequest
from agents.llm.parsing import OutputParser


@dataclass(frozen=True)
class Plan:
    """One request for each choice.

    Attributes:
        is_thinking: whether answers begin inside of reasoning.
        is_call: whether each answer is one call of a tool and nothing else.
        is_plain: whether an answer is the text as it is, without reasoning and calls in it.
        strict: the grammars of arguments of tools whose calls must be valid.
    """

    requests: Sequence[GenerationRequest]
    tokens: LoadedTokenizer | None
    make_constraint: MakeConstraint | None = None
    is_thinking: bool = False
    is_call: bool = False
    is_plain: bool = False
    strict: Mapping[str, Any] = field(default_factory=dict)


def plan_chat(body: ChatBody, engine: Engine, deadline_s: float | None) -> Plan:
    """What a loaded engine is asked for a chat. Renders, tokenizes and compiles: takes time.

    Raises:
        ApiError: the request cannot be followed.
        InvalidRequestError: likewise, for reasons of the model.
    """
    tokens = loaded_tokenizer(engine)
    grammar = _grammar(body)
    if grammar is not None and not (tokens and tokens.is_fast):
        name = "response_format" if not body.offered else "tool_choice"
        raise unsupported(name, f"the backend of {body.model} cannot constrain answers")
    prompt = _rendered(body, tokens, is_constrained=grammar is not None)
    new_tokens, make_constraint = body.new_tokens, None
    if grammar is not None and tokens is not None:
        ids = prompt.ids or tuple(tokens.encode(prompt.text))
        prompt = ChatPrompt(prompt.text, ids, prompt.stop, prompt.is_thinking)
        new_tokens = budget(engine, len(ids), new_tokens)
        make_constraint = constraints(grammar, tokens, new_tokens)
    logprobs = body.top_logprobs if body.logprobs else None
    # A stop string of the plain template must not end a constrained answer in its middle.
    stops = () if grammar is not None else prompt.stop
    requests = [
        _request(
            prompt.text if prompt.ids is None else prompt.ids,
            max_new_tokens=new_tokens,
            logprobs=logprobs,
            deadline_s=deadline_s,
            **body.sampling(index, *stops),
        )
        for index in range(body.n)
    ]
    return Plan(
        requests,
        tokens,
        make_constraint,
        is_thinking=prompt.is_thinking and grammar is None,
        is_call=grammar is not None and bool(body.offered),
        is_plain=grammar is not None,
        strict=_strict(body),
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
    return Plan(requests, loaded_tokenizer(engine), is_plain=True)


def parser_for(plan: Plan, schemas: Mapping[str, Any]) -> OutputParser:
    """Reads an answer of this plan."""
    if plan.is_plain:
        return OutputParser(formats=(), tags=())
    if not schemas:
        return OutputParser(is_thinking=plan.is_thinking, formats=())
    return OutputParser(is_thinking=plan.is_thinking, tools=dict(schemas))


def _request(prompt: str | tuple[int, ...], **settings: Any) -> GenerationRequest:
    given = {"prompt": prompt} if isinstance(prompt, str) else {"prompt_ids": prompt}
    try:
        return GenerationRequest(**given, **settings)
    except ValidationError as error:
        raise invalid(error) from None


def _rendered(
    body: ChatBody, tokens: LoadedTokenizer | None, *, is_constrained: bool
) -> ChatPrompt:
    # Templates that can, leave reasoning out where the answer has no place for it.
    options = {"enable_thinking": False} if is_constrained else {}
    tools = [tool.schema_for_model for tool in body.offered]
    return render_chat(
        body.messages, None if tokens is None else tokens.tokenizer, tools, **options
    )


def _grammar(body: ChatBody) -> Any:
    """What the answer must be; None where it is free."""
    if isinstance(body.tool_choice, NamedTool) or body.tool_choice == "required":
        structured = _structured("tool_choice")
        wanted = body.tool_choice
        offered = [
            structured.tools.Tool(t.function.name, t.function.parameters) for t in body.offered
        ]
        return structured.tools.grammar_of_tools(
            offered, wanted.function.name if isinstance(wanted, NamedTool) else wanted
        )
    match body.response_format:
        case JsonObjectFormat():
            return _structured("response_format").grammar_of_schema({"type": "object"})
        case JsonSchemaFormat(json_schema=wanted_schema):
            return _structured("response_format").grammar_of_schema(wanted_schema.schema_)
    return None


def _strict(body: ChatBody) -> dict[str, Any]:
    return {
        function.name: _structured("tools").grammar_of_schema(function.parameters)
        for function in (tool.function for tool in body.offered)
        if function.strict
    }


def _structured(param: str) -> Any:
    try:
        import agents.llm.structured.tools  # noqa: PLC0415  llguidance is an extra
    except ModuleNotFoundError as error:
        raise ApiError(
            400,
            f"{param}: the server has no {error.name}, which constrains answers; its operator "
            "can install guildbus[torch]",
            param=param,
            code="unsupported_parameter",
        ) from error
    return agents.llm.structured
