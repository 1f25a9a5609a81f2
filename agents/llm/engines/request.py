"""What one generation is asked for."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeInt,
    model_validator,
)

DEFAULT_MAX_NEW_TOKENS = 512
MAX_NEW_TOKENS = 32_768  # unless the operator allows fewer
MAX_LOGPROBS = 20


def _is_unicode(text: str) -> str:
    text.encode()  # a lone surrogate is no character and makes tokenizers fail
    return text


Text = Annotated[str, AfterValidator(_is_unicode)]
NewTokens = Annotated[int, Field(ge=1, le=MAX_NEW_TOKENS)]
Temperature = Annotated[float, Field(ge=0.0, le=2.0)]
TopP = Annotated[float, Field(gt=0.0, le=1.0)]
Seed = Annotated[int, Field(ge=0, lt=2**63)]
Bias = Annotated[float, Field(ge=-100.0, le=100.0)]
LogitBias = Annotated[Mapping[NonNegativeInt, Bias], Field(max_length=1024)]
StopString = Annotated[Text, Field(min_length=1, max_length=1000)]
StopStrings = Annotated[
    tuple[StopString, ...],
    Field(max_length=16),
    BeforeValidator(lambda given: (given,) if isinstance(given, str) else given),  # one of them
]


class Conversation(BaseModel):
    """What is said to an engine that takes messages; all in the shape of OpenAI's API.

    Attributes:
        messages: the conversation so far.
        tools: what may be called.
        tool_choice: `auto`, `none`, `required` or the name of a tool.
        is_parallel: whether there may be several calls in an answer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    messages: tuple[Mapping[str, Any], ...] = Field(min_length=1)
    tools: tuple[Mapping[str, Any], ...] = ()
    tool_choice: str = "auto"
    is_parallel: bool = True


class TokenChoice(BaseModel):
    """How long an answer may be and how its tokens are chosen.

    Attributes:
        max_new_tokens: limit on *new* tokens. None: up to 512, or what the window leaves.
        temperature: 0 chooses the likeliest token, like `do_sample=False`.
        top_p: sample from the likeliest tokens that together reach this probability.
        top_k: sample from this many likeliest tokens; 0 from all.
        min_p: sample only from tokens at least this many times as likely as the likeliest.
        repetition_penalty: above 1 makes tokens of the prompt and the answer less likely again.
        seed: makes sampling repeatable, whatever else the engine is doing; 0 is a seed.
        stop: texts that end the answer; they are not part of it.
    """

    max_new_tokens: NewTokens | None = None
    temperature: Temperature = 0.7
    top_p: TopP = 0.9
    top_k: NonNegativeInt = 50
    min_p: float = Field(default=0.0, ge=0.0, le=1.0)
    repetition_penalty: float = Field(default=1.0, gt=0.0, le=10.0)
    do_sample: bool = True
    seed: Seed | None = None
    stop: StopStrings = ()


class Choosing(TokenChoice):
    """The same, with what only engines are told.

    Attributes:
        logit_bias: by token id, what is added to its score; -100 forbids it in effect.
        shown: special tokens that are a part of the text, by how they are written; others are not.
        deadline_s: seconds from submission after which the answer ends as it is.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False
    )

    logit_bias: LogitBias = Field(default_factory=dict)
    shown: tuple[str, ...] = ()
    deadline_s: float | None = Field(default=None, gt=0.0)


class GenerationRequest(Choosing):
    """A prompt, and how it is answered.

    Attributes:
        prompt: the text to continue; or else `prompt_ids` or `conversation`, exactly one of them.
        prompt_ids: the token ids to continue, taken as they are.
        conversation: for an engine that `takes_conversations`, and for no other.
        response_format: what such an engine is to answer, in the shape of OpenAI's API.
        logprobs: report the log-probability of each token, and of this many likeliest ones;
            computed before temperature, penalties, bias and constraint. None for no report.
    """

    prompt: Text | None = None
    prompt_ids: tuple[NonNegativeInt, ...] | None = Field(default=None, min_length=1)
    conversation: Conversation | None = None
    response_format: Mapping[str, Any] | None = None
    logprobs: int | None = Field(default=None, ge=0, le=MAX_LOGPROBS)

    @model_validator(mode="after")
    def _has_exactly_one_prompt(self) -> Self:
        given = (self.prompt, self.prompt_ids, self.conversation)
        if sum(one is not None for one in given) != 1:
            raise ValueError("give either prompt or prompt_ids or conversation")
        return self

    @property
    def is_greedy(self) -> bool:
        """Whether the likeliest token is always taken."""
        return not self.do_sample or self.temperature == 0.0
