"""An engine on a server with OpenAI's API: Guildbus itself, vLLM, llama.cpp's server, Ollama.

It sends texts to the server that the configuration names and to no other: no redirection is
followed, and no proxy of the environment is asked. It belongs to the loop that uses it first.
"""

import asyncio
import contextlib
import json
import random
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from agents.llm.engines.config import EngineConfig
from agents.llm.engines.constraint import Constraint
from agents.llm.engines.engine import Capabilities, Engine, EngineStats
from agents.llm.engines.errors import (
    EngineBusyError,
    EngineClosedError,
    InvalidRequestError,
    LLMError,
    LLMInitializationError,
    MissingDependencyError,
    as_inference_error,
)
from agents.llm.engines.generation import (
    Channel,
    Finished,
    FinishReason,
    Generation,
    TextDelta,
    Timing,
)
from agents.llm.engines.openai_errors import (
    RETRIED,
    ServerAnswerError,
    ServerSilentError,
    ServerUnreachableError,
    error_of,
)
from agents.llm.engines.openai_options import OpenAIOptions, api_key, openai_options
from agents.llm.engines.openai_stream import Piece, pieces
from agents.llm.engines.request import DEFAULT_MAX_NEW_TOKENS, GenerationRequest

if TYPE_CHECKING:
    import httpx

_MAX_ERROR_BYTES = 64 * 1024
_FIRST_PAUSE_S = 0.1
_MAX_PAUSE_S = 5.0
_UNKNOWN_WINDOW = 2**31 - 1  # the server knows and refuses what is too long


@dataclass(slots=True)
class Counted:
    """The tokens of an answer as the server counts them, whether it shows their ids or not."""

    prompt: int = 0
    completion: int = 0


class ServerGeneration(Generation):
    """An answer on its way from a server; `counted` is complete when it has ended."""

    def __init__(self, channel: Channel, cancel: Callable[[], None], counted: Counted) -> None:
        super().__init__(channel, cancel)
        self.counted = counted


def create(config: EngineConfig) -> Engine:
    """An engine for the server in the options; nothing is asked yet.

    Raises:
        LLMInitializationError: the options make no sense.
        MissingDependencyError: there is no httpx.
    """
    return OpenAIEngine(config)


@dataclass(eq=False)
class _Job:
    """One request on its way. Moments are on the clock of `time.monotonic`."""

    payload: dict[str, Any]
    deadline_s: float | None
    channel: Channel
    submitted: float
    admitted: float | None = None
    first_token: float | None = None
    texts: list[str] = field(default_factory=list)
    token_ids: list[int] = field(default_factory=list)
    counted: Counted = field(default_factory=Counted)
    reason: FinishReason | None = None

    def left_s(self) -> float | None:
        """Seconds until the deadline, which runs from submission."""
        if self.deadline_s is None:
            return None
        return max(0.0, self.submitted + self.deadline_s - time.monotonic())

    def take(self, piece: Piece) -> None:
        self.token_ids += piece.token_ids
        self.reason = piece.reason or self.reason
        self.counted.prompt = piece.prompt_tokens or self.counted.prompt
        known = max(self.counted.completion, len(self.token_ids))
        self.counted.completion = piece.completion_tokens or known
        if not piece.text:
            return
        if self.first_token is None:
            self.first_token = time.monotonic()
        self.texts.append(piece.text)
        self.channel.send(TextDelta(piece.text, piece.token_ids))

    def finish(self, reason: FinishReason, error: LLMError | None) -> None:
        begun = self.submitted
        self.channel.send(
            Finished(
                reason=reason,
                text="".join(self.texts),
                token_ids=tuple(self.token_ids),
                prompt_tokens=self.counted.prompt,
                error=error,
                timing=Timing(
                    queued_s=None if self.admitted is None else self.admitted - begun,
                    first_token_s=None if self.first_token is None else self.first_token - begun,
                    total_s=time.monotonic() - begun,
                ),
            )
        )


