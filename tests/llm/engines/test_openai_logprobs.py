"""Log-probabilities as servers tell them, and servers that tell none."""

import json
import math
from typing import Any

import pytest

from agents.llm.engines import GenerationRequest, TextDelta
from agents.llm.engines.errors import LLMError
from agents.llm.engines.generation import Finished, TokenLogprobs
from agents.llm.engines.openai_errors import ServerAnswerError, ServerLogprobsError
from tests.llm.engines.test_openai import DONE, GOOD, HEAD, Start, start

__all__ = ["start"]


def said(text: str, logprobs: Any, reason: Any = None, **more: Any) -> bytes:
    choice = {"text": text, "logprobs": logprobs, "finish_reason": reason, **more}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def chat_entry(token: str, logprob: Any, *top: Any, **more: Any) -> dict[str, Any]:
    return {"token": token, "logprob": logprob, "top_logprobs": list(top), **more}


async def events(engine: Any, logprobs: int | None = 2) -> tuple[list[TextDelta], Finished]:
    generation = await engine.submit(GenerationRequest(prompt="x", logprobs=logprobs))
    *deltas, finished = [event async for event in generation]
    return deltas, finished


def of_texts(*texts: str) -> dict[str, Any]:
    return {
        "tokens": list(texts),
        "token_logprobs": [-0.5] * len(texts),
        "top_logprobs": [{"other": -2.0, text: -0.5} for text in texts],
        "text_offset": [0] * len(texts),
    }


@pytest.mark.parametrize(
    ("api", "asked"),
    [
        ("completions", {"logprobs": 2}),
        ("chat", {"logprobs": True, "top_logprobs": 2}),
    ],
)
async def test_they_are_asked_for_as_each_route_has_it(start: Start, api: str, asked: Any) -> None:
    answer = HEAD + said("one two", of_texts("one", " two"), "stop") + DONE
    bad, engine = await start(answer, GOOD, api=api)

    await events(engine)
    await events(engine, None)

    asking, silent = ({k: v for k, v in r.body.items() if "logprobs" in k} for r in bad.requests)
    assert asking == asked
    assert silent == {}


async def test_the_older_shape_is_read(start: Start) -> None:
    answer = said("one", of_texts("one")) + said(" two", of_texts(" two"), "stop")
    _, engine = await start(HEAD + answer + DONE)

    deltas, finished = await events(engine)

    first = TokenLogprobs(None, -0.5, ((None, -0.5), (None, -2.0)), b"one", (b"one", b"other"))
    assert finished.logprobs[0] == first
    assert [delta.logprobs for delta in deltas] == [(entry,) for entry in finished.logprobs]


@pytest.mark.parametrize("tops", [0, 1])
async def test_no_more_likeliest_tokens_come_than_were_asked_for(start: Start, tops: int) -> None:
    """At least one is asked for, and some servers add the chosen one."""
    _, engine = await start(HEAD + said("one", of_texts("one"), "stop") + DONE)

    _, finished = await events(engine, tops)

    assert finished.logprobs[0].top == ((None, -0.5),)[:tops]


async def test_bytes_and_ids_of_the_shape_of_chats_are_read(start: Start) -> None:
    top = chat_entry("?", None, id=8)
    half = chat_entry("\ufffd", -0.1, top, bytes=[0xC3], id=7)
    rest = chat_entry("\ufffd", -0.2, bytes=[0xA4])
    answer = said("", {"content": [half]}) + said("ä", {"content": [rest]}, "stop")
    _, engine = await start(HEAD + answer + DONE)

    deltas, finished = await events(engine)

    assert [entry.spelt for entry in finished.logprobs] == [b"\xc3", b"\xa4"]
    assert [entry.token_id for entry in finished.logprobs] == [7, None]
    assert finished.logprobs[0].top == ((8, -math.inf),)
    assert deltas[0].logprobs == finished.logprobs  # those of the half came before its text


async def test_a_part_of_a_character_is_its_bytes(start: Start) -> None:
    _, engine = await start(HEAD + said("ä", of_texts("bytes:\\xc3", "bytes:\\xa4"), "stop"))

    _, finished = await events(engine)

    assert [entry.spelt for entry in finished.logprobs] == [b"\xc3", b"\xa4"]


async def test_ids_that_stand_beside_them_are_theirs(start: Start) -> None:
    answer = said("ab", of_texts("a", "b"), "stop", token_ids=[3, 4])
    _, engine = await start(HEAD + answer, has_token_ids=True)

    _, finished = await events(engine)

    assert [entry.token_id for entry in finished.logprobs] == [3, 4]


async def error_of(engine: Any) -> LLMError | None:
    return (await events(engine))[1].error


@pytest.mark.parametrize("told", [None, {}, {"content": []}, {"content": None}, {"tokens": []}])
async def test_a_server_that_tells_none_is_an_error(start: Start, told: Any) -> None:
    bad, engine = await start(HEAD + said("one", told) + said("", None, "stop") + DONE, GOOD)

    error = await error_of(engine)

    assert isinstance(error, ServerLogprobsError)
    assert "ask without logprobs" in str(error)
    assert (await events(engine, None))[1].error is None
    assert len(bad.requests) == 2


async def test_an_answer_of_nothing_needs_none(start: Start) -> None:
    _, engine = await start(HEAD + said("", None, "stop") + DONE)

    assert await error_of(engine) is None


NONSENSE: dict[str, Any] = {
    "a list": [1],
    "a number": 3,
    "no token": {"content": [{"logprob": -1.0}]},
    "no number": {"content": [{"token": "a", "logprob": "x"}]},
    "null for the chosen one": {"content": [{"token": "a", "logprob": None}]},
    "other lengths": {"tokens": ["a"], "token_logprobs": [], "top_logprobs": []},
    "bytes that are none": {"content": [{"token": "a", "logprob": -1.0, "bytes": [256]}]},
    "half a character": {"content": [{"token": "\ud800", "logprob": -1.0}]},
}


@pytest.mark.parametrize("kind", NONSENSE)
async def test_what_cannot_be_read_is_an_error_where_it_was_asked_for(
    start: Start, kind: str
) -> None:
    answer = HEAD + said("one", NONSENSE[kind], "stop") + DONE
    _, engine = await start(answer, answer)

    error = await error_of(engine)

    assert isinstance(error, ServerAnswerError)
    assert "log-probabilities" in str(error)
    assert (await events(engine, None))[1].text == "one"
