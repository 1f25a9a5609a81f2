"""From a request to the body that a server is sent."""

import json
import re
from collections.abc import Mapping
from typing import Any

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.constraint import Constraint
from agents.llm.engines.errors import InvalidRequestError
from agents.llm.engines.openai_logprobs import asked_logprobs
from agents.llm.engines.openai_options import OpenAIOptions
from agents.llm.engines.request import DEFAULT_MAX_NEW_TOKENS, Conversation, GenerationRequest

_SLASHES = re.compile(r"(\\.)|/", re.DOTALL)


def path_and_payload(
    request: GenerationRequest,
    constraint: Constraint | None,
    config: EngineConfig,
    options: OpenAIOptions,
) -> tuple[str, dict[str, Any]]:
    """Where a request goes, and its body.

    Raises:
        InvalidRequestError: no server could do it.
    """
    _refuse(request, constraint, config)
    asked = _settings(request, config)
    if request.response_format is not None:
        asked |= _formatted(request.response_format, config, options)
    is_chat = request.conversation is not None or options.api == "chat"
    if request.logprobs is not None:
        asked |= asked_logprobs(request.logprobs, is_chat=is_chat)
    if request.conversation is not None:
        asked[options.limit] = asked.pop("max_tokens")
        return "chat/completions", {**asked, **_said(request.conversation)}
    if options.has_token_ids:
        asked["return_token_ids"] = True
    if is_chat:
        said = {"messages": [{"role": "user", "content": request.prompt}]}
        return "chat/completions", {**asked, **said}
    return "completions", {**asked, "prompt": request.prompt}


def _said(conversation: Conversation) -> dict[str, Any]:
    """What asks for nothing is left out: not every server knows all of it."""
    said: dict[str, Any] = {"messages": list(conversation.messages)}
    if not conversation.tools or conversation.tool_choice == "none":
        return said
    said["tools"] = [
        tool if "function" in tool else {"type": "function", "function": tool}
        for tool in conversation.tools
    ]
    choice = conversation.tool_choice
    if choice == "required":
        said["tool_choice"] = choice
    elif choice != "auto":
        said["tool_choice"] = {"type": "function", "function": {"name": choice}}
    if not conversation.is_parallel:
        said["parallel_tool_calls"] = False
    return said


def _formatted(
    wanted: Mapping[str, Any], config: EngineConfig, options: OpenAIOptions
) -> dict[str, Any]:
    """How this server is told what the answer must look like.

    Raises:
        InvalidRequestError: it cannot be told.
    """
    kind = wanted["type"]
    if kind in {"json_schema", "json_object"}:
        if options.schemas == "none":
            raise InvalidRequestError(
                f"the server of {config.model} keeps to no JSON schema, as its option schemas "
                "says; take another server, or a backend with a model in this process"
            )
        if options.schemas == "json_object":
            wanted = {"type": "json_object"}
        return {"response_format": dict(wanted)}
    name = "grammar" if kind == "lark" else kind
    match options.grammars:
        case "vllm":
            return {"structured_outputs": {name: wanted[kind]}}
        case "guided":
            return {f"guided_{name}": wanted[kind]}
        case "llguidance":
            return {"grammar": f"%llguidance {{}}\n{_lark(wanted)}"}
        case "sglang" if kind != "lark":
            return {"regex": _regex(wanted)}
    raise InvalidRequestError(
        f"{kind}: the server of {config.model} does not take it, as its option grammars "
        f"({options.grammars}) says; give a JSON schema, or take another server"
    )


def _regex(wanted: Mapping[str, Any]) -> str:
    if wanted["type"] == "choice":
        return "|".join(map(re.escape, wanted["choice"]))
    return str(wanted["regex"])


def _lark(wanted: Mapping[str, Any]) -> str:
    match wanted["type"]:
        case "regex":
            pattern = _SLASHES.sub(lambda found: found[1] or "\\/", wanted["regex"])
            return f"start: /{pattern}/"
        case "choice":
            return f"start: {' | '.join(map(json.dumps, wanted['choice']))}"
        case _:
            return str(wanted["lark"])


def _refuse(
    request: GenerationRequest, constraint: Constraint | None, config: EngineConfig
) -> None:
    local = {
        "a constraint": constraint is not None,
        "prompt_ids": request.prompt_ids is not None,
    }
    for name, is_wanted in local.items():
        if is_wanted:
            raise InvalidRequestError(
                f"the openai backend cannot do {name}: its model is on a server; use a backend "
                "with a model in this process"
            )
    limit = config.max_new_tokens_limit
    if (request.max_new_tokens or 0) > limit:
        raise InvalidRequestError(
            f"max_new_tokens={request.max_new_tokens} is more than the limit of {limit} for "
            f"{config.model}"
        )


def _settings(request: GenerationRequest, config: EngineConfig) -> dict[str, Any]:
    limit = min(DEFAULT_MAX_NEW_TOKENS, config.max_new_tokens_limit)
    return {
        "model": config.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.max_new_tokens or limit,
        "temperature": 0.0 if request.is_greedy else request.temperature,
        "top_p": request.top_p,
        **_more(request),
    }


def _more(request: GenerationRequest) -> dict[str, Any]:
    """What not every server knows is sent only where the request says it."""
    more: dict[str, Any] = {
        name: getattr(request, name)
        for name in ("top_k", "min_p", "repetition_penalty")
        if name in request.model_fields_set
    }
    if request.logit_bias:
        more["logit_bias"] = {str(i): bias for i, bias in request.logit_bias.items()}
    if request.seed is not None:
        more["seed"] = request.seed
    if request.stop:
        more["stop"] = list(request.stop)
    return more