class _TryAgainError(Exception):
    """The server cannot be reached or is busy; nothing of an answer has come."""

    def __init__(self, error: LLMError, wait_s: float | None = None) -> None:
        super().__init__(str(error))
        self.error = error
        self.wait_s = wait_s


class OpenAIEngine:
    """Asks a server; keeps `Engine`'s promises.

    What only a model in this process can do is refused: constraints, token ids as a prompt,
    log-probabilities by token id. The limits of the context are the server's: they end a
    generation with `InvalidRequestError` and do not refuse it at submit.
    """

    def __init__(self, config: EngineConfig) -> None:
        self.config = config
        self._options = openai_options(config)
        self._server = self._options.base_url.rstrip("/")
        _httpx()
        self._client: httpx.AsyncClient | None = None
        self._window = config.context_window
        self._is_loaded = False
        self._loading: asyncio.Task[None] | None = None
        self._is_closed = False
        self._turns: asyncio.Semaphore | None = None
        self._tasks: set[asyncio.Task[FinishReason]] = set()
        self._active = 0
        self._prompt_tokens = 0
        self._generated_tokens = 0

    async def load(self) -> None:
        """See whether the server answers and accepts the key.

        Raises:
            LLMInitializationError: it does not.
        """
        self._refuse_when_closed()
        if self._is_loaded:
            return
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load())
            self._loading.add_done_callback(_retrieve)
        loading = self._loading
        try:
            await asyncio.shield(loading)  # others wait for it, too
        except asyncio.CancelledError:
            if loading.cancelled():  # by close
                self._refuse_when_closed()
            raise

    async def submit(
        self, request: GenerationRequest, constraint: Constraint | None = None
    ) -> Generation:
        submitted = time.monotonic()
        payload = _payload(request, constraint, self.config, self._options)
        self._refuse_when_full()
        await self.load()
        self._refuse_when_closed()
        self._refuse_when_full()
        job = _Job(payload, request.deadline_s, Channel(), submitted)
        task = asyncio.create_task(self._run(job))
        self._tasks.add(task)
        # The end is told by a callback: a task cancelled before its first step never runs.
        task.add_done_callback(partial(self._ended, job))
        return ServerGeneration(job.channel, _canceller(task), job.counted)

    @property
    def capabilities(self) -> Capabilities:
        if not self._is_loaded:
            raise LLMInitializationError(f"{self.config.model} is not loaded yet: await load()")
        return Capabilities(
            model=self.config.model,
            backend=self.config.backend,
            device="remote",
            dtype="unknown",
            context_window=self._window or _UNKNOWN_WINDOW,
            vocab_size=0,
            max_new_tokens_limit=self.config.max_new_tokens_limit,
        )

    @property
    def stats(self) -> EngineStats:
        return EngineStats(
            is_loaded=self._is_loaded and not self._is_closed,
            memory_bytes=0,
            active=self._active,
            queue_length=len(self._tasks) - self._active,
            prompt_tokens=self._prompt_tokens,
            generated_tokens=self._generated_tokens,
        )

    async def close(self) -> None:
        self._is_closed = True
        loading = [self._loading] if self._loading is not None else []
        tasks: list[asyncio.Task[Any]] = [*self._tasks, *loading]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._client is not None:
            await self._client.aclose()

    # Loading

    async def _load(self) -> None:
        key = api_key(self._options)
        httpx = _httpx()
        headers = {"User-Agent": "guildbus"} | ({"Authorization": f"Bearer {key}"} if key else {})
        if self._client is None:
            self._client = httpx.AsyncClient(
                headers=headers,
                timeout=httpx.Timeout(
                    self._options.silence_timeout_s, connect=self._options.connect_timeout_s
                ),
                limits=httpx.Limits(max_connections=None),
                follow_redirects=False,
                trust_env=False,
            )
            self._turns = asyncio.Semaphore(self.config.max_active)
        try:
            body = await self._retried(self._ask_models)
        except LLMInitializationError:
            await self._forget_client()
            raise
        except LLMError as error:
            await self._forget_client()
            raise LLMInitializationError(str(error)) from error
        self._window = self._window or _window(body, self.config.model)
        self._is_loaded = True

    async def _forget_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _ask_models(self) -> bytes:
        assert self._client is not None
        async with self._client.stream("GET", f"{self._server}/models") as response:
            body = await _beginning(response)
            if response.status_code == 404:  # noqa: PLR2004  some servers list no models
                return b""
            self._check(response, body)
            return body

    # Generating

    async def _run(self, job: _Job) -> FinishReason:
        assert self._turns is not None
        try:
            async with asyncio.timeout(job.left_s()) as deadline, self._turns:
                job.admitted = time.monotonic()
                self._active += 1
                try:
                    await self._retried(partial(self._stream, job))
                finally:
                    self._active -= 1
        except TimeoutError:
            if deadline.expired():
                return FinishReason.DEADLINE
            raise
        if job.reason is None:
            raise ServerAnswerError(f"{self._server} does not say why its answer ends")
        return job.reason

    async def _stream(self, job: _Job) -> None:
        assert self._client is not None
        path = "completions" if self._options.api == "completions" else "chat/completions"
        url = f"{self._server}/{path}"
        async with self._client.stream("POST", url, json=job.payload) as response:
            if response.status_code != 200:  # noqa: PLR2004  HTTP's OK
                self._check(response, await _beginning(response))
            kind = response.headers.get("content-type", "")
            if response.status_code != 200 or "text/event-stream" not in kind:  # noqa: PLR2004
                raise ServerAnswerError(
                    f"{self._server} answers with {kind[:80]!r} in the place of a stream; is "
                    "base_url the address of its API?"
                )
            try:
                async for piece in pieces(response.aiter_bytes(), self._server):
                    job.take(piece)
            except (_httpx().NetworkError, _httpx().RemoteProtocolError) as error:
                raise ServerAnswerError(
                    f"{self._server} broke its answer off in the middle; ask again"
                ) from error

    async def _retried(self, ask: Callable[[], Any]) -> Any:
        """`ask`, again and again while the server cannot be reached or is busy.

        Raises:
            LLMError: what the last attempt met.
        """
        until = time.monotonic() + self._options.retry_for_s
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                return await self._attempt(ask)
            except _TryAgainError as again:
                wait_s = again.wait_s
                if wait_s is None:
                    wait_s = pause_s * random.uniform(0.5, 1.0)  # noqa: S311  no secret
                if time.monotonic() + wait_s > until:
                    raise again.error from again.__cause__
                await asyncio.sleep(wait_s)
                pause_s = min(2 * pause_s, _MAX_PAUSE_S)

    async def _attempt(self, ask: Callable[[], Any]) -> Any:
        httpx = _httpx()
        try:
            return await ask()
        except (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError) as error:
            # A connection that was kept may be gone; nothing of an answer has come.
            unreachable = ServerUnreachableError(
                f"{self._server} cannot be reached: {str(error) or type(error).__name__}"
            )
            raise _TryAgainError(unreachable) from error
        except httpx.TimeoutException as error:
            raise ServerSilentError(
                f"{self._server} said nothing for {self._options.silence_timeout_s} s"
            ) from error
        except httpx.HTTPError as error:
            raise ServerAnswerError(
                f"{self._server} broke off: {type(error).__name__}; ask again"
            ) from error

    def _check(self, response: "httpx.Response", body: bytes) -> None:
        status = response.status_code
        if status < 300:  # noqa: PLR2004  HTTP's redirections begin there
            return
        error = error_of(self._server, self.config.model, status, body)
        if status in RETRIED:
            raise _TryAgainError(error, _retry_after(response.headers.get("retry-after")))
        raise error

    def _ended(self, job: _Job, task: "asyncio.Task[FinishReason]") -> None:
        self._tasks.discard(task)
        self._prompt_tokens += job.counted.prompt
        self._generated_tokens += job.counted.completion
        if task.cancelled():
            if self._is_closed:
                closed = f"{self.config.model}: the engine was closed during the generation"
                job.finish(FinishReason.ERROR, EngineClosedError(closed))
            else:
                job.finish(FinishReason.CANCELLED, None)
        elif (error := task.exception()) is not None:
            assert isinstance(error, Exception)
            job.finish(FinishReason.ERROR, as_inference_error(error))
        else:
            job.finish(task.result(), None)

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise EngineClosedError(f"{self.config.model}: the engine is closed")

    def _refuse_when_full(self) -> None:
        if len(self._tasks) >= self.config.max_active + self.config.max_queue:
            raise EngineBusyError(self.config.model, self.stats.queue_length)


