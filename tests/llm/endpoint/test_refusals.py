"""What is refused, how, and who is let in."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import openai
import pytest

from agents.llm.endpoint import new_key
from agents.llm.endpoint.parameters import IGNORED, MAX_CHOICES
from agents.llm.engines.errors import LLMInferenceError
from agents.llm.engines.scripted import Failure
from tests.llm.endpoint.conftest import Start
from tests.llm.endpoint.test_chat import HELLO, WEATHER, ask, chunks_of

CHAT = "/chat/completions"


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():  # noqa: ASYNC110  it happens in the engine's thread
        await asyncio.sleep(0)


async def post(url: str, body: Any, **settings: Any) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await client.post(url, content=content, **settings)


def asking(**more: Any) -> dict[str, Any]:
    return {"model": "script", "messages": HELLO, **more}


REFUSED = {
    "frequency_penalty": 0.5,
    "presence_penalty": -1,
    "functions": [],
    "function_call": "auto",
    "reasoning_effort": "low",
    "modalities": ["audio"],
    "service_tier": "flex",
    "web_search_options": {},
    "temperature": 3,
    "top_p": 0,
    "n": MAX_CHOICES + 1,
    "max_tokens": 0,
    "top_logprobs": 2,
    "logit_bias": {"1": 101},
    "stop": [""],
    "seed": -1,
    "messages": [],
    "guided_json": {},
    "stream_options": {"include_usage": True},
    "tool_choice": "required",
    "tools": [{"type": "custom", "custom": {"name": "x"}}],
    "response_format": {"type": "grammar"},
    "model": 3,
}


@pytest.mark.parametrize("name", REFUSED)
async def test_what_cannot_be_done_is_refused_by_name(start: Start, name: str) -> None:
    served = await start(["x"])

    response = await post(served.url + CHAT, asking(**{name: REFUSED[name]}))

    assert response.status_code == 400
    error = response.json()["error"]
    assert error["type"] == "invalid_request_error"
    assert name in error["message"] or name in error["param"]


@pytest.mark.parametrize("name", sorted(IGNORED))
async def test_what_changes_no_answer_is_ignored(start: Start, name: str) -> None:
    served = await start(["x"])

    assert (await post(served.url + CHAT, asking(**{name: "value"}))).status_code == 200


async def test_what_asks_for_nothing_is_accepted(start: Start) -> None:
    served = await start(["x"])
    neutral = {
        "frequency_penalty": 0, "presence_penalty": 0.0, "modalities": ["text"], "n": 1,
        "service_tier": "auto", "stop": None, "tools": None, "logprobs": False, "seed": None,
        "response_format": {"type": "text"}, "tool_choice": "none", "functions": None,
    }  # fmt: skip

    assert (await post(served.url + CHAT, asking(**neutral))).status_code == 200


SCHEMAS: dict[str, Any] = {
    "elsewhere": ({"$ref": "http://169.254.169.254/schema"}, 40),
    "unsatisfiable": ({"type": "string", "minLength": 3, "maxLength": 2}, 40),
    "not well formed": ({"type": "strange"}, 40),
    "not enforceable": (
        {"type": "object", "unevaluatedProperties": False, "$dynamicRef": "#x"},
        40,
    ),
    "too long": ({"type": "string", "minLength": 30}, 5),
}


@pytest.mark.parametrize("kind", SCHEMAS)
async def test_a_schema_that_cannot_be_enforced_is_refused(start: Start, kind: str) -> None:
    schema, max_tokens = SCHEMAS[kind]
    client = await (await start()).client()
    wanted: Any = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    with pytest.raises(openai.BadRequestError):
        await ask(client, model="tiny", response_format=wanted, max_tokens=max_tokens)
    strict = {"type": "function", "function": {"name": "f", "parameters": schema, "strict": True}}
    if kind not in {"too long", "unsatisfiable"}:  # no call of such a tool fits: it stays text
        with pytest.raises(openai.BadRequestError):
            await ask(client, model="tiny", tools=[strict])


async def test_what_is_wrong_is_named_as_the_client_wrote_it(start: Start) -> None:
    served = await start(["x"])
    wrong = {
        "prompt": ("/completions", {"model": "script", "prompt": {}}),
        "messages.0.content": (CHAT, asking(messages=[{"role": "user", "content": 7}])),
        "tool_choice": (CHAT, asking(tools=[WEATHER], tool_choice="always")),
        "top-p": (CHAT, asking(**{"top-p": 1})),
        "Temperature": (CHAT, asking(Temperature=1)),
        "response_format.a b": (CHAT, asking(response_format={"type": "text", "a b": 1})),
        "response_format.json_schema.name": (
            CHAT,
            asking(response_format={"type": "json_schema", "json_schema": {"schema": {}}}),
        ),
    }

    for name, (path, body) in wrong.items():
        error = (await post(served.url + path, body)).json()["error"]
        assert error["param"] == name
        assert f"{name}; " in error["message"] or error["message"].startswith(f"{name}: ")


BAD_BODIES = {
    "no JSON": b"{",
    "not an object": b"[]",
    "not a number": b'{"model": NaN}',
    "deep": b"[" * 100_000,
    "not UTF-8": b'{"model": "\xff"}',
    "lone surrogate": json.dumps(asking(messages=[{"role": "user", "content": "\ud800"}])).encode(),
    "no user": json.dumps(asking(messages=[{"role": "system", "content": "x"}])).encode(),
    "an image": json.dumps(
        asking(messages=[{"role": "user", "content": [{"type": "image_url"}]}])
    ).encode(),
    "huge number": b'{"model": "script", "messages": [], "seed": 1' + b"0" * 5000 + b"}",
}


@pytest.mark.parametrize("kind", BAD_BODIES)
async def test_nonsense_is_the_clients_fault(start: Start, kind: str) -> None:
    served = await start(["x"])

    response = await post(served.url + CHAT, BAD_BODIES[kind])

    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


async def test_more_choices_than_ever_fit_are_refused_and_not_told_to_come_again(
    start: Start,
) -> None:
    url = (await start(["hi"] * 2, config={"max_active": 1, "max_queue": 1})).url

    answer = await post(url + CHAT, asking(n=3))
    fitting = await post(url + CHAT, asking(n=2))

    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "n")
    assert fitting.status_code == 200


async def test_json_is_not_cut_by_a_stop_string(start: Start) -> None:
    url = (await start()).url
    body = {"model": "tiny", "messages": HELLO, "response_format": {"type": "json_object"}}

    answer = await post(url + CHAT, {**body, "stop": ["}"]})

    assert answer.status_code == 400
    assert "stop: " in answer.json()["error"]["message"]


HALF = "\ud800"
CALLED = {"id": "a", "function": {"name": "f", "arguments": '{"a": "\\ud800"}'}}


@pytest.mark.parametrize(
    "more",
    [
        {"tools": [{"type": "function", "function": {"name": "f", "description": HALF}}]},
        {"messages": [{"role": "assistant", "tool_calls": [CALLED]}]},
        {"messages": [{"role": "user", "content": "x", "name": HALF}]},
        {"messages": [{"role": "tool", "content": "x", "tool_call_id": HALF}]},
    ],
)
async def test_half_a_character_is_the_clients_fault(start: Start, more: dict[str, Any]) -> None:
    answer = await post((await start(["hi"])).url + CHAT, asking(**more))

    assert answer.status_code == 400, answer.text


async def test_a_body_that_is_too_large_is_refused(start: Start) -> None:
    served = await start(["x"], max_body_bytes=1000)

    response = await post(served.url + CHAT, asking(user="x" * 1000))

    assert response.status_code == 413


async def test_there_are_only_models_that_were_named(start: Start) -> None:
    client = await (await start(["x"])).client()

    assert [model.id async for model in client.models.list()] == ["script"]
    assert (await client.models.retrieve("script")).id == "script"
    with pytest.raises(openai.NotFoundError) as missing:
        await client.models.retrieve("other/model")
    assert missing.value.code == "model_not_found"
    with pytest.raises(openai.NotFoundError):
        await ask(client, model="other")


async def test_other_paths_and_methods_are_told_in_the_same_shape(start: Start) -> None:
    served = await start(["x"])
    async with httpx.AsyncClient() as client:
        missing = await client.get(served.url + "/embeddings")
        wrong = await client.get(served.url + CHAT)
        slash = await client.post(f"{served.url}{CHAT}/", json=asking())

    assert (missing.status_code, wrong.status_code) == (404, 405)
    assert (slash.status_code, "Location" in slash.headers) == (404, False)
    assert missing.json()["error"]["message"] == (
        "there is no /v1/embeddings; this server has "
        "/v1/models, /v1/chat/completions and /v1/completions"
    )
    assert wrong.json()["error"]["message"] == f"/v1{CHAT} takes POST, not GET"


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        ("hi", "messages: Input should be a valid array"),
        ([], "messages: Array should have at least 1 item, not 0"),
    ],
)
async def test_lists_are_told_of_in_words_of_json(
    start: Start, messages: object, said: str
) -> None:
    served = await start(["x"])
    async with httpx.AsyncClient() as client:
        refused = await client.post(
            served.url + CHAT, json={"model": "script"} | {"messages": messages}
        )

    assert refused.status_code == 400
    assert refused.json()["error"]["message"] == said


@pytest.mark.parametrize("is_stream", [False, True])
async def test_too_long_a_prompt_says_so(start: Start, is_stream: bool) -> None:
    client = await (await start(["x"], config={"context_window": 20})).client()

    with pytest.raises(openai.BadRequestError, match="context window of 20") as refused:
        await ask(client, messages=[{"role": "user", "content": "a " * 50}], stream=is_stream)

    assert refused.value.code == "context_length_exceeded"


async def test_who_comes_when_the_queue_is_full_is_told_to_come_again(start: Start) -> None:
    served = await start(lambda _: "word " * 50, config={"max_active": 1, "max_queue": 0})
    client = await served.client()
    served.gate.close(after=1)
    stream = await ask(client, stream=True)

    with pytest.raises(openai.RateLimitError) as busy:
        await ask(client)
    served.gate.open()

    assert busy.value.response.headers["retry-after"] == "1"
    assert busy.value.code == "engine_busy"
    assert len([chunk async for chunk in stream]) > 50


async def test_a_model_that_cannot_be_loaded_is_unavailable(start: Start) -> None:
    served = await start(config={"context_window": 100, "revision": None})
    client = await served.client()
    async with served.registry.lease(next(iter(served.configs.values()))):
        served.engines[0]._open_model = _fail
        await served.engines[0].close()

    with pytest.raises(openai.InternalServerError) as unavailable:
        await ask(client, model="tiny")

    assert unavailable.value.status_code == 503
    assert "secret" not in str(unavailable.value)


def _fail() -> None:
    raise OSError("/secret/folder")


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_failure_tells_no_secrets(start: Start, is_stream: bool) -> None:
    reply = Failure(LLMInferenceError("/secret/folder broke"))
    client = await (await start([reply])).client()

    with pytest.raises(openai.InternalServerError) as failed:
        await ask(client, stream=is_stream)

    assert failed.value.status_code == 500
    assert "secret" not in str(failed.value)


async def test_a_failure_in_the_middle_of_a_stream_is_an_event_of_it(start: Start) -> None:
    reply = Failure(LLMInferenceError("/secret/folder broke"), after="so far so")
    client = await (await start([reply])).client()
    seen: list[str] = []

    with pytest.raises(openai.APIError, match="failed") as failed:
        await _read(await ask(client, stream=True), seen)

    assert "".join(seen) == "so far so"
    assert "secret" not in str(failed.value)


async def _read(stream: Any, seen: list[str]) -> None:
    async for chunk in stream:
        seen.append(chunk.choices[0].delta.content)  # noqa: PERF401  what came before a failure


@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_answer_that_takes_too_long_ends_with_an_error(
    start: Start, is_stream: bool
) -> None:
    served = await start(["one two three"], deadline_s=0.2)
    served.gate.close(after=0)
    client = await served.client()

    with pytest.raises(openai.InternalServerError) as overdue:
        await ask(client, stream=is_stream)

    assert overdue.value.status_code == 504
    assert overdue.value.code == "deadline_exceeded"


@pytest.mark.parametrize("is_stream", [False, True])
async def test_who_goes_away_stops_the_generation(start: Start, is_stream: bool) -> None:
    served = await start(lambda _: "word " * 500, config={"max_active": 1})
    client = await served.client()
    served.gate.close(after=3)

    if is_stream:
        stream = await ask(client, stream=True)
        await anext(aiter(stream))
        await stream.close()
    else:
        waiting = asyncio.create_task(ask(client))
        await until(lambda: served.gate.steps == 3)
        waiting.cancel()
    await until(lambda: not served.engines[0].stats.active)

    served.gate.open()
    assert served.gate.steps <= 3


async def test_who_goes_away_while_waiting_is_never_answered(start: Start) -> None:
    served = await start(lambda _: "word " * 5, config={"max_active": 1})
    client = await served.client()
    served.gate.close(after=1)
    stream = await ask(client, stream=True)
    waiting = asyncio.create_task(ask(client))
    await until(lambda: served.engines[0].stats.queue_length == 1)

    waiting.cancel()
    await until(lambda: served.engines[0].stats.queue_length == 0)
    served.gate.open()

    seen: list[str] = []
    await _read(stream, seen)
    assert "".join(text or "" for text in seen) == "word " * 5


class TestKeys:
    async def test_only_who_has_a_key_is_let_in(self, start: Start) -> None:
        keys = [new_key(), new_key()]
        served = await start(["x"] * 2, keys=keys)

        for key in keys:
            await ask(await served.client(api_key=key))
        for wrong in ("x", keys[0][:-1], keys[0] + "x", keys[0].upper(), "ä" * 20):
            response = await post(
                served.url + CHAT,
                asking(),
                headers={"Authorization": f"Bearer {wrong}".encode()},
            )
            assert response.status_code == 401, wrong
            assert response.json()["error"]["code"] == "invalid_api_key"

    async def test_each_path_needs_the_key(self, start: Start) -> None:
        served = await start(["x"], keys=[new_key()])
        async with httpx.AsyncClient() as client:
            for path in ("/models", "/nothing", CHAT):
                assert (await client.get(served.url + path)).status_code == 401

    @pytest.mark.parametrize("key", ["", "short", "x" * 20 + " ", "ä" * 20, "x" * 20 + "\n"])
    async def test_what_is_no_key_is_refused(self, start: Start, key: str) -> None:
        with pytest.raises(ValueError, match="at least 16"):
            await start(["x"], keys=[key])


class TestNames:
    @pytest.mark.parametrize(
        "host",
        [
            "evil.example",
            "",
            "localhost.evil.example",
            "[::1",
            "127.1",
            "evil.example@localhost",
            "localhost/evil.example",
            "localhost?evil.example",
        ],
    )
    async def test_a_foreign_name_is_refused(self, start: Start, host: str) -> None:
        served = await start(["x"])

        response = await post(served.url + CHAT, asking(), headers={"Host": host})

        assert response.status_code in {400, 403}  # some are no name for the HTTP server itself
        assert served.engines == []

    @pytest.mark.parametrize(
        "host", ["localhost", "LOCALHOST:99", "10.0.0.1", "[::1]:80", "me.lan"]
    )
    async def test_own_names_and_addresses_are_answered(self, start: Start, host: str) -> None:
        served = await start(["x"], hosts=["me.lan"])

        response = await post(served.url + CHAT, asking(), headers={"Host": host})

        assert response.status_code == 200

    @pytest.mark.parametrize(
        "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "", "http://["]
    )
    async def test_pages_of_other_origins_are_refused(self, start: Start, origin: str) -> None:
        served = await start(["x"])

        response = await post(served.url + CHAT, asking(), headers={"Origin": origin})

        assert response.status_code == 403
        assert "access-control-allow-origin" not in response.headers

    async def test_of_two_origins_each_counts(self, start: Start) -> None:
        served = await start(["x"])
        origins = [served.url.removesuffix("/v1"), "https://evil.example"]
        headers = [("Origin", origin) for origin in origins]

        response = await post(served.url + CHAT, asking(), headers=headers)

        assert response.status_code == 403

    async def test_pages_of_the_own_origin_are_answered(self, start: Start) -> None:
        served = await start(["x"])
        origin = served.url.removesuffix("/v1")

        assert (
            await post(served.url + CHAT, asking(), headers={"Origin": origin})
        ).status_code == 200


async def test_tools_in_a_stream_keep_their_text(start: Start) -> None:
    client = await (await start(["no call at all"])).client()

    chunks = await chunks_of(client, tools=[WEATHER])

    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "no call at all"
