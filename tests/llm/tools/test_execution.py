import asyncio
import contextlib
import gc
import itertools
import threading
from contextvars import ContextVar
from typing import Any, NoReturn

import pytest
from pydantic import BaseModel, field_validator

from agents.llm.parsing import ToolCall
from agents.llm.tools import Tool, ToolResult, as_tools, execute
from agents.llm.tools.execution import MAX_HANGING, _tasks

REQUEST: ContextVar[str] = ContextVar("request")


class Found(BaseModel):
    title: str


class SilentError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


class Lie:
    def __str__(self) -> str:
        return 3  # type: ignore[return-value] # noqa: PLE0307 - it lies


async def run(function: Any, options: Any = None, /, **arguments: Any) -> ToolResult:
    tool = function if isinstance(function, Tool) else Tool(function)
    call = ToolCall(tool.name, arguments)
    return await execute(call, {tool.name: tool}, **(options or {}))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("plain", "plain"),
        ({"a": [1, "é"]}, '{"a": [1, "é"]}'),
        (None, "null"),
        (Found(title="x"), '{"title":"x"}'),
        ([Found(title="x")], '[{"title": "x"}]'),
        ({1}, '"{1}"'),
        ("half \ud83c", "half ?"),
    ],
)
async def test_any_value_becomes_text(value: Any, text: str) -> None:
    def plain() -> Any:
        return value

    async def awaited() -> Any:
        return value

    assert await run(plain) == ToolResult(ToolCall("plain"), text)
    assert (await run(awaited)).text == text


async def test_a_plain_function_runs_beside_the_event_loop_with_the_callers_context() -> None:
    seen = []

    def look() -> str:
        seen.append(threading.current_thread() is threading.main_thread())
        return REQUEST.get()

    REQUEST.set("mine")
    assert (await run(look)).text == "mine"
    assert seen == [False]


async def test_a_function_that_gives_something_to_await_is_awaited() -> None:
    class Asker:
        async def __call__(self, n: int) -> int:
            return n + 1

    assert (await run(Tool(Asker(), name="ask"), n="1")).text == "2"


def fails() -> NoReturn:
    raise ValueError("no disk")


async def fails_later() -> NoReturn:
    raise ValueError("no disk")


def leaves() -> NoReturn:
    raise SystemExit(3)


async def leaves_later() -> NoReturn:
    raise KeyboardInterrupt


def ends() -> NoReturn:
    raise StopIteration


async def cancels_itself() -> NoReturn:
    raise asyncio.CancelledError


def is_silent() -> NoReturn:
    raise SilentError


def lies() -> Any:
    return Lie()


class Panic(BaseException):
    """As compiled code raises: no `Exception`, and it may fail to say what it is."""

    def __str__(self) -> NoReturn:
        raise Panic


def panics() -> NoReturn:
    raise Panic


async def panics_later() -> NoReturn:
    raise Panic


async def closes_itself() -> NoReturn:
    raise GeneratorExit


class Sly(str):
    __slots__ = ()

    def __getitem__(self, key: Any) -> NoReturn:
        raise ValueError("mine")


def is_sly() -> str:
    return Sly("text")


class Picky(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def _check(cls, n: int) -> NoReturn:
        raise KeyError(n)


def is_picky(picky: Picky) -> None: ...


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (fails, "Error: fails failed: ValueError: no disk"),
        (fails_later, "Error: fails_later failed: ValueError: no disk"),
        (leaves, "Error: leaves failed: SystemExit: 3"),
        (leaves_later, "Error: leaves_later failed: KeyboardInterrupt"),
        (ends, "Error: ends failed: StopIteration"),
        (cancels_itself, "Error: cancels_itself cancelled itself"),
        (is_silent, "Error: is_silent failed: SilentError"),
        (lies, "Error: lies failed: TypeError: __str__ returned non-string (type int)"),
        (panics, "Error: panics failed: Panic"),
        (panics_later, "Error: panics_later failed: Panic"),
        (closes_itself, "Error: closes_itself cancelled itself"),
    ],
)
async def test_a_tool_that_raises_is_told(function: Any, told: str) -> None:
    result = await run(function)

    assert result.is_error
    assert result.text == told


async def test_a_text_of_another_type_is_taken_as_text() -> None:
    assert (await run(is_sly)).text == "text"


async def test_a_type_that_fails_to_check_an_argument_is_told() -> None:
    result = await run(is_picky, picky={"n": 1})

    assert result.text == "Error: is_picky: its arguments cannot be checked: KeyError"


async def test_an_endless_name_is_told_in_short() -> None:
    result = await execute(ToolCall("a" * 1_000_000), as_tools([fails]))

    assert len(result.text) < 200


async def test_a_long_result_is_cut_and_says_so() -> None:
    def flood() -> str:
        return "x" * 5_000_000

    result = await run(flood, {"max_result_chars": 100})

    assert result.text == "x" * 100 + "\n[cut after 100 of 5000000 characters]"
    assert not result.is_error


@pytest.mark.parametrize("given", [itertools.count(), {"numbers": map(str, [1, 2])}])
async def test_what_is_still_to_be_read_is_no_result(given: Any) -> None:
    def lazy() -> Any:
        return given

    result = await run(lazy)

    assert result.is_error
    assert result.text.startswith("Error: lazy failed: RuntimeError: it returned a ")


