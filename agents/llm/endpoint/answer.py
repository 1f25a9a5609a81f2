"""An answer on its way to a client, in one piece or as server-sent events.

Who goes away is noticed at once, and what was generated for them is cancelled.
"""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from agents.llm.endpoint.choices import Choice
from agents.llm.endpoint.errors import ApiError, as_api_error
from agents.llm.endpoint.parameters import Sampling
from agents.llm.endpoint.plan import Plan
from agents.llm.engines.config import EngineConfig
from agents.llm.engines.engine import Engine
from agents.llm.engines.errors import LLMError
from agents.llm.engines.generation import Event, Finished, FinishReason, Generation, TextDelta
from agents.llm.engines.openai_job import ServerGeneration
from agents.llm.engines.registry import ModelRegistry

Json = dict[str, Any]
BodyT = TypeVar("BodyT", bound=Sampling)

_SSE_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


@dataclass(frozen=True)
class Kind(Generic[BodyT]):
    """One of the two kinds of completion.

    Attributes:
        prefix: of the ids of its answers.
        name: of the whole answer, as `object` has it.
        chunk_name: of a piece of a stream.
        given: the parameter that is answered.
        plan: what the engine is asked; called in a thread.
        choice: the writer of a choice.
    """

    prefix: str
    name: str
    chunk_name: str
    given: str
    plan: Callable[[BodyT, Engine, float | None], Plan]
    choice: Callable[[int, Plan, BodyT], Choice]


@dataclass
class Usage:
    """Tokens of all choices; a prompt that several choices share is counted once."""

    prompt: int = 0
    completion: int = 0
    cached: int = 0

    def add(self, finished: Finished, generation: Generation, *, is_first: bool) -> None:
        if is_first:
            self.prompt += finished.prompt_tokens
            self.cached += finished.cached_tokens
        # A server counts tokens, too, whose ids it does not show.
        if isinstance(generation, ServerGeneration):
            self.completion += generation.counted.completion
        else:
            self.completion += len(finished.token_ids)

    def to_openai(self) -> Json:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
            "prompt_tokens_details": {"cached_tokens": self.cached},
        }


