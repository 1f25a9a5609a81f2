"""The openai backend at servers that behave badly."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from agents.llm.engines import EngineConfig, Finished, FinishReason, GenerationRequest, TextDelta
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import (
    EngineBusyError,
    EngineClosedError,
    InvalidRequestError,
    LLMError,
    LLMInferenceError,
    LLMInitializationError,
    ModelNotFoundError,
)
from agents.llm.engines.factory import create_engine
from agents.llm.engines.openai_errors import (
    ServerAnswerError,
    ServerBusyError,
    ServerRefusedKeyError,
    ServerSilentError,
    ServerUnreachableError,
)

KEY = "sk-a-secret-that-nobody-may-see"


class Request:
    def __init__(self, head: str, body: bytes) -> None:
        self.line, *lines = head.split("\r\n")
        self.headers = {k.lower(): v for k, _, v in (line.partition(": ") for line in lines)}
        self.body = json.loads(body) if body else None


Reply = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


class BadServer:
    """Answers each completion with the next of its replies, byte for byte."""

    def __init__(self, replies: list[Reply], models: bytes) -> None:
        self.requests: list[Request] = []
        self.closed = asyncio.Event()  # by the client, before its answer was complete
        self._replies = replies
        self._models = models

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().strip()
            length = next(
                (int(x.split(":")[1]) for x in head.lower().split("\r\n") if "content-length" in x),
                0,
            )
            request = Request(head, await reader.readexactly(length))
            if request.line.startswith("GET"):
                writer.write(self._models)
            else:
                self.requests.append(request)
                reply = self._replies.pop(0)
                if isinstance(reply, bytes):
                    writer.write(reply)
                else:
                    await reply(writer)
                    if not await reader.read(1):
                        self.closed.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def plain(status: str, body: Any = None, headers: str = "") -> bytes:
    content = body if isinstance(body, bytes) else json.dumps(body or {}).encode()
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\n{headers}\r\n"
    ).encode() + content


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"


def event(text: str, reason: Any = None, **more: Any) -> bytes:
    choice = {"index": 0, "text": text, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice], **more}).encode() + b"\n\n"


def delta(reason: str | None = None, **said: Any) -> bytes:
    choice = {"index": 0, "delta": said, "finish_reason": reason}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"
GOOD = HEAD + event("one ") + event("two", "stop") + DONE

Start = Callable[..., Awaitable[tuple[BadServer, Engine]]]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts a server with these replies, and an engine that asks it."""
    servers: list[asyncio.Server] = []
    engines: list[Engine] = []

    async def start(
        *replies: Reply, models: bytes | None = None, config: Any = None, **options: Any
    ) -> tuple[BadServer, Engine]:
        bad = BadServer(list(replies), models or plain("200 OK", {"data": []}))
        servers.append(await asyncio.start_server(bad, "127.0.0.1", 0))
        port = servers[-1].sockets[0].getsockname()[1]
        given = {"base_url": f"http://127.0.0.1:{port}/v1", "retry_for_s": 0.0} | options
        engines.append(
            create_engine(
                EngineConfig(model="m", backend="openai", options=given, **(config or {}))
            )
        )
        return bad, engines[-1]

    yield start
    for engine in engines:
        await engine.close()
    for server in servers:
        server.close()
        await server.wait_closed()


async def ask(engine: Engine, **settings: Any) -> Finished:
    generation = await engine.submit(GenerationRequest(prompt="x", **settings))
    events = [event async for event in generation]
    finished = events[-1]
    assert isinstance(finished, Finished)
    assert [type(e) for e in events].count(Finished) == 1
    assert "".join(e.text for e in events if isinstance(e, TextDelta)) == finished.text
    return finished


async def failure(engine: Engine, **settings: Any) -> LLMError:
    finished = await ask(engine, **settings)
    assert finished.reason is FinishReason.ERROR
    assert finished.error is not None
    return finished.error


