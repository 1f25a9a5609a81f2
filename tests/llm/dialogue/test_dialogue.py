"""Conversations with engines that can do less, and what they cost."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from agents.llm.chat import ChatMessage
from agents.llm.dialogue import Dialogue, Sampling, Usage, grammar_of_format
from agents.llm.engines import EngineConfig, FinishReason, GenerationRequest
from agents.llm.engines.errors import InvalidRequestError
from agents.llm.engines.generation import CalledTool, Channel, Finished, Generation, TextDelta
from agents.llm.engines.scripted import scripted_engine
from agents.llm.parsing import Text, Thinking, ToolCall
from agents.llm.structured import FormIgnoredError

QUESTION = [ChatMessage(role="user", content="x")]


class Server:
    """An engine far away: it counts by itself, and shows neither tokenizer nor tokens."""

    capabilities = SimpleNamespace(
        model="far", backend="openai", context_window=2**31 - 1, takes_conversations=True
    )

    def __init__(self, *pieces: str, calls: tuple[CalledTool, ...] = ()) -> None:
        self._calls = calls
        self.requests: list[GenerationRequest] = []
        self._pieces = pieces

    async def load(self) -> None: ...

    async def submit(self, request: GenerationRequest, constraint: Any = None) -> Generation:
        self.requests.append(request)
        channel = Channel()
        for piece in self._pieces:
            channel.send(TextDelta(piece, ()))
        channel.send(Finished(FinishReason.STOP, "".join(self._pieces), (), 0, calls=self._calls))
        generation = Generation(channel, lambda: None)
        generation.counted = SimpleNamespace(prompt=7, completion=3)  # type: ignore[attr-defined]
        return generation


async def test_a_server_counts_for_itself_and_is_told_no_more_than_needed() -> None:
    server = Server("<thi", "nk>a</think>", "b")
    dialogue = Dialogue(server, Sampling(temperature=0.5))  # type: ignore[arg-type]
    parts: list[Any] = []

    answer = await dialogue.answer(QUESTION, parts.append)

    assert (answer.parsed.thinking, answer.parsed.text) == ("a", "b")
    assert parts == [Thinking("a"), Text("b")]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (7, 3)
    assert server.requests[0].model_fields_set == {"conversation", "temperature", "stop"}


async def test_a_server_cannot_drop_the_oldest() -> None:
    with pytest.raises(InvalidRequestError, match="cannot drop the oldest"):
        await Dialogue(Server(), Sampling(), overflow="drop_oldest").ask(QUESTION)  # type: ignore[arg-type]


async def test_what_answers_must_be_is_told_to_a_server_and_checked() -> None:
    grammar = grammar_of_format({"type": "json_object"})
    server = Server("<think>Hm.</think>", '{"a": ', "1}")

    answer = await Dialogue(server, Sampling(), grammar=grammar).answer(QUESTION)  # type: ignore[arg-type]

    assert server.requests[0].response_format == {"type": "json_object"}
    assert (answer.value, answer.parsed.thinking) == ({"a": 1}, "Hm.")
    for text in ("Sure!", "[1]", '{"a": 1', "", '<think>{"a": 1}</think>'):
        with pytest.raises(FormIgnoredError, match="schemas"):
            await Dialogue(Server(text), Sampling(), grammar=grammar).answer(QUESTION)  # type: ignore[arg-type]


async def test_a_call_that_a_server_must_make_is_checked() -> None:
    tool = {"name": "f", "parameters": {"properties": {"n": {"type": "integer"}}}}
    good, bad = CalledTool("c1", "f", '{"n": 1}'), CalledTool("c1", "f", '{"n": "x"}')
    other = CalledTool("c1", "g", "{}")

    def dialogue(*calls: CalledTool) -> Dialogue:
        server: Any = Server("Now.", calls=calls)
        return Dialogue(server, Sampling(), tools=[tool], tool_choice="required")

    answer = await dialogue(good).answer(QUESTION)
    assert answer.parsed.tool_calls == (ToolCall("f", {"n": 1}, "c1"),)
    for calls in ((), (bad,), (other,), (good, bad)):
        with pytest.raises(FormIgnoredError, match="f"):
            await dialogue(*calls).answer(QUESTION)


async def test_a_call_of_a_server_that_cannot_be_read_is_a_problem() -> None:
    tool = {"name": "f", "parameters": {}}
    calls = (CalledTool("c1", "f", '{"n": '), CalledTool("c2", "", "{}"), CalledTool("c3", "f", ""))
    server: Any = Server("Now.", calls=calls)
    parts: list[Any] = []

    answer = await Dialogue(server, Sampling(), tools=[tool]).answer(QUESTION, parts.append)

    assert answer.parsed.text == "Now."
    assert answer.parsed.tool_calls == (ToolCall("f", {}, "c3"),)
    assert [problem.is_call for problem in answer.parsed.problems] == [True, True]
    assert parts[-1] == ToolCall("f", {}, "c3")


@pytest.mark.parametrize(
    ("response_format", "text"),
    [
        ({"type": "json_object"}, '{"a": 1}'),
        ({"type": "regex", "regex": "a+"}, "aaa"),
        ({"type": "choice", "choice": ["yes", "no"]}, "no"),
        ({"type": "lark", "lark": 'start: "a"'}, "a"),
    ],
)
def test_other_formats_than_schemas_are_known(response_format: Any, text: str) -> None:
    grammar = grammar_of_format(response_format)

    assert grammar is not None
    assert grammar.parse(text)


def test_text_is_no_format() -> None:
    assert grammar_of_format(None) is grammar_of_format({"type": "text"}) is None


def test_usage_adds_up() -> None:
    first = Usage(prompt_tokens=1, completion_tokens=2, queued_s=0.1, first_token_s=0.2, total_s=1)
    second = Usage(
        prompt_tokens=3, completion_tokens=4, first_token_s=0.5, total_s=2, filled_window=True
    )

    both = sum((first, second), Usage())

    assert both == Usage(
        prompt_tokens=4,
        completion_tokens=6,
        queued_s=0.1,
        first_token_s=0.2,
        total_s=3,
        filled_window=True,
    )
    assert both.total_tokens == 10


def test_values_that_make_no_sense_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="temperature"):
        Sampling().but(temperature=5.0)
    assert Sampling(temperature=0.1).but(temperature=None).temperature == 0.1


async def test_many_conversations_at_once_do_not_wait_for_each_other() -> None:
    config = EngineConfig(model="script", backend="scripted", max_queue=200)
    engine = scripted_engine(lambda _: "b", config)
    dialogue = Dialogue(engine, Sampling())
    try:
        answers = await asyncio.gather(*(dialogue.answer(QUESTION) for _ in range(200)))
    finally:
        await engine.close()

    assert {answer.parsed.text for answer in answers} == {"b"}
