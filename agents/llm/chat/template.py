"""From messages to a prompt: with the model's own chat template, or a plain one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from agents.llm.chat.errors import ChatTemplateError, InvalidChatError
from agents.llm.chat.messages import ChatCall, ChatMessage
from agents.llm.chat.tool_text import as_plain_messages, describe_tools
from agents.llm.engines.errors import EngineClosedError
from agents.llm.parsing import opens_reasoning

ToolSchema = Mapping[str, Any]

# What the fallback template puts before a message, and where an answer ends that goes on with
# the words of somebody else.
_NAMES = {"system": "System", "user": "User", "assistant": "Assistant", "tool": "Tool"}
_HEAD = re.compile(rf"^(?=({'|'.join(_NAMES.values())}):)", re.MULTILINE)
FALLBACK_STOP = ("\nUser:", "\nSystem:", "\nTool:")


class Tokenizer(Protocol):
    """What is used of a tokenizer of transformers; one without a template has None or ""."""

    chat_template: Any

    def apply_chat_template(self, conversation: list[dict[str, Any]], **options: Any) -> Any: ...


@dataclass(frozen=True)
class ChatPrompt:
    """What a model is given for a conversation.

    Attributes:
        text: the whole prompt, the template's special tokens among it: nothing may be added.
        ids: its tokens, where the template came with the tokenizer. Text of the messages that
            reads like a special token is none among them.
        stop: texts that end the answer.
        is_thinking: whether the answer begins inside of reasoning.
    """

    text: str
    ids: tuple[int, ...] | None = None
    stop: tuple[str, ...] = ()
    is_thinking: bool = False


def render_chat(
    messages: Sequence[ChatMessage],
    tokenizer: Tokenizer | None = None,
    tools: Sequence[ToolSchema] = (),
    **options: Any,
) -> ChatPrompt:
    """The prompt for the next answer.

    A template that knows no tools, no system message or no two messages of a role in a row gets
    what it does not know as plain words in the messages that it knows. What it does not know is
    seen from what it leaves out or refuses.

    Args:
        messages: the conversation so far.
        tokenizer: the model's; without one, or without a template in it, `User:` and `Assistant:`
            stand before the messages.
        tools: OpenAI's shape, or just the function's part of it.
        options: variables of the template, such as `enable_thinking`.

    Raises:
        InvalidChatError: there is no message to answer.
        ChatTemplateError: the template fails whatever it is given.
        EngineClosedError: the engine whose tokenizer it is was closed meanwhile.
    """
    check_messages(messages)
    if tokenizer is None or not getattr(tokenizer, "chat_template", None):
        return _fallback(messages, tools)
    failure: Exception | None = None
    for attempt in _ways(messages, tools):
        marked, marks = _marked(attempt)
        try:
            probe = _apply(tokenizer, marked, options, tokenize=False)
            if not all(mark in probe for mark in marks):
                continue  # the template leaves something out
            text = _apply(tokenizer, attempt, options, tokenize=False)
            ids = _apply(tokenizer, attempt, options, tokenize=True)
        except EngineClosedError:  # no fault of the template's
            raise
        except Exception as error:  # noqa: BLE001 - a template may raise anything
            failure = failure or error
            continue
        return ChatPrompt(text, tuple(ids), is_thinking=opens_reasoning(text))
    if failure is None:
        raise ChatTemplateError("the model's chat template leaves out what a message says")
    raise ChatTemplateError(f"the model's chat template fails: {failure}") from failure


def check_messages(messages: Sequence[ChatMessage]) -> None:
    """Refuse a conversation without a message to answer.

    Raises:
        InvalidChatError: there is none.
    """
    if not any(message.role != "system" for message in messages):
        raise InvalidChatError("there is no message to answer; add one of the user")


@dataclass(frozen=True)
class _Attempt:
    """One way to say it: messages and tools for the template, and how arguments are written."""

    messages: Sequence[ChatMessage]
    tools: Sequence[ToolSchema] = ()
    has_text_arguments: bool = False


def _marked(attempt: _Attempt) -> tuple[_Attempt, list[str]]:
    """The same with a mark in the place of every text and name, and the marks.

    Marks that are missing in the prompt tell what a template leaves out, whatever it does to
    texts otherwise.
    """
    marks: list[str] = []

    def mark() -> str:
        marks.append(f"mark{len(marks)}x")
        return marks[-1]

    def marked_call(call: ChatCall) -> ChatCall:
        arguments = {
            name: mark() if isinstance(value, str) and value else value
            for name, value in call.arguments.items()
        }
        return call.model_copy(update={"name": mark(), "arguments": arguments})

    messages = [
        message.model_copy(
            update={
                "content": message.content and mark(),
                "tool_calls": tuple(marked_call(call) for call in message.tool_calls),
            }
        )
        for message in attempt.messages
    ]
    tools = [{**_function(tool), "name": mark()} for tool in attempt.tools]
    return replace(attempt, messages=messages, tools=tools), marks


def _ways(messages: Sequence[ChatMessage], tools: Sequence[ToolSchema]) -> list[_Attempt]:
    """From what says most to what any template knows."""
    described = describe_tools(messages, [_function(tool) for tool in tools])
    plain = as_plain_messages(described)
    return [
        _Attempt(messages, tools),
        _Attempt(messages, tools, has_text_arguments=True),
        _Attempt(as_plain_messages(messages), tools),
        _Attempt(described),
        _Attempt(described, has_text_arguments=True),
        _Attempt(plain),
        _Attempt(_alternating(plain)),
        _Attempt(_alternating(_without_system(plain))),
    ]


def _apply(tokenizer: Tokenizer, attempt: _Attempt, options: Mapping[str, Any], **kind: Any) -> Any:
    wrapped = [{"type": "function", "function": dict(_function(tool))} for tool in attempt.tools]
    return tokenizer.apply_chat_template(
        [_for_template(message, attempt) for message in attempt.messages],
        **options,
        **({"tools": wrapped} if wrapped else {}),
        **({"sanitize_control_tokens": True, "return_dict": False} if kind["tokenize"] else {}),
        **kind,
        add_generation_prompt=True,
    )


def _for_template(message: ChatMessage, attempt: _Attempt) -> dict[str, Any]:
    """As templates have it: for most of them arguments are objects, for some JSON text."""
    given = message.to_openai()
    if attempt.has_text_arguments:
        return given
    for call, calls in zip(message.tool_calls, given.get("tool_calls", ()), strict=False):
        calls["function"]["arguments"] = call.arguments
    return given


def _function(tool: ToolSchema) -> ToolSchema:
    function = tool.get("function")
    return function if isinstance(function, Mapping) else tool


def _alternating(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Neighbours of a role put together; a user's message first."""
    joined: list[ChatMessage] = []
    for message in messages:
        if joined and joined[-1].role == message.role:
            content = f"{joined[-1].content}\n\n{message.content}"
            joined[-1] = ChatMessage(role=message.role, content=content)
        else:
            joined.append(message)
    first = next((m.role for m in joined if m.role != "system"), "user")
    at = int(bool(joined) and joined[0].role == "system")
    return joined if first == "user" else [*joined[:at], _CONTINUE, *joined[at:]]


_CONTINUE = ChatMessage(role="user", content="(The conversation began earlier.)")


def _without_system(messages: Sequence[ChatMessage]) -> list[ChatMessage]:
    return [
        ChatMessage(role="user", content=message.content) if message.role == "system" else message
        for message in messages
    ]


def _fallback(messages: Sequence[ChatMessage], tools: Sequence[ToolSchema]) -> ChatPrompt:
    plain = as_plain_messages(describe_tools(messages, [_function(tool) for tool in tools]))
    # A line of a message that begins like another message is moved in by a space.
    texts = [_HEAD.sub(" ", message.content.strip()) for message in plain]
    lines = [f"{_NAMES[m.role]}: {text}\n" for m, text in zip(plain, texts, strict=True)]
    return ChatPrompt("\n".join([*lines, "Assistant:"]), stop=FALLBACK_STOP)