async def test_an_answer_comes_in_pieces(start: Start) -> None:
    usage = {"usage": {"prompt_tokens": 7, "completion_tokens": 3}}
    counts = b"data: " + json.dumps({"choices": [], **usage}).encode() + b"\n\n"
    bad, engine = await start(HEAD + event("one ") + event("two", "length") + counts + DONE)

    finished = await ask(engine, max_new_tokens=3, stop=("x",), seed=0, logit_bias={5: 1.0})

    assert (finished.text, finished.reason) == ("one two", FinishReason.LENGTH)
    assert finished.prompt_tokens == 7
    assert engine.stats.generated_tokens == 3
    assert bad.requests[0].line == "POST /v1/completions HTTP/1.1"
    assert bad.requests[0].body == {
        "model": "m",
        "prompt": "x",
        "max_tokens": 3,
        "temperature": 0.7,
        "top_p": 0.9,
        "stop": ["x"],
        "seed": 0,
        "logit_bias": {"5": 1.0},
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_tokens_that_are_counted_in_each_piece_are_not_added_up(start: Start) -> None:
    said = [
        event(text, reason, usage={"prompt_tokens": 7, "completion_tokens": count})
        for text, reason, count in (("one ", None, 1), ("two", None, 2), ("", "stop", 3))
    ]
    _, engine = await start(HEAD + b"".join(said) + DONE)

    assert (await ask(engine)).prompt_tokens == 7
    assert (engine.stats.prompt_tokens, engine.stats.generated_tokens) == (7, 3)


async def test_only_what_was_said_is_asked_beyond_the_standard(start: Start) -> None:
    bad, engine = await start(GOOD, GOOD)

    await ask(engine, top_k=3, min_p=0.1, do_sample=False)

    assert bad.requests[0].body["top_k"] == 3
    assert bad.requests[0].body["min_p"] == 0.1
    assert bad.requests[0].body["temperature"] == 0
    assert "repetition_penalty" not in bad.requests[0].body


async def test_a_chat_server_is_asked_by_messages(start: Start) -> None:
    choice = {"index": 0, "delta": {"content": "Hi"}, "finish_reason": "stop"}
    said = b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"
    bad, engine = await start(HEAD + said + DONE, api="chat")

    assert (await ask(engine)).text == "Hi"
    assert bad.requests[0].line == "POST /v1/chat/completions HTTP/1.1"
    assert bad.requests[0].body["messages"] == [{"role": "user", "content": "x"}]


def thought(**delta: str) -> bytes:
    return b"data: " + json.dumps({"choices": [{"delta": delta}]}).encode() + b"\n\n"


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
async def test_reasoning_that_a_chat_tells_apart_is_written_as_models_write_it(
    start: Start, name: str
) -> None:
    said = thought(**{name: "Hm"}) + thought(**{name: "."}) + thought(content="Yes.")
    _, engine = await start(
        HEAD + said + event("", "stop") + DONE,
        HEAD + thought(**{name: "Hm"}) + event("", "length") + DONE,
        api="chat",
    )

    assert (await ask(engine)).text == "<think>Hm.</think>Yes."
    assert (await ask(engine)).text == "<think>Hm</think>"


ODDITIES = {
    "no [DONE]": HEAD + event("one ") + event("two", "stop"),
    "no empty line at the end": HEAD + event("one ") + event("two", "stop") + b"data: [DONE]",
    "comments": HEAD + b": ping\n\n" + event("one ") + b": ping\n\n" + event("two", "stop") + DONE,
    "CRLF": HEAD + (event("one ") + event("two", "stop") + DONE).replace(b"\n", b"\r\n"),
    "no choices at first": HEAD + b'data: {"choices": []}\n\n' + GOOD.removeprefix(HEAD),
    "a reason everywhere": HEAD + event("one ", "stop") + event("two", "stop") + DONE,
    "an empty reason": HEAD + event("one ", "") + event("two", "stop") + DONE,
    "null": HEAD + event("one ", usage=None, error=None) + event("two", "stop") + DONE,
    "bare comments": HEAD + b":\n\n" + event("one ") + b":x\n" + event("two", "stop") + DONE,
    "events without data": HEAD + b"data:\n\nid: 1\n\n" + event("one ") + event("two", "stop"),
    "no space": HEAD + event("one ").replace(b": ", b":", 1) + event("two", "stop") + DONE,
    "CR alone": HEAD + (event("one ") + event("two", "stop") + DONE).replace(b"\n", b"\r"),
    "a byte order mark": HEAD + b"\xef\xbb\xbf" + event("one ") + event("two", "stop") + DONE,
    "several lines": HEAD + b'data: {"choices": [{"text":\ndata: "one two",\ndata: '
    b'"finish_reason": "stop"}]}\n\n' + DONE,
    "a reason with details": HEAD + event("one ") + event("two", {"type": "stop"}) + DONE,
    "null at last": HEAD + event("one ") + event("two", "stop") + b'data: {"choices": null}\n\n',
    "other fields": HEAD + b"event: x\nid: 1\n" + event("one ") + event("two", "stop") + DONE,
}


@pytest.mark.parametrize("oddity", ODDITIES)
async def test_what_servers_do_differently_is_read_alike(start: Start, oddity: str) -> None:
    _, engine = await start(ODDITIES[oddity])

    finished = await ask(engine)

    assert (finished.text, finished.reason) == ("one two", FinishReason.STOP)


async def test_characters_cut_by_the_network_are_whole(start: Start) -> None:
    async def slowly(writer: asyncio.StreamWriter) -> None:
        said = json.dumps(
            {"choices": [{"text": "naïve 🎉", "finish_reason": "stop"}]}, ensure_ascii=False
        )
        for byte in HEAD + f"data: {said}\n\n".encode() + DONE:
            writer.write(bytes([byte]))
            await writer.drain()
        writer.write_eof()

    _, engine = await start(slowly)

    assert (await ask(engine)).text == "naïve 🎉"


FAULTS: dict[str, tuple[bytes, type[LLMError], str]] = {
    "cut off": (HEAD + event("one "), ServerAnswerError, "middle"),
    "cut in an event": (HEAD + event("one ")[:-9], ServerAnswerError, "middle"),
    "no events": (HEAD, ServerAnswerError, "middle"),
    "no reason": (HEAD + event("one ") + DONE, ServerAnswerError, "why"),
    "no JSON": (HEAD + b"data: {nonsense\n\n", ServerAnswerError, "no piece"),
    "another JSON": (HEAD + b"data: [1]\n\n", ServerAnswerError, "no piece"),
    "no choices": (HEAD + b'data: {"a": 1}\n\n', ServerAnswerError, "no piece"),
    "half a character": (
        HEAD + b'data: {"choices": [{"text": "\\ud800"}]}\n\n', ServerAnswerError, "no piece"
    ),
    "endless event": (HEAD + b"data: " + b"x" * 2_000_000, ServerAnswerError, "more than"),
    "a page": (plain("200 OK", b"<html>"), ServerAnswerError, "base_url"),
    "not HTTP": (b"SSH-2.0-OpenSSH\r\n", ServerUnreachableError, "reached"),
    "no answer": (b"", ServerUnreachableError, "reached"),
    "elsewhere": (
        plain("302 Found", headers="Location: http://169.254.169.254/\r\n"),
        ServerAnswerError,
        "redirects",
    ),
    "wrong key": (plain("401 Unauthorized"), ServerRefusedKeyError, "api_key_env"),
    "unknown model": (
        plain("404 Not Found", {"error": {"message": "no m here"}}),
        ModelNotFoundError,
        "no m here",
    ),
    "bad request": (
        plain("400 Bad Request", {"error": {"message": "top_k?"}}), InvalidRequestError, r"top_k\?"
    ),
    "busy": (plain("429 Too Many Requests"), ServerBusyError, "busy"),
    "broken": (plain("500 Oops", b"\xff" * 100), ServerUnreachableError, "500"),
    "given up": (HEAD + event("one ") + event("", "abort") + DONE, ServerAnswerError, "gave"),
    "given up, with details": (HEAD + event("", {"type": "abort"}), ServerAnswerError, "abort"),
    "filtered": (HEAD + event("", "content_filter") + DONE, ServerAnswerError, "filter"),
    "an error that is no stream": (
        plain("200 OK", {"error": {"message": "no GPU left"}}), ServerAnswerError, "no GPU left"
    ),
    "an error as an object": (
        HEAD + b'data: {"object": "error", "message": "no GPU left"}\n\n',
        LLMInferenceError,
        "no GPU left",
    ),
    "calls that are none": (HEAD + delta(tool_calls={"a": 1}), ServerAnswerError, "no piece"),
    "a call of numbers": (
        HEAD + delta(tool_calls=[{"function": {"name": 3}}]), ServerAnswerError, "no piece"
    ),
    "error in the stream": (
        HEAD + event("one ") + b'data: {"error": {"message": "out of luck"}}\n\n',
        LLMInferenceError,
        "out of luck",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_bad_answer_is_a_typed_error_and_the_engine_lives(start: Start, fault: str) -> None:
    reply, kind, told = FAULTS[fault]
    bad, engine = await start(reply, GOOD)

    error = await failure(engine)

    assert type(error) is kind
    assert KEY not in str(error)
    with pytest.raises(kind, match=told):
        raise error
    assert (await ask(engine)).text == "one two"
    assert len(bad.requests) == 2


async def test_a_silent_server_is_given_up(start: Start) -> None:
    async def say_and_wait(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + event("one "))
        await writer.drain()

    bad, engine = await start(say_and_wait, GOOD, silence_timeout_s=0.1)

    finished = await ask(engine)

    assert isinstance(finished.error, ServerSilentError)
    assert finished.text == "one "
    await bad.closed.wait()
    assert (await ask(engine)).text == "one two"


async def test_a_server_that_only_pings_is_given_up(start: Start) -> None:
    async def ping(writer: asyncio.StreamWriter) -> None:
        writer.write(HEAD + event("one "))
        while not writer.is_closing():
            writer.write(b": ping\n\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    _, engine = await start(ping, GOOD, silence_timeout_s=0.1)

    finished = await ask(engine)

    assert isinstance(finished.error, ServerSilentError)
    assert finished.text == "one "
    assert (await ask(engine)).text == "one two"


async def _hold(writer: asyncio.StreamWriter) -> None:
    writer.write(HEAD + event("one "))
    await writer.drain()


async def test_cancelling_closes_the_connection(start: Start) -> None:
    bad, engine = await start(_hold)
    generation = await engine.submit(GenerationRequest(prompt="x"))
    assert (await anext(aiter(generation))).text == "one "

    generation.cancel()
    finished = await generation.result()

    assert (finished.reason, finished.text) == (FinishReason.CANCELLED, "one ")
    await bad.closed.wait()
    assert engine.stats.active == engine.stats.queue_length == 0


async def test_a_task_cancelled_before_it_began_has_its_end(start: Start) -> None:
    _, engine = await start(GOOD)
    await engine.load()

    generation = await engine.submit(GenerationRequest(prompt="x"))
    for task in engine._tasks:  # type: ignore[attr-defined]
        task.cancel()

    assert (await generation.result()).reason is FinishReason.CANCELLED


async def test_a_forgotten_handle_closes_the_connection(start: Start) -> None:
    bad, engine = await start(_hold)
    async for _ in await engine.submit(GenerationRequest(prompt="x")):
        break

    await bad.closed.wait()


async def test_closing_ends_what_runs(start: Start) -> None:
    bad, engine = await start(_hold)
    generation = await engine.submit(GenerationRequest(prompt="x"))
    await anext(aiter(generation))

    await engine.close()

    with pytest.raises(EngineClosedError):
        await generation.result()
    await bad.closed.wait()
    with pytest.raises(EngineClosedError):
        await engine.submit(GenerationRequest(prompt="x"))


async def test_closing_ends_a_loading_on_its_way(start: Start) -> None:
    held = asyncio.Event()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held.set()
        while await reader.read(1000):
            pass
        writer.close()

    server = await asyncio.start_server(accept, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    options = {"base_url": f"http://127.0.0.1:{port}/v1", "retry_for_s": 60}
    engine = create_engine(EngineConfig(model="m", backend="openai", options=options))
    loading = asyncio.create_task(engine.submit(GenerationRequest(prompt="x")))
    await held.wait()

    await engine.close()

    with pytest.raises(EngineClosedError):
        await loading
    server.close()
    await server.wait_closed()


BUSY = plain("429 Too Many Requests", headers="Retry-After: 0\r\n")
DOWN = plain("503 Service Unavailable", headers="Retry-After: 0\r\n")


async def test_a_busy_server_is_asked_again(start: Start) -> None:
    bad, engine = await start(
        BUSY, DOWN, plain("503 Service Unavailable"), b"", GOOD, retry_for_s=9
    )

    assert (await ask(engine)).text == "one two"
    assert len(bad.requests) == 5


async def test_a_server_that_is_busy_for_too_long_is_not_waited_for(start: Start) -> None:
    later = plain("429 Too Many Requests", headers="Retry-After: 1000\r\n")
    bad, engine = await start(later, retry_for_s=5)

    async with asyncio.timeout(4):
        assert isinstance(await failure(engine), ServerBusyError)
    assert len(bad.requests) == 1


async def test_a_busy_server_that_says_no_time_is_not_asked_without_a_pause(start: Start) -> None:
    replies = [plain("429 Busy", headers="Retry-After: 0\r\n")] * 60
    bad, engine = await start(*replies, retry_for_s=0.5)

    assert isinstance(await failure(engine), ServerBusyError)
    assert 2 <= len(bad.requests) <= 12


async def test_after_the_first_piece_nothing_is_asked_again(start: Start) -> None:
    bad, engine = await start(HEAD + event("one "), GOOD, retry_for_s=9)

    assert isinstance(await failure(engine), ServerAnswerError)
    assert len(bad.requests) == 1


async def test_a_deadline_ends_the_retries(start: Start) -> None:
    _, engine = await start(*[plain("503 Service Unavailable")] * 50, retry_for_s=60)

    assert (await ask(engine, deadline_s=0.2)).reason is FinishReason.DEADLINE


async def test_the_queue_is_bounded(start: Start) -> None:
    _, engine = await start(_hold, _hold, config={"max_active": 1, "max_queue": 1})
    running = await engine.submit(GenerationRequest(prompt="x"))
    await anext(aiter(running))
    waiting = await engine.submit(GenerationRequest(prompt="x"))

    with pytest.raises(EngineBusyError):
        await engine.submit(GenerationRequest(prompt="x"))
    assert (engine.stats.active, engine.stats.queue_length) == (1, 1)

    running.cancel()
    assert (await anext(aiter(waiting))).text == "one "


async def test_a_server_that_is_not_there_fails_the_loading(start: Start) -> None:
    engine = create_engine(
        EngineConfig(
            model="m",
            backend="openai",
            options={"base_url": "http://127.0.0.1:9/v1", "retry_for_s": 0},
        )
    )
    with pytest.raises(LLMInitializationError, match="cannot be reached"):
        await engine.submit(GenerationRequest(prompt="x"))
    assert not engine.stats.is_loaded
    await engine.close()


async def test_a_key_is_sent_and_never_told(
    start: Start, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    monkeypatch.setenv("MY_KEY", KEY)
    bad, engine = await start(GOOD, plain("401 No"), api_key_env="MY_KEY")

    await ask(engine)
    error = await failure(engine)

    assert bad.requests[0].headers["authorization"] == f"Bearer {KEY}"
    told = f"{error!r} {engine!r} {engine.capabilities} {caplog.text}"
    assert KEY not in told


async def test_a_wrong_key_is_seen_when_loading(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    _, engine = await start(models=plain("401 No"), api_key_env="MY_KEY")

    with pytest.raises(ServerRefusedKeyError, match="api_key_env"):
        await engine.load()


async def test_a_key_that_is_not_there_is_missed_by_name(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    _, engine = await start(api_key_env="MY_KEY")

    with pytest.raises(LLMInitializationError, match="MY_KEY"):
        await engine.load()


BAD_OPTIONS = {
    "base_url": {},
    "retries": {"base_url": "http://127.0.0.1/v1", "retries": 3},
    "no URL": {"base_url": "localhost:8000"},
    "another scheme": {"base_url": "file:///etc/passwd"},
    "a secret": {"base_url": "https://me:secret@host/v1"},
    "unencrypted": {"base_url": "http://example.org/v1", "api_key_env": "MY_KEY"},
}


@pytest.mark.parametrize("fault", BAD_OPTIONS)
def test_options_that_make_no_sense_are_refused(fault: str) -> None:
    config = EngineConfig(model="m", backend="openai", options=BAD_OPTIONS[fault])

    with pytest.raises(LLMInitializationError, match=r"base_url|retries") as refused:
        create_engine(config)
    assert "secret@" not in str(refused.value)


class Nothing:
    is_finished = False


@pytest.mark.parametrize(
    ("settings", "constraint", "name"),
    [
        ({"prompt": None, "prompt_ids": (1,)}, None, "prompt_ids"),
        ({}, Nothing(), "constraint"),
        ({"max_new_tokens": 11}, None, "max_new_tokens=11"),
    ],
)
async def test_what_a_server_cannot_do_is_refused_at_submit(
    start: Start, settings: Any, constraint: Any, name: str
) -> None:
    bad, engine = await start(config={"max_new_tokens_limit": 10})

    with pytest.raises(InvalidRequestError, match=name):
        await engine.submit(GenerationRequest(**({"prompt": "x"} | settings)), constraint)
    assert bad.requests == []


async def test_the_window_is_the_servers_where_it_tells_it(start: Start) -> None:
    models = plain("200 OK", {"data": [{"id": "m", "max_model_len": 99}]})
    _, engine = await start(models=models)
    await engine.load()
    assert engine.capabilities.context_window == 99

    _, engine = await start(models=plain("200 OK", {"data": "nonsense"}))
    await engine.load()
    assert engine.capabilities.context_window > 10**6
