"""Conversations and forms on their way to servers, and calls on their way back."""

from typing import Any

import pytest

from agents.llm.engines import Finished, FinishReason, GenerationRequest
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import InvalidRequestError
from agents.llm.engines.generation import CalledTool
from agents.llm.engines.request import Conversation
from tests.llm.engines.test_openai import DONE, HEAD, Start, delta, start

__all__ = ["start"]

MESSAGES = (
    {"role": "user", "content": "How warm is it?"},
    {
        "role": "assistant",
        "content": "",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
        ],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "31"},
)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
YES = HEAD + delta(content="Yes.") + delta("stop") + DONE


async def ask(engine: Engine, form: Any = None, **said: Any) -> Finished:
    conversation = Conversation(**{"messages": MESSAGES, **said})
    request = GenerationRequest(conversation=conversation, response_format=form)
    return await (await engine.submit(request)).result()


async def test_messages_and_tools_are_sent_as_they_are(start: Start) -> None:
    bad, engine = await start(YES, has_token_ids=True)

    assert (await ask(engine, tools=(TOOL,))).text == "Yes."

    assert bad.requests[0].line == "POST /v1/chat/completions HTTP/1.1"
    assert bad.requests[0].body["messages"] == list(MESSAGES)
    assert bad.requests[0].body["tools"] == [TOOL]
    assert {"tool_choice", "parallel_tool_calls", "prompt", "return_token_ids"}.isdisjoint(
        bad.requests[0].body
    )


async def test_the_limit_is_called_as_the_server_knows_it(start: Start) -> None:
    usual, engine = await start(YES)
    newer, other = await start(YES, limit="max_completion_tokens")

    await ask(engine)
    await ask(other)

    assert usual.requests[0].body["max_tokens"] == 512
    assert newer.requests[0].body["max_completion_tokens"] == 512
    assert "max_tokens" not in newer.requests[0].body


async def test_choices_among_tools_are_said_where_there_are_any(start: Start) -> None:
    bad, engine = await start(*[YES] * 4)

    for choice in ("required", "f", "none"):
        await ask(engine, tools=(TOOL["function"],), tool_choice=choice, is_parallel=False)
    await ask(engine)

    required, named, none, plain = (request.body for request in bad.requests)
    assert (required["tool_choice"], required["parallel_tool_calls"]) == ("required", False)
    assert required["tools"] == [TOOL]
    assert named["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert {"tools", "tool_choice", "parallel_tool_calls"}.isdisjoint(none.keys() | plain.keys())


def call(index: int | None = 0, id: str | None = None, **function: Any) -> dict[str, Any]:  # noqa: A002
    piece = {"index": index, "id": id, "type": "function", "function": function}
    return {name: value for name, value in piece.items() if value is not None}


TWO = (CalledTool("a", "f", '{"n": 1}'), CalledTool("b", "g", '{"n": 2}'))
STREAMS: dict[str, list[dict[str, Any]]] = {
    "as the standard has it": [
        call(0, "a", name="f", arguments=""), call(0, arguments='{"n"'), call(0, arguments=": 1}"),
        call(1, "b", name="g", arguments=""), call(1, arguments='{"n": 2}'),
    ],
    "one index for all": [
        call(0, "a", name="f", arguments='{"n": 1}'), call(0, "b", name="g", arguments='{"n": 2}'),
    ],
    "one index and empty ids": [
        call(0, "a", name="f", arguments=""), call(0, "", arguments='{"n": 1}'),
        call(0, "b", name="g", arguments=""), call(0, "", arguments='{"n": 2}'),
    ],
    "the id in each piece": [
        call(0, "a", name="f", arguments='{"n"'), call(0, "a", arguments=": 1}"),
        call(0, "b", name="g", arguments='{"n"'), call(0, "b", arguments=": 2}"),
    ],
    "name and id in each piece": [
        call(0, "a", name="f", arguments='{"n"'), call(0, "a", name="f", arguments=": 1}"),
        call(1, "b", name="g", arguments='{"n"'), call(1, "b", name="g", arguments=": 2}"),
    ],
    "no index": [
        call(None, "a", name="f", arguments='{"n": 1}'),
        call(None, "b", name="g", arguments='{"n": 2}'),
    ],
    "arguments that were read": [
        call(0, "a", name="f", arguments={"n": 1}), call(1, "b", name="g", arguments={"n": 2}),
    ],
    "null": [
        call(0, "a", name="f", arguments=None), call(0, name=None, arguments='{"n": 1}'),
        call(1, "b", name="g", arguments='{"n": 2}'),
    ],
    "mixed": [
        call(0, "a", name="f", arguments='{"n"'), call(1, "b", name="g", arguments='{"n"'),
        call(0, arguments=": 1}"), call(1, arguments=": 2}"),
    ],
}  # fmt: skip


@pytest.mark.parametrize("way", STREAMS)
async def test_calls_are_put_together_however_a_server_cuts_them(start: Start, way: str) -> None:
    pieces = b"".join(delta(tool_calls=[piece]) for piece in STREAMS[way])
    at_once = delta("tool_calls", tool_calls=STREAMS[way])
    _, engine = await start(
        HEAD + delta(content="So.") + pieces + delta("tool_calls") + DONE, HEAD + at_once + DONE
    )

    finished, whole = await ask(engine), await ask(engine)

    assert finished.calls == whole.calls == TWO
    assert (finished.text, finished.reason) == ("So.", FinishReason.STOP)


async def test_calls_without_ids_and_indexes_are_told_apart_by_their_names(start: Start) -> None:
    pieces = [call(None, name="f", arguments="{}"), call(None, name="f", arguments="{}")]
    _, engine = await start(HEAD + delta("stop", tool_calls=pieces) + DONE)

    assert (await ask(engine)).calls == (CalledTool("", "f", "{}"),) * 2


SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {}, "strict": True}}
REGEX = {"type": "regex", "regex": r"a/b\/c"}
CHOICE = {"type": "choice", "choice": ["yes", "no"]}
CHOICE_OF_SIGNS = {"type": "choice", "choice": ["a+", "(b)"]}
LARK = {"type": "lark", "lark": 'start: "a"'}