def _payload(
    request: GenerationRequest,
    constraint: Constraint | None,
    config: EngineConfig,
    options: OpenAIOptions,
) -> dict[str, Any]:
    """The body of a request.

    Raises:
        InvalidRequestError: no server could do it.
    """
    local = {
        "a constraint": constraint is not None,
        "prompt_ids": request.prompt_ids is not None,
        "logprobs": request.logprobs is not None,
    }
    for name, is_wanted in local.items():
        if is_wanted:
            raise InvalidRequestError(
                f"the openai backend cannot do {name}: its model is on a server; use a backend "
                "with a model in this process"
            )
    limit = config.max_new_tokens_limit
    if (request.max_new_tokens or 0) > limit:
        raise InvalidRequestError(
            f"max_new_tokens={request.max_new_tokens} is more than the limit of {limit} for "
            f"{config.model}"
        )
    prompt = request.prompt
    asked: dict[str, Any] = {
        "model": config.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.max_new_tokens or min(DEFAULT_MAX_NEW_TOKENS, limit),
        "temperature": 0.0 if request.is_greedy else request.temperature,
        "top_p": request.top_p,
        **_more(request),
    }
    if options.has_token_ids:
        asked["return_token_ids"] = True
    if options.api == "chat":
        return {**asked, "messages": [{"role": "user", "content": prompt}]}
    return {**asked, "prompt": prompt}


