"""What an answer must look like, asked for on both routes in all of its ways."""

import json
import re
from collections.abc import Callable
from typing import Any

import openai
import pytest

from agents.llm.endpoint.parameters import with_defaults
from tests.llm.endpoint.conftest import Start
from tests.llm.endpoint.test_chat import HELLO, WEATHER

SCHEMA = {
    "type": "object",
    "properties": {"n": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["n"],
    "additionalProperties": False,
}
LARK = 'start: "<" WORD ("," WORD)* ">"\nWORD: /[ab]{1,3}/'


def is_instance(text: str) -> bool:
    read = json.loads(text)
    return list(read) == ["n"] and read["n"] in range(100)


FORMS: dict[str, tuple[dict[str, Any], Callable[[str], Any]]] = {
    "a schema": (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": SCHEMA},
            }
        },
        is_instance,
    ),
    "an object": (
        {"response_format": {"type": "json_object"}},
        lambda text: isinstance(json.loads(text), dict),
    ),
    "structured_outputs.json": ({"structured_outputs": {"json": SCHEMA}}, is_instance),
    "structured_outputs.json as text": (
        {"structured_outputs": {"json": json.dumps(SCHEMA)}},
        is_instance,
    ),
    "structured_outputs.json_object": (
        {"structured_outputs": {"json_object": True, "regex": None}},
        lambda text: isinstance(json.loads(text), dict),
    ),
    "structured_outputs.regex": (
        {"structured_outputs": {"regex": r"[ab]{2,4}/\d"}},
        re.compile(r"[ab]{2,4}/\d").fullmatch,
    ),
    "structured_outputs.choice": (
        {"structured_outputs": {"choice": ["yes", "no", "naïve"]}},
        ["yes", "no", "naïve"].__contains__,
    ),
    "structured_outputs.grammar": (
        {"structured_outputs": {"grammar": LARK}},
        re.compile(r"<[ab]{1,3}(,[ab]{1,3})*>").fullmatch,
    ),
    "guided_json": ({"guided_json": SCHEMA}, is_instance),
    "guided_regex": ({"guided_regex": "a+b"}, re.compile("a+b").fullmatch),
    "guided_choice": ({"guided_choice": ["left", "right"]}, ["left", "right"].__contains__),
    "guided_grammar": ({"guided_grammar": 'start: "x" /y+/'}, re.compile("xy+").fullmatch),
}


async def chat(client: openai.AsyncOpenAI, **more: Any) -> Any:
    return await client.chat.completions.create(
        **{"model": "tiny", "messages": HELLO, "max_tokens": 40, "temperature": 2.0, "seed": 3}
        | more
    )


async def complete(client: openai.AsyncOpenAI, **more: Any) -> Any:
    return await client.completions.create(
        **{"model": "tiny", "prompt": "a b", "max_tokens": 40, "temperature": 2.0, "seed": 3} | more
    )


def said(choice: Any) -> str:
    return str(choice.text if hasattr(choice, "text") else choice.message.content)


@pytest.mark.parametrize("route", [chat, complete])
async def test_an_answer_keeps_to_its_form_however_it_is_asked_for(
    start: Start, route: Callable[..., Any]
) -> None:
    client = await (await start()).client()

    for name, (form, is_right) in FORMS.items():
        answer = await route(client, n=2, extra_body=form)
        for choice in answer.choices:
            assert is_right(said(choice)), (name, said(choice))
            assert choice.finish_reason == "stop"


async def test_a_streamed_completion_of_a_form_is_the_same_with_its_log_probabilities(
    start: Start,
) -> None:
    client = await (await start()).client()
    settings: Any = {"logprobs": 2, "extra_body": {"structured_outputs": {"json": SCHEMA}}}

    whole = (await complete(client, **settings)).choices[0]
    chunks = [c.choices[0] async for c in await complete(client, stream=True, **settings)]

    assert is_instance(whole.text)
    assert "".join(chunk.text for chunk in chunks) == whole.text
    told = [token for chunk in chunks if chunk.logprobs for token in chunk.logprobs.tokens]
    assert told == whole.logprobs.tokens
    assert "".join(told).startswith(whole.text)
    assert chunks[-1].finish_reason == whole.finish_reason == "stop"


