"""Ask, run the tools that the answer asks for, tell the results, ask again."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from agents.llm.chat.messages import ChatCall, ChatMessage, chat_messages
from agents.llm.parsing import Parsed, ToolCall
from agents.llm.tools.execution import DEFAULT_MAX_RESULT_CHARS, Approve, ToolResult, execute
from agents.llm.tools.tool import Tool, as_tools

Ask = Callable[[list[ChatMessage]], Awaitable[Parsed]]
Ended = Literal["answered", "rounds"]

DEFAULT_MAX_ROUNDS = 8
DEFAULT_MAX_CALLS = 16
DEFAULT_MAX_PARALLEL = 4


@dataclass(frozen=True)
class ToolRun:
    """How a question was answered.

    Attributes:
        answer: the last output of the model.
        messages: the whole conversation, the answer included.
        results: of every call, in the order of the calls.
        rounds: how often the model was asked.
        ended: `answered`, or `rounds` where the model still asked for tools at the last one;
            these calls were not run.
    """

    answer: Parsed
    messages: tuple[ChatMessage, ...]
    results: tuple[ToolResult, ...]
    rounds: int
    ended: Ended


async def run_tools(
    ask: Ask,
    messages: Iterable[ChatMessage | Mapping[str, Any]],
    tools: Iterable[Tool | Callable[..., Any]],
    *,
    approve: Approve | None = None,
    max_rounds: int = DEFAULT_MAX_ROUNDS,
    max_calls: int = DEFAULT_MAX_CALLS,
    max_parallel: int = DEFAULT_MAX_PARALLEL,
    max_result_chars: int = DEFAULT_MAX_RESULT_CHARS,
    observe: Callable[[ChatMessage], None] | None = None,
) -> ToolRun:
    """Answer the messages with the help of tools.

    A call of a tool that does not exist, with arguments that do not fit, that is not allowed,
    fails or takes too long is told to the model, which may try again in its next round. So is a
    call that cannot be read, where the output has no other.

    Args:
        ask: gives the model's next output to a conversation.
        messages: the conversation so far.
        tools: what may be called.
        approve: see `execute`; calls of one output may be asked for at the same time.
        max_rounds: how often the model may be asked.
        max_calls: how many calls of one output are run; the model is told of the others.
        max_parallel: how many of them run at the same time.
        max_result_chars: longer results are cut.
        observe: is given each message that is added to the conversation, at once: to show it, or
            to keep what was done when `ask` fails later.

    Raises:
        ToolDefinitionError: a function cannot be a tool.
    """
    if min(max_rounds, max_calls, max_parallel) < 1:
        raise ValueError("max_rounds, max_calls and max_parallel are at least 1")
    talk = _Talk(chat_messages(messages), observe)
    known = as_tools(tools)
    running = _Running(known, approve, max_calls, max_result_chars, asyncio.Semaphore(max_parallel))
    results: list[ToolResult] = []
    for number in range(1, max_rounds + 1):
        answer = talk.take(await ask(list(talk.messages)))
        broken = [problem.message for problem in answer.problems if problem.is_call]
        if not answer.tool_calls and not (broken and known):
            return talk.ended(answer, results, number, "answered")
        if number == max_rounds:
            break
        if answer.tool_calls:
            done = await running.all(answer.tool_calls)
            results += done
            talk.say(*map(_result, done))
        else:
            talk.say(ChatMessage(role="user", content=_told(broken)))
    ended: Ended = "rounds" if answer.tool_calls else "answered"
    return talk.ended(answer, results, max_rounds, ended)


class _Talk:
    """A conversation that grows."""

    def __init__(
        self, messages: list[ChatMessage], observe: Callable[[ChatMessage], None] | None
    ) -> None:
        self.messages = messages
        self._observe = observe

    def say(self, *added: ChatMessage) -> None:
        for message in added:
            self.messages.append(message)
            if self._observe is not None:
                self._observe(message)

    def take(self, answer: Parsed) -> Parsed:
        """Add an output of the model; the same with ids for its calls."""
        calls = _identified(answer.tool_calls, self.messages)
        answer = replace(answer, tool_calls=calls)
        self.say(_said(answer))
        return answer

    def ended(
        self, answer: Parsed, results: Sequence[ToolResult], rounds: int, ended: Ended
    ) -> ToolRun:
        return ToolRun(answer, tuple(self.messages), tuple(results), rounds, ended)


@dataclass(frozen=True)
class _Running:
    """Runs the calls of an output."""

    tools: Mapping[str, Tool]
    approve: Approve | None
    max_calls: int
    max_result_chars: int
    free: asyncio.Semaphore

    async def all(self, calls: Sequence[ToolCall]) -> list[ToolResult]:
        """The results in the order of the calls; those beyond the limit are not run."""
        done = await _all(self._run, calls[: self.max_calls])
        return done + [_too_many(call, self.max_calls) for call in calls[self.max_calls :]]

    async def _run(self, call: ToolCall) -> ToolResult:
        async with self.free:
            return await execute(
                call, self.tools, approve=self.approve, max_result_chars=self.max_result_chars
            )


async def _all(
    run: Callable[[ToolCall], Awaitable[ToolResult]], calls: Sequence[ToolCall]
) -> list[ToolResult]:
    """The results in the order of the calls; when this is cancelled, so are all of them."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(_awaited(run(call))) for call in calls]
    return [task.result() for task in tasks]


async def _awaited(result: Awaitable[ToolResult]) -> ToolResult:
    return await result


def _identified(
    calls: Sequence[ToolCall], conversation: Sequence[ChatMessage]
) -> tuple[ToolCall, ...]:
    """Ids for the calls that have none or one that another has; some templates want 9 letters."""
    seen = [call.id for message in conversation for call in message.tool_calls]
    named: list[ToolCall] = []
    for call in calls:
        is_own = call.id and call.id not in seen
        named.append(call if is_own else replace(call, id=f"call{len(seen) + 1:05d}"))
        seen.append(named[-1].id)
    return tuple(named)


def _said(answer: Parsed) -> ChatMessage:
    calls = tuple(
        ChatCall(id=call.id, name=call.name, arguments=call.arguments) for call in answer.tool_calls
    )
    return ChatMessage(role="assistant", content=answer.text, tool_calls=calls)


def _result(result: ToolResult) -> ChatMessage:
    return ChatMessage(
        role="tool",
        content=result.text,
        tool_call_id=result.call.id,
        name=result.call.name,
    )


def _too_many(call: ToolCall, most: int) -> ToolResult:
    text = f"Error: only {most} calls are run at once; this one was not. Ask for it again."
    return ToolResult(call, text, is_error=True)


def _told(broken: Sequence[str]) -> str:
    return "\n".join([*broken, "Write the call again, or answer without it."])
