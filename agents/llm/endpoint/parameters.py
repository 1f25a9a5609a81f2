"""The bodies of requests, and what of them cannot be followed.

What a client asks for is done or refused by name. Ignored is only what changes no answer.
"""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, NonNegativeInt, field_validator, model_validator

from agents.llm.chat import ChatMessage
from agents.llm.endpoint.errors import unsupported
from agents.llm.endpoint.forms import Formed, Part, asks_for_form
from agents.llm.engines.request import (
    MAX_LOGPROBS,
    LogitBias,
    NewTokens,
    Seed,
    StopString,
    StopStrings,
    Temperature,
    Text,
    TopP,
)

MAX_CHOICES = 16

# Changes no answer: who asks, and how a provider keeps books and caches.
IGNORED = frozenset({
    "metadata",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "store",
    "user",
})  # fmt: skip

# What cannot be done, with the values that ask for nothing.
_NEUTRAL: dict[str, tuple[Any, ...]] = {
    "audio": (),
    "best_of": (1,),
    "echo": (False,),
    "frequency_penalty": (0,),
    "function_call": ("none",),
    "functions": (),
    "modalities": (["text"],),
    "moderation": (),
    "prediction": (),
    "presence_penalty": (0,),
    "reasoning_effort": (),
    "service_tier": ("auto", "default"),
    "suffix": ("",),
    "verbosity": (),
    "web_search_options": (),
}
_WHY = {
    "function_call": "give tool_choice instead",
    "functions": "give tools instead",
    "frequency_penalty": "only repetition_penalty is known here",
    "presence_penalty": "only repetition_penalty is known here",
    "best_of": "give n instead",
}


def without_ignored(body: dict[str, Any]) -> dict[str, Any]:
    """The body without nulls, and without what changes no answer.

    Raises:
        ApiError: a parameter asks for what cannot be done.
    """
    kept = {}
    for name, value in body.items():
        if value is None or name in IGNORED:
            continue
        if name in _NEUTRAL:
            if not any(value == neutral for neutral in _NEUTRAL[name]):
                raise unsupported(name, _WHY.get(name, "this server cannot do that; leave it out"))
            continue
        kept[name] = value
    return kept