def _more(request: GenerationRequest) -> dict[str, Any]:
    """What not every server knows is sent only where the request says it."""
    more: dict[str, Any] = {
        name: getattr(request, name)
        for name in ("top_k", "min_p", "repetition_penalty")
        if name in request.model_fields_set
    }
    if request.logit_bias:
        more["logit_bias"] = {str(i): bias for i, bias in request.logit_bias.items()}
    if request.seed is not None:
        more["seed"] = request.seed
    if request.stop:
        more["stop"] = list(request.stop)
    return more


def _retrieve(loading: "asyncio.Task[None]") -> None:
    """A failure that nobody waits for any more is no news: the next use tries again."""
    if not loading.cancelled():
        loading.exception()


def _canceller(task: "asyncio.Task[FinishReason]") -> Callable[[], None]:
    """Cancels a task from any thread, and holds on to it as little as it can."""
    loop, kept = task.get_loop(), weakref.ref(task)

    def cancel() -> None:
        running = kept()
        if running is not None:
            with contextlib.suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(running.cancel)

    return cancel


async def _beginning(response: "httpx.Response") -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MAX_ERROR_BYTES:
            break
    return body[:_MAX_ERROR_BYTES]


def _retry_after(given: str | None) -> float | None:
    """Seconds; None where the header is missing or makes no sense."""
    if given is None:
        return None
    try:
        return max(0.0, float(given))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    except (ValueError, TypeError, OverflowError):
        return None


def _window(body: bytes, model: str) -> int | None:
    """The context window, where the server tells it as Guildbus and vLLM do."""
    try:
        listed = json.loads(body)["data"]
        told = next((item.get("max_model_len") for item in listed if item.get("id") == model), None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return told if isinstance(told, int) and told > 0 else None


def _httpx() -> Any:
    try:
        import httpx  # noqa: PLC0415  it is an extra
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"the openai backend needs {error.name}: pip install 'guildbus[openai]'"
        ) from error
    return httpx