async def test_a_long_error_is_cut_too() -> None:
    def rant() -> NoReturn:
        raise ValueError("x" * 5_000_000)

    assert len((await run(rant, {"max_result_chars": 100})).text) < 200


async def test_a_coroutine_that_takes_too_long_is_cancelled() -> None:
    ended = asyncio.Event()

    async def sleep() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    result = await run(Tool(sleep, timeout_s=0.01))

    assert result.text == "Error: sleep did not answer within 0.01 s"
    assert ended.is_set()


async def test_a_coroutine_that_will_not_be_cancelled_is_left_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.llm.tools.execution._GRACE_S", 0.01)
    let_go = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                continue

    assert (await run(Tool(stubborn, timeout_s=0.01))).is_error
    let_go.set()


async def test_an_error_of_a_coroutine_left_behind_bothers_nobody() -> None:
    told: list[Any] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))

    async def sleep() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ValueError("too late") from None

    assert (await run(Tool(sleep, timeout_s=0.01))).is_error
    gc.collect()
    assert told == []


async def test_a_tool_with_many_coroutines_left_behind_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agents.llm.tools.execution._GRACE_S", 0.001)
    let_go = asyncio.Event()

    async def stubborn() -> None:
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()

    tool = Tool(stubborn, timeout_s=0.001)
    for _ in range(MAX_HANGING):
        assert "did not answer" in (await run(tool)).text
    assert "earlier calls of stubborn still run" in (await run(tool)).text

    let_go.set()
    await asyncio.wait(_tasks)
    tool.timeout_s = 30.0
    await asyncio.sleep(0)  # their ends are counted
    assert not (await run(tool)).is_error


async def test_a_thread_that_hangs_is_left_behind_and_a_tool_with_many_of_them_is_refused() -> None:
    let_go = threading.Event()
    threads = []

    def hang() -> str:
        threads.append(threading.current_thread())
        let_go.wait()
        return "late"

    tool = Tool(hang, timeout_s=0.01)
    for _ in range(MAX_HANGING):
        assert (await run(tool)).text == "Error: hang did not answer within 0.01 s"
    assert (await run(tool)).text == f"Error: {MAX_HANGING} earlier calls of hang still run"

    let_go.set()
    for thread in threads:
        await asyncio.to_thread(thread.join)
    tool.timeout_s = 30.0
    assert (await run(tool)).text == "late"


async def test_an_unknown_tool_is_told_with_the_one_that_was_meant() -> None:
    tools = as_tools([fails, leaves])

    result = await execute(ToolCall("fail"), tools)
    assert (
        result.text
        == "Error: there is no tool 'fail'; did you mean 'fails'? (known: fails, leaves)"
    )
    assert (await execute(ToolCall("x"), {})).text == "Error: there is no tool 'x' (known: none)"


async def test_arguments_that_do_not_fit_are_told_and_nothing_runs() -> None:
    ran = []

    def add(n: int) -> None:
        ran.append(n)

    assert (await run(add, n="x")).text.startswith(
        "Error: add: 'n': Input should be a valid integer"
    )
    assert ran == []


async def approve_later(call: ToolCall) -> bool:
    return call.arguments == {"n": 1}


def approve_blocked(call: ToolCall) -> str:
    return "not on Sundays"


def approve_broken(call: ToolCall) -> bool:
    raise OSError("no terminal")


async def approve_cancelled(call: ToolCall) -> NoReturn:
    raise asyncio.CancelledError


async def approve_panicking(call: ToolCall) -> NoReturn:
    raise Panic


@pytest.mark.parametrize(
    ("approve", "text"),
    [
        (approve_later, "1"),
        (lambda call: True, "1"),
        (lambda call: False, "Error: the call was not allowed"),
        (lambda call: None, "Error: the call was not allowed"),
        (lambda call: 1, "Error: the call was not allowed"),
        (approve_blocked, "Error: the call was not allowed: not on Sundays"),
        (approve_broken, "Error: the call was not allowed: asking for approval failed"),
        (approve_cancelled, "Error: the call was not allowed: asking for approval failed"),
        (approve_panicking, "Error: the call was not allowed: asking for approval failed"),
    ],
)
async def test_a_call_runs_only_if_it_is_allowed(approve: Any, text: str) -> None:
    ran = []

    def add(n: int) -> int:
        ran.append(n)
        return n

    assert (await run(add, {"approve": approve}, n=1)).text == text
    assert bool(ran) == (text == "1")


async def test_a_tool_cannot_change_what_the_model_asked_for() -> None:
    def take(given: dict[str, Any]) -> None:
        given["list"].clear()

    result = await run(take, given={"list": [1]})

    assert result.call.arguments == {"given": {"list": [1]}}


async def test_who_approves_cannot_change_it_either() -> None:
    def approve(call: ToolCall) -> bool:
        call.arguments["n"] = 2
        return True

    result = await run(Tool(lambda n: n, name="add"), {"approve": approve}, n=1)

    assert (result.text, result.call.arguments) == ("1", {"n": 1})


async def test_cancelling_cancels_who_is_asked() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def approve(call: ToolCall) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    asking = asyncio.create_task(run(fails, {"approve": approve}))
    await began.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await ended.wait()


async def test_only_valid_calls_are_asked_for() -> None:
    asked: list[ToolCall] = []

    def add(n: int) -> int:
        return n

    await run(add, {"approve": asked.append}, n="x")
    assert asked == []


async def test_cancelling_cancels_the_tool() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def sleep() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.create_task(run(sleep))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await ended.wait()
