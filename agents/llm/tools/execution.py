"""One call of a tool, contained: whatever the tool does, the model gets a text."""

import asyncio
import contextvars
import inspect
import json
import logging
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

from pydantic import BaseModel

from agents._suggest import did_you_mean
from agents.llm.parsing import ToolCall
from agents.llm.tools.errors import ToolArgumentsError
from agents.llm.tools.tool import Tool

DEFAULT_MAX_RESULT_CHARS = 16_000
MAX_HANGING = 8
_GRACE_S = 1.0
_MAX_NAME_CHARS = 100

Approval = bool | str | None
Approve = Callable[[ToolCall], Approval | Awaitable[Approval]]

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ToolResult:
    """What the model is told about a call; `is_error` where the tool gave no result."""

    call: ToolCall
    text: str
    is_error: bool = False


class _Refused(Exception):  # noqa: N818 - an outcome
    """There is no result; the message tells the model why."""


async def execute(
    call: ToolCall,
    tools: Mapping[str, Tool],
    *,
    approve: Approve | None = None,
    max_result_chars: int = DEFAULT_MAX_RESULT_CHARS,
) -> ToolResult:
    """Run a call, and give its result as text.

    Nothing that the model wrote and nothing that the tool raises comes out as an exception; only
    cancelling does. An async tool that blocks the event loop cannot be contained.

    Args:
        call: what the model asked for.
        tools: by name.
        approve: asked before the tool runs, once its arguments are valid; a plain function is
            asked in a thread. True lets it run. A text refuses it and tells the model why;
            False, None and an exception refuse it, too.
        max_result_chars: a longer result is cut, and says so.
    """
    try:
        tool = _tool_for(call, tools)
        arguments = tool.validate(call.arguments)
        if approve is not None:
            await _ask(approve, call)
        text = await _run(tool, arguments)
    except (_Refused, ToolArgumentsError) as error:
        return ToolResult(call, _cut(f"Error: {error}", max_result_chars), is_error=True)
    return ToolResult(call, _cut(text, max_result_chars))


def _tool_for(call: ToolCall, tools: Mapping[str, Tool]) -> Tool:
    if call.name in tools:
        return tools[call.name]
    name = call.name[:_MAX_NAME_CHARS]  # comparing long ones takes long
    hint = did_you_mean(name, tools)
    raise _Refused(f"there is no tool {name!r}{hint} (known: {', '.join(tools) or 'none'})")


async def _ask(approve: Approve, call: ToolCall) -> None:
    shown = replace(call, arguments=deepcopy(call.arguments))
    task = _started(_called(approve, (shown,), {}))
    try:
        await asyncio.wait({task})
    finally:
        task.cancel()
    try:
        answer = task.result()
    except (_Raised, asyncio.CancelledError, GeneratorExit) as error:
        log.warning("the approval of %s failed", call.name, exc_info=error.__cause__ or error)
        raise _Refused("the call was not allowed: asking for approval failed") from error
    if answer is not True:
        reason = f": {answer}" if isinstance(answer, str) and answer else ""
        raise _Refused(f"the call was not allowed{reason}")


async def _run(tool: Tool, arguments: Mapping[str, Any]) -> str:
    if _hanging.get(tool, 0) >= MAX_HANGING:
        raise _Refused(f"{MAX_HANGING} earlier calls of {tool.name} still run")

    async def work() -> str:
        value = await _called(tool.function, (), arguments, tool)
        return value if type(value) is str else await _in_thread(_as_text, (value,), {}, tool)

    task = _started(work())
    try:
        done, _ = await asyncio.wait({task}, timeout=tool.timeout_s)
        if not done:
            task.cancel()
            await asyncio.wait({task}, timeout=_GRACE_S)
            if not task.done():
                log.warning("the tool %s ignores that it was cancelled", tool.name)
                _count_hanging(tool, 1)
                task.add_done_callback(lambda _: _count_hanging(tool, -1))
            raise _Refused(f"{tool.name} did not answer within {tool.timeout_s:g} s")
    finally:
        task.cancel()
    try:
        return task.result()
    except (asyncio.CancelledError, GeneratorExit):
        raise _Refused(f"{tool.name} cancelled itself") from None
    except _Raised as error:
        log.info("the tool %s failed", tool.name, exc_info=error.__cause__)
        raise _Refused(f"{tool.name} failed: {error}") from error


