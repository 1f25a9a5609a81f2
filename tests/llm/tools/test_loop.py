import asyncio
from collections.abc import Sequence

import pytest

from agents.llm.chat import ChatMessage
from agents.llm.parsing import Parsed, ToolCall, parse
from agents.llm.tools import run_tools

QUESTION = [{"role": "user", "content": "How warm is it?"}]


class Model:
    """Gives one output after the other, and keeps what it was asked."""

    def __init__(self, *outputs: str) -> None:
        self._outputs = list(outputs)
        self.asked: list[list[ChatMessage]] = []

    async def __call__(self, messages: list[ChatMessage]) -> Parsed:
        self.asked.append(messages)
        return parse(self._outputs.pop(0))


def weather(city: str) -> str:
    """The weather."""
    return f"sun in {city}"


def shown(messages: Sequence[ChatMessage]) -> list[tuple[str, str]]:
    return [(message.role, message.content) for message in messages]


async def test_without_a_call_the_first_output_is_the_answer() -> None:
    model = Model("Warm.")
    run = await run_tools(model, QUESTION, [weather])

    assert (run.answer.text, run.rounds, run.ended) == ("Warm.", 1, "answered")
    assert shown(run.messages) == [("user", "How warm is it?"), ("assistant", "Warm.")]


async def test_the_model_gets_the_results_and_answers() -> None:
    model = Model("I look. TOOL_CALL: weather(city=Paris)", "Sun.")
    run = await run_tools(model, QUESTION, [weather])

    assert run.answer.text == "Sun."
    assert shown(run.messages) == [
        ("user", "How warm is it?"),
        ("assistant", "I look."),
        ("tool", "sun in Paris"),
        ("assistant", "Sun."),
    ]
    assert model.asked[1] == list(run.messages[:3])
    call, result = run.messages[1].tool_calls[0], run.messages[2]
    assert (call.name, call.arguments) == ("weather", {"city": "Paris"})
    assert call.id == result.tool_call_id == "call00001"
    assert result.name == "weather"


async def test_calls_of_one_output_run_at_the_same_time_and_keep_their_order() -> None:
    both = asyncio.Barrier(2)

    async def meet(n: int) -> int:
        await both.wait()
        return n

    run = await run_tools(Model("TOOL_CALL: meet(n=1)\nTOOL_CALL: meet(n=2)", ""), QUESTION, [meet])

    assert [result.text for result in run.results] == ["1", "2"]


async def test_no_more_than_allowed_run_at_the_same_time() -> None:
    running = most = 0

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1

    await run_tools(Model("TOOL_CALL: work()\n" * 6, ""), QUESTION, [work], max_parallel=2)

    assert most == 2


async def test_a_wrong_call_is_told_and_may_be_mended() -> None:
    model = Model(
        "TOOL_CALL: wether(city=x)",
        "TOOL_CALL: weather(town=x)",
        "TOOL_CALL: weather(city=x)",
        "ok",
    )
    run = await run_tools(model, QUESTION, [weather])

    assert [result.text for result in run.results] == [
        "Error: there is no tool 'wether'; did you mean 'weather'? (known: weather)",
        "Error: weather: 'city' is missing; 'town' is no argument (known: city)",
        "sun in x",
    ]
    assert run.answer.text == "ok"


async def test_a_call_that_cannot_be_read_is_told() -> None:
    model = Model('TOOL_CALL: weather("x")', "TOOL_CALL: weather(city=x)", "ok")
    run = await run_tools(model, QUESTION, [weather])

    assert shown(run.messages)[2][0] == "user"
    assert "an argument has no name; write name=value" in run.messages[2].content
    assert run.answer.text == "ok"


async def test_the_rounds_are_bounded() -> None:
    ran = []

    def again() -> None:
        ran.append(1)

    run = await run_tools(Model(*["TOOL_CALL: again()"] * 3), QUESTION, [again], max_rounds=3)

    assert (run.rounds, run.ended, len(ran)) == (3, "rounds", 2)
    assert run.answer.tool_calls[0].name == "again"


async def test_an_output_that_stays_broken_is_the_answer_in_the_end() -> None:
    run = await run_tools(Model(*["TOOL_CALL: weather("] * 2), QUESTION, [weather], max_rounds=2)

    assert (run.ended, run.answer.text) == ("answered", "TOOL_CALL: weather(")


async def test_too_many_calls_of_one_output_are_told() -> None:
    run = await run_tools(
        Model("TOOL_CALL: weather(city=x)\n" * 3, ""), QUESTION, [weather], max_calls=1
    )

    assert [result.is_error for result in run.results] == [False, True, True]
    assert "only 1 calls are run at once" in run.results[1].text


async def test_ids_are_the_models_where_they_tell_calls_apart() -> None:
    class Known(Model):
        async def __call__(self, messages: list[ChatMessage]) -> Parsed:
            if len(messages) > 1:
                return Parsed(text="ok")
            call = ToolCall("weather", {"city": "x"}, "abc")
            return Parsed(tool_calls=(call, call))

    run = await run_tools(Known(), QUESTION, [weather])

    assert [result.call.id for result in run.results] == ["abc", "call00002"]


async def test_ids_of_earlier_turns_are_not_given_again() -> None:
    first = await run_tools(Model("TOOL_CALL: weather(city=x)", "ok"), QUESTION, [weather])
    talk = [*first.messages, *QUESTION]
    second = await run_tools(Model("TOOL_CALL: weather(city=y)", "ok"), talk, [weather])

    assert [result.call.id for result in second.results] == ["call00002"]


async def test_what_was_done_is_known_although_the_model_fails_later() -> None:
    seen: list[ChatMessage] = []

    with pytest.raises(IndexError):
        await run_tools(
            Model("TOOL_CALL: weather(city=x)"), QUESTION, [weather], observe=seen.append
        )

    assert shown(seen) == [("assistant", ""), ("tool", "sun in x")]


async def test_calls_in_reasoning_are_never_run() -> None:
    run = await run_tools(
        Model("I could TOOL_CALL: weather(city=x)</think>Cold."), QUESTION, [weather]
    )

    assert (run.answer.text, run.results) == ("Cold.", ())


async def test_cancelling_ends_the_tools() -> None:
    began, ended = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    running = asyncio.create_task(run_tools(Model("TOOL_CALL: wait()"), QUESTION, [wait]))
    await began.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await ended.wait()


@pytest.mark.parametrize("limit", ["max_rounds", "max_calls", "max_parallel"])
async def test_a_limit_of_nothing_is_refused(limit: str) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        await run_tools(Model(), QUESTION, [weather], **{limit: 0})