async def test_prompts_of_text_and_of_tokens_get_forms_of_their_own_length(start: Start) -> None:
    """Without a limit, a form may take what its own prompt leaves of the window."""
    client = await (await start(config={"context_window": 96})).client()
    form = {"structured_outputs": {"regex": "a{5,}"}}

    answer = await complete(client, prompt=["a", "word " * 10], max_tokens=None, extra_body=form)
    of_ids = await complete(client, prompt=[[40, 41, 42], [7]], max_tokens=8, extra_body=form)

    for choice in [*answer.choices, *of_ids.choices]:
        assert re.fullmatch("a{5,}", choice.text)
        assert choice.finish_reason == "stop"


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "beside response_format": (
        {"response_format": {"type": "json_object"}, "structured_outputs": {"regex": "a"}},
        "structured_outputs",
    ),
    "an older one beside response_format": (
        {"response_format": {"type": "json_object"}, "guided_choice": ["a"]},
        "guided_choice",
    ),
    "an older one beside a newer one": (
        {"structured_outputs": {"regex": "a"}, "guided_regex": "a"},
        "guided_regex",
    ),
    "two at once": ({"structured_outputs": {"regex": "a", "choice": ["a"]}}, "structured_outputs"),
    "none": ({"structured_outputs": {}}, "structured_outputs"),
    "nothing to choose": ({"structured_outputs": {"choice": []}}, "structured_outputs.choice"),
    "a part that is not known": (
        {"structured_outputs": {"regex": "a", "whitespace_pattern": " "}},
        "structured_outputs.whitespace_pattern",
    ),
    "no text": ({"guided_regex": 7}, "guided_regex"),
    "no JSON": ({"guided_json": "{"}, "guided_json"),
    "a bad schema": ({"guided_json": {"type": "strange"}}, "guided_json"),
    "a bad regex": ({"structured_outputs": {"regex": "a**"}}, "structured_outputs"),
    "an irregular regex": ({"guided_regex": r"(a)\1"}, "guided_regex"),
    "another notation": ({"guided_grammar": 'root ::= "a"'}, "guided_grammar"),
    "a bad schema for JSON": (
        {
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"$ref": "http://169.254.169.254/"}},
            }
        },
        "response_format",
    ),
    "a stop string": ({"structured_outputs": {"regex": "a+"}, "stop": ["a"]}, "stop"),
    "too long": ({"guided_regex": "(ab){500}"}, "max_new_tokens"),
}


@pytest.mark.parametrize("route", [chat, complete])
async def test_a_form_that_cannot_be_kept_to_is_refused_by_name(
    start: Start, route: Callable[..., Any]
) -> None:
    client = await (await start()).client()

    for kind, (more, name) in REFUSED.items():
        with pytest.raises(openai.BadRequestError) as refused:
            await route(client, extra_body=more)
        assert name in (refused.value.param or refused.value.message), kind


async def test_a_form_and_tools_do_not_go_together(start: Start) -> None:
    client = await (await start()).client()
    form = {"structured_outputs": {"choice": ["a"]}}

    with pytest.raises(openai.BadRequestError, match="structured_outputs: an answer"):
        await chat(client, tools=[WEATHER], extra_body=form)
    answer = await chat(client, tools=[WEATHER], tool_choice="none", extra_body=form)

    assert answer.choices[0].message.content == "a"


@pytest.mark.parametrize("route", [chat, complete])
async def test_a_form_is_refused_where_the_backend_cannot_constrain(
    start: Start, route: Callable[..., Any]
) -> None:
    client = await (await start(["x"])).client()

    with pytest.raises(openai.BadRequestError, match="cannot constrain") as refused:
        await route(client, model="script", extra_body={"guided_regex": "a"})
    assert refused.value.param == "guided_regex"


@pytest.mark.parametrize(
    "form",
    [{"structured_outputs": {"regex": "a+"}}, {"guided_json": {}}, {"guided_choice": ["x"]}],
)
def test_a_stop_string_of_the_defaults_spoils_no_form(form: dict[str, Any]) -> None:
    assert with_defaults(form, {"stop": ("x",)}) == form


async def test_too_long_a_prompt_is_told_by_the_name_of_its_parameter(start: Start) -> None:
    client = await (await start(config={"context_window": 20})).client()

    for more in ({}, {"guided_regex": "a+"}):
        with pytest.raises(openai.BadRequestError) as refused:
            await complete(client, prompt="word " * 50, extra_body=more)
        assert refused.value.code == "context_length_exceeded"
        assert refused.value.param == "prompt"