def _started(work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    task = asyncio.create_task(work)
    _tasks.add(task)  # one that is left behind must not be collected
    task.add_done_callback(_seen)
    return task


def _seen(task: asyncio.Task[Any]) -> None:
    """Take the error of a task that may no longer be waited for, so that it is not logged."""
    _tasks.discard(task)
    if not task.cancelled():
        task.exception()


class _Raised(Exception):  # noqa: N818 - an outcome
    """A function of the user's raised; the message is what it said."""

    def __init__(self, error: BaseException) -> None:
        try:
            said = str(error)
        except BaseException:  # noqa: BLE001 - an exception may fail to say what it is
            said = ""
        super().__init__(f"{type(error).__name__}: {said}" if said else type(error).__name__)
        self.__cause__ = error


async def _called(
    function: Callable[..., Any],
    positional: tuple[Any, ...],
    named: Mapping[str, Any],
    tool: Tool | None = None,
) -> Any:
    """The result of a function, plain or async."""
    try:
        if inspect.iscoroutinefunction(function):
            value = function(*positional, **named)
        else:
            value = await _in_thread(function, positional, named, tool)
        return await value if inspect.isawaitable(value) else value
    except (asyncio.CancelledError, GeneratorExit, _Raised):
        raise
    except BaseException as error:  # a panic of compiled code is no Exception
        raise _Raised(error) from error


_tasks: set[asyncio.Task[Any]] = set()
# How many calls of each tool go on although they are no longer waited for.
_hanging: WeakKeyDictionary[Tool, int] = WeakKeyDictionary()
_lock = threading.RLock()


def _count_hanging(tool: Tool, more: int) -> None:
    with _lock:
        _hanging[tool] = _hanging.get(tool, 0) + more


class _Thread:
    """A call in a thread of its own, which keeps neither a pool nor the program from ending."""

    def __init__(self, tool: Tool | None) -> None:
        self._tool = tool
        self._is_ended = False
        self._is_abandoned = False

    async def call(self, function: Callable[[], Any]) -> Any:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def settle(value: Any, error: BaseException | None) -> None:
            if future.cancelled():
                return
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(_Raised(error))

        def body() -> None:
            value, error = None, None
            try:
                value = function()
            except BaseException as raised:  # noqa: BLE001 - nothing may leave the thread
                error = raised
            self._end()
            try:
                loop.call_soon_threadsafe(settle, value, error)
            except RuntimeError:
                log.info("a tool ended after the event loop")

        threading.Thread(target=body, name="tool", daemon=True).start()
        try:
            return await future
        except asyncio.CancelledError:
            self._abandon()
            raise

    def _abandon(self) -> None:
        with _lock:
            self._is_abandoned = True
            if self._tool is not None and not self._is_ended:
                _count_hanging(self._tool, 1)

    def _end(self) -> None:
        with _lock:
            self._is_ended = True
            if self._tool is not None and self._is_abandoned:
                _count_hanging(self._tool, -1)


async def _in_thread(
    function: Callable[..., Any],
    positional: tuple[Any, ...],
    named: Mapping[str, Any],
    tool: Tool | None,
) -> Any:
    context = contextvars.copy_context()
    return await _Thread(tool).call(lambda: context.run(function, *positional, **named))


def _as_text(value: Any) -> str:
    if isinstance(value, BaseModel):
        return value.model_dump_json()
    _refuse_unread(value)
    try:
        if not isinstance(value, str):
            return json.dumps(value, ensure_ascii=False, default=_plain)
    except (TypeError, ValueError, RecursionError):
        value = str(value)
    return str.__str__(value)  # a text of another type may have ideas of its own


def _plain(value: Any) -> Any:
    _refuse_unread(value)
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


def _refuse_unread(value: Any) -> None:
    """Refuse what tells nothing before it is read, which might never end."""
    if isinstance(value, Iterator | AsyncIterator):
        # No `TypeError`, for which a text of it would be given.
        raise RuntimeError(  # noqa: TRY004
            f"it returned a {type(value).__name__}; a list of it would do"
        )


def _cut(text: str, most: int) -> str:
    # A lone surrogate is no character, and tokenizers fail on it.
    kept = text[:most].encode("utf-8", "replace").decode("utf-8")
    return kept if len(text) <= most else f"{kept}\n[cut after {most} of {len(text)} characters]"