@pytest.mark.parametrize(
    ("form", "options", "sent"),
    [
        (SCHEMA, {}, {"response_format": SCHEMA}),
        (SCHEMA, {"schemas": "json_object"}, {"response_format": {"type": "json_object"}}),
        (REGEX, {}, {"structured_outputs": {"regex": REGEX["regex"]}}),
        (CHOICE, {}, {"structured_outputs": {"choice": ["yes", "no"]}}),
        (LARK, {}, {"structured_outputs": {"grammar": LARK["lark"]}}),
        (REGEX, {"grammars": "guided"}, {"guided_regex": REGEX["regex"]}),
        (CHOICE, {"grammars": "guided"}, {"guided_choice": ["yes", "no"]}),
        (LARK, {"grammars": "guided"}, {"guided_grammar": LARK["lark"]}),
        (REGEX, {"grammars": "sglang"}, {"regex": REGEX["regex"]}),
        (CHOICE_OF_SIGNS, {"grammars": "sglang"}, {"regex": r"a\+|\(b\)"}),
        (
            REGEX,
            {"grammars": "llguidance"},
            {"grammar": "%llguidance {}\nstart: /a\\/b\\/c/"},
        ),
        (CHOICE, {"grammars": "llguidance"}, {"grammar": '%llguidance {}\nstart: "yes" | "no"'}),
        (LARK, {"grammars": "llguidance"}, {"grammar": '%llguidance {}\nstart: "a"'}),
    ],
)
async def test_forms_are_told_as_the_server_takes_them(
    start: Start, form: Any, options: Any, sent: Any
) -> None:
    bad, engine = await start(YES, **options)

    await ask(engine, form)

    without = {
        "model",
        "messages",
        "stream",
        "stream_options",
        "max_tokens",
        "temperature",
        "top_p",
    }
    assert {k: value for k, value in bad.requests[0].body.items() if k not in without} == sent


@pytest.mark.parametrize(
    ("form", "options", "named"),
    [
        (SCHEMA, {"schemas": "none"}, "schemas"),
        (REGEX, {"grammars": "none"}, "grammars"),
        (LARK, {"grammars": "none"}, "grammars"),
        (LARK, {"grammars": "sglang"}, "grammars"),
    ],
)
async def test_a_form_that_a_server_does_not_take_is_refused_at_submit(
    start: Start, form: Any, options: Any, named: str
) -> None:
    bad, engine = await start(**options)

    with pytest.raises(InvalidRequestError, match=named):
        await ask(engine, form)
    assert bad.requests == []