@dataclass(eq=False)
class Answer(Generic[BodyT]):
    """An ASGI app that answers one request."""

    kind: Kind[BodyT]
    body: BodyT
    config: EngineConfig
    registry: ModelRegistry
    deadline_s: float | None
    usage: Usage = field(default_factory=Usage)

    def __post_init__(self) -> None:
        self._id = f"{self.kind.prefix}-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._has_begun = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.ensure_future(self._answer(scope, receive, send))
        gone = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            gone.cancel()
            if not work.done():
                work.cancel()
            await asyncio.gather(gone, return_exceptions=True)
            await asyncio.wait({work})
        if not work.cancelled():
            work.result()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with AsyncExitStack() as stack:
                if self.body.stream:
                    await self._stream(stack, send)
                else:
                    whole = await self._whole(stack)
                    await JSONResponse(whole)(scope, receive, send)
        except (ApiError, LLMError) as raised:
            error = self._told(raised) if isinstance(raised, LLMError) else raised
            if self._has_begun:
                await _send_event(send, error.body)
                await send({"type": "http.response.body", "body": b""})
            else:
                await JSONResponse(error.body, error.status, error.headers)(scope, receive, send)

    def _told(self, error: LLMError) -> ApiError:
        return as_api_error(error, self.body.model, self.kind.given)

    async def _whole(self, stack: AsyncExitStack) -> Json:
        choices, events = await self._start(stack)
        async for index, event in events:
            _take(choices[index], event)
        return {
            **self._head(self.kind.name),
            "choices": [choice.whole() for choice in choices],
            "usage": self.usage.to_openai(),
        }

    async def _stream(self, stack: AsyncExitStack, send: Send) -> None:
        choices, events = await self._start(stack)
        # The first event decides whether the answer is an error with a status of its own.
        first = await anext(events)
        await send({"type": "http.response.start", "status": 200, "headers": _SSE_HEADERS})
        self._has_begun = True
        options = self.body.stream_options
        with_usage = options is not None and options.include_usage
        more: Json = {"usage": None} if with_usage else {}
        head = {**self._head(self.kind.chunk_name), **more}
        for piece in (piece for choice in choices for piece in choice.begin()):
            await _send_event(send, {**head, "choices": [piece]})
        async for index, event in _after(first, events):
            for piece in _take(choices[index], event):
                await _send_event(send, {**head, "choices": [piece]})
        if with_usage:
            await _send_event(send, {**head, "choices": [], "usage": self.usage.to_openai()})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _start(
        self, stack: AsyncExitStack
    ) -> tuple[list[Choice], AsyncIterator[tuple[int, Event]]]:
        engine = await stack.enter_async_context(self.registry.lease(self.config))
        plan = await asyncio.to_thread(self.kind.plan, self.body, engine, self.deadline_s)
        self._check_room(len(plan.answers))
        generations = []
        for answer in plan.answers:
            constraint = answer.make_constraint() if answer.make_constraint else None
            generation = await engine.submit(answer.request, constraint)
            generations.append(await stack.enter_async_context(generation))
        choices = [self.kind.choice(i, plan, self.body) for i in range(len(generations))]
        return choices, self._events(choices, generations)

    def _check_room(self, choices: int) -> None:
        most = self.config.max_active + self.config.max_queue
        if choices > most:  # it would be busy however often it is asked
            raise ApiError(
                400,
                f"n: {choices} choices are more than the {most} that {self.body.model} takes at "
                "once; ask for fewer",
                param="n",
            )

    async def _events(
        self, choices: Sequence[Choice], generations: Sequence[Generation]
    ) -> AsyncIterator[tuple[int, Event]]:
        """What the generations say, as it comes.

        Raises:
            ApiError, LLMError: one of them failed.
        """
        async for index, event in _merged(generations):
            if isinstance(event, Finished):
                self._check(event, is_complete=choices[index].is_complete)
                self.usage.add(event, generations[index], is_first=index % self.body.n == 0)
            yield index, event
            if choices[index].is_complete:
                generations[index].cancel()

    def _check(self, finished: Finished, *, is_complete: bool) -> None:
        if finished.error is not None:
            raise finished.error
        if finished.reason is FinishReason.DEADLINE:
            raise ApiError(
                504,
                f"the answer was not complete within {self.deadline_s} s; ask for fewer tokens",
                kind="server_error",
                code="deadline_exceeded",
            )
        if finished.reason is FinishReason.CANCELLED and not is_complete:
            raise ApiError(503, "the generation was cancelled", kind="server_error")

    def _head(self, name: str) -> Json:
        return {
            "id": self._id,
            "object": name,
            "created": self._created,
            "model": self.body.model,
        }


def _take(choice: Choice, event: Event) -> list[Json]:
    return choice.take(event) if isinstance(event, TextDelta) else choice.end(event)


async def _merged(generations: Sequence[Generation]) -> AsyncIterator[tuple[int, Event]]:
    if len(generations) == 1:
        async for event in generations[0]:
            yield 0, event
        return
    arrived: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()

    async def read(index: int, generation: Generation) -> None:
        async for event in generation:
            arrived.put_nowait((index, event))

    readers = [asyncio.create_task(read(i, g)) for i, g in enumerate(generations)]
    try:
        left = len(generations)
        while left:
            index, event = await arrived.get()
            left -= isinstance(event, Finished)
            yield index, event
    finally:
        for reader in readers:
            reader.cancel()


async def _after(
    first: tuple[int, Event], rest: AsyncIterator[tuple[int, Event]]
) -> AsyncIterator[tuple[int, Event]]:
    yield first
    async for item in rest:
        yield item


async def _gone(receive: Callable[[], Awaitable[Any]]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _send_event(send: Send, data: Json) -> None:
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    body = f"data: {text}\n\n".encode()
    await send({"type": "http.response.body", "body": body, "more_body": True})
