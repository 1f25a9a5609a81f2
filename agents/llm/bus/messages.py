"""What language-model agents are asked and what they answer."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt

from agents.llm.chat.messages import ChatCall, ChatMessage
from agents.llm.dialogue.usage import Usage
from agents.llm.engines.request import NewTokens, Seed, StopStrings, Temperature, Text, TopP
from messaging.wire.message import Message


class GenerationPromptRequest(Message):
    """Ask for a continuation of a prompt; its tokens are emitted as `guild.progress.TextDelta`."""

    generation_prompt: str = Field(min_length=1)


class GenerationPromptResponse(Message):
    """The whole text, without special tokens.

    Attributes:
        generation_prompt: the prompt as it was asked.
        generated_response: the prompt and its continuation, as one text.
    """

    generation_prompt: str
    generated_response: str


class _Choices(Message):
    """How an answer is to be chosen; what is None is the agent's to say."""

    max_new_tokens: NewTokens | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    top_k: NonNegativeInt | None = None
    do_sample: bool | None = None
    seed: Seed | None = None


class _Wishes(_Choices):
    """What else may be wished of an answer that nothing else shapes."""

    stop: StopStrings | None = None
    response_format: dict[str, Any] | None = None


class ChatRequest(_Wishes, wire_name="llm.chat"):
    """Ask for the next message of a conversation; its text is emitted as `TextDelta`.

    Attributes:
        messages: the conversation so far, OpenAI's dictionaries will do.
        tools: what may be called, in OpenAI's shape. The asker runs the calls, and asks again
            with their results among the messages.
        tool_choice: `auto`, `none`, `required` or the name of a tool; the last two make sure that
            there is a call, and that its arguments are valid.
        response_format: OpenAI's, such as `{"type": "json_schema", "json_schema": {"name": ...,
            "schema": ...}}`; the answer is always valid.
    """

    messages: tuple[ChatMessage, ...] = Field(min_length=1)
    tools: tuple[dict[str, Any], ...] = ()
    tool_choice: str = "auto"


class ChatReply(Message, wire_name="llm.chat_reply"):
    """The next message of a conversation.

    Attributes:
        content: the text.
        thinking: the reasoning before it.
        tool_calls: for the asker to run.
        value: what `content` is, where a `response_format` in JSON was asked for.
        problems: what in the output could not be read, or sent: a value or a call that holds an
            integer past 64 bits, which `content` still shows, goes out as a problem.
        dropped_messages: how many of the oldest messages the model was not told.
        finish_reason: `stop`, `length` or `deadline`.
    """

    content: str
    thinking: str = ""
    tool_calls: tuple[ChatCall, ...] = ()
    value: Any = None
    problems: tuple[str, ...] = ()
    dropped_messages: int = 0
    finish_reason: str
    model: str
    usage: Usage


class CompletionRequest(_Wishes, wire_name="llm.complete"):
    """Ask for what continues a prompt; it is emitted as `TextDelta`.

    Attributes:
        response_format: as in `ChatRequest`.
    """

    prompt: Text = Field(min_length=1)


class CompletionReply(Message, wire_name="llm.completion"):
    """What continues a prompt, without the prompt; the rest as in `ChatReply`."""

    text: str
    value: Any = None
    problems: tuple[str, ...] = ()
    finish_reason: str
    model: str
    usage: Usage


class StatefulRequest(_Choices, wire_name="llm.stateful"):
    """Ask for a way through the states of an `llm.stateful` agent.

    Each step is emitted as `StepSaid`, and the result of a call as `ToolAnswered`; the text of the
    steps, their tags with it, as `TextDelta`.

    Attributes:
        messages: the conversation so far, OpenAI's dictionaries will do.
        max_new_tokens: of each step.
    """

    messages: tuple[ChatMessage, ...] = Field(min_length=1)


class Step(BaseModel):
    """What was said in a state.

    Attributes:
        value: what `text` means: JSON where the state has a schema, `{name, arguments}` of a call,
            else the text. None where no message carries it.
        problem: why there is no value; `text` has it still.
        result: of a call, as the model was told; None where nothing was called.
        is_error: the call gave no result; `result` says why.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    state: str
    text: str
    value: Any
    problem: str = ""
    result: str | None = None
    is_error: bool = False


class StatefulReply(Message, wire_name="llm.stateful_reply"):
    """A way through the states, from the first to a last one.

    Attributes:
        text: of the last state.
        value: of the last state.
        dropped_messages: how many of the oldest messages the model was not told, at most.
        usage: of all steps.
    """

    steps: tuple[Step, ...]
    text: str
    value: Any
    dropped_messages: int = 0
    model: str
    usage: Usage


class StepSaid(Message, wire_name="llm.step"):
    """Emitted when a state has been said; a call in it has not been run yet.

    Attributes:
        number: from 1, of at most `max_steps`.
    """

    number: int
    max_steps: int
    step: Step


class ToolAnswered(Message, wire_name="llm.tool_answered"):
    """Emitted when a call has been run, or refused.

    Attributes:
        number: of the step that called.
    """

    number: int
    name: str
    result: str
    is_error: bool = False


class UsageReported(Message, wire_name="llm.usage"):
    """Emitted beside an answer that has no place for it."""

    usage: Usage