def with_defaults(body: dict[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The body with what it does not say; a default never makes a good request a bad one."""
    unsaid = {name: value for name, value in defaults.items() if name not in body}
    if "max_completion_tokens" in body:  # another name of max_tokens
        unsaid.pop("max_tokens", None)
    if asks_for_form(body) or body.get("tool_choice", "auto") not in ("none", "auto"):
        unsaid.pop("stop", None)  # what must keep to a form is never cut short
    return {**unsaid, **body}


class StreamOptions(Part):
    include_usage: bool = False
    include_obfuscation: Literal[False] = False


class Sampling(Formed):
    """What both kinds of completion take. Defaults are those of OpenAI's API."""

    model: str
    stream: bool = False
    stream_options: StreamOptions | None = None
    n: int = Field(default=1, ge=1, le=MAX_CHOICES)
    max_tokens: NewTokens | None = None
    temperature: Temperature = 1.0
    top_p: TopP = 1.0
    top_k: NonNegativeInt = 0
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    repetition_penalty: float = Field(default=1.0, gt=0.0, le=10.0)
    logit_bias: LogitBias = Field(default_factory=dict)
    seed: Seed | None = None
    stop: StopStrings = ()
    return_token_ids: bool = False

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise ValueError("stream_options is only for stream=true")
        if self.stop and self.form is not None:
            raise ValueError(
                "stop: it would cut an answer that must keep to a form in its middle; leave out "
                f"stop or {self.form.parameter}"
            )
        return self

    def sampling(self, index: int, *more_stops: str) -> dict[str, Any]:
        """Settings of a generation; each of several choices has a seed of its own."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "min_p": self.min_p,
            "repetition_penalty": self.repetition_penalty,
            "logit_bias": self.logit_bias,
            "seed": None if self.seed is None else (self.seed + index) % 2**63,
            "stop": tuple(dict.fromkeys((*self.stop, *more_stops))),
        }


class Function(Part):
    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    description: str = ""
    parameters: dict[str, Any] = Field(default_factory=dict)
    strict: bool = False

    @field_validator("description", "parameters", "strict", mode="before")
    @classmethod
    def _of_nothing(cls, given: Any, info: Any) -> Any:
        if given is None:
            return cls.model_fields[info.field_name].get_default(call_default_factory=True)
        return given


class FunctionTool(Part):
    type: Literal["function"]
    function: Function

    @property
    def schema_for_model(self) -> dict[str, Any]:
        """What the model is told, and no more than was said; `strict` is for the server."""
        return self.function.model_dump(exclude={"strict"}, exclude_unset=True)


class FunctionName(Part):
    name: str


class NamedTool(Part):
    type: Literal["function"]
    function: FunctionName


class ChatBody(Sampling):
    """The body of `/v1/chat/completions`."""

    messages: tuple[ChatMessage, ...] = Field(min_length=1)
    max_completion_tokens: NewTokens | None = None
    logprobs: bool = False
    top_logprobs: int = Field(default=0, ge=0, le=MAX_LOGPROBS)
    tools: tuple[FunctionTool, ...] = Field(default=(), max_length=128)
    tool_choice: Literal["none", "auto", "required"] | NamedTool = "auto"
    parallel_tool_calls: bool = True

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        names = [tool.function.name for tool in self.tools]
        if len(set(names)) < len(names):
            raise ValueError(f"tools: two of them have one name: {', '.join(sorted(names))}")
        wanted = self.tool_choice
        if isinstance(wanted, NamedTool) and wanted.function.name not in names:
            raise ValueError(f"tool_choice: there is no tool {wanted.function.name!r}")
        if wanted == "required" and not names:
            raise ValueError("tool_choice is 'required', but there are no tools")
        if self.stop and wanted not in ("none", "auto"):
            raise ValueError("stop: it would cut a call in its middle; set tool_choice to 'auto'")
        if self.return_token_ids:
            raise ValueError("return_token_ids is only for /v1/completions")
        if self.top_logprobs and not self.logprobs:
            raise ValueError("top_logprobs needs logprobs=true")
        both = self.max_tokens, self.max_completion_tokens
        if None not in both and both[0] != both[1]:
            raise ValueError("max_tokens and max_completion_tokens differ; give one of them")
        if self.offered and self.form is not None:
            raise ValueError(
                f"{self.form.parameter}: an answer of such a form and tools do not go together "
                "here; set tool_choice to 'none' or leave one of them out"
            )
        return self

    @property
    def new_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def offered(self) -> tuple[FunctionTool, ...]:
        """The tools that the model may call."""
        return () if self.tool_choice == "none" else self.tools


Ids = Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)]


class CompletionBody(Sampling):
    """The body of `/v1/completions`; a prompt is text or token ids, or there are several."""

    prompt: Text | Ids | Annotated[tuple[Text | Ids, ...], Field(min_length=1)]
    logprobs: int | None = Field(default=None, ge=0, le=MAX_LOGPROBS)

    @model_validator(mode="after")
    def _are_not_too_many(self) -> Self:
        if len(self.prompts) * self.n > MAX_CHOICES:
            raise ValueError(f"prompts times n are more than {MAX_CHOICES} choices")
        return self

    @property
    def prompts(self) -> tuple[str | tuple[int, ...], ...]:
        given = self.prompt
        if isinstance(given, str):
            return (given,)
        return (given,) if isinstance(given[0], int) else given


def read_json(body: bytes) -> dict[str, Any]:
    """The object that a body is.

    Raises:
        ValueError: it is none.
    """
    try:
        given = json.loads(body, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error
    if not isinstance(given, dict):
        raise ValueError("it is no object")  # noqa: TRY004  told to clients like the others
    return given


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


__all__ = ["ChatBody", "CompletionBody", "StopString", "read_json", "without_ignored"]
