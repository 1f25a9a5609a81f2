"""A server with OpenAI's API, over HTTP: what it is asked, and what its failures mean.

Texts go to the server that the configuration names and to no other: no redirection is followed,
and no proxy of the environment is asked.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from agents.llm.engines.errors import MissingDependencyError
from agents.llm.engines.openai_errors import (
    RETRIED,
    ServerAnswerError,
    ServerSilentError,
    ServerUnreachableError,
    error_of,
    no_stream,
)
from agents.llm.engines.openai_options import OpenAIOptions, api_key
from agents.llm.engines.openai_retry import TryAgainError, retried, retry_after_s
from agents.llm.engines.openai_stream import Piece, pieces

if TYPE_CHECKING:
    import httpx

_MAX_ERROR_BYTES = 64 * 1024
_OK, _REDIRECTIONS, _NOT_FOUND = 200, 300, 404

T = TypeVar("T")


class Server:
    """One server and one of its models; opened by `open`, on the loop that uses it."""

    def __init__(self, options: OpenAIOptions, model: str) -> None:
        self._options = options
        self._model = model
        self._url = options.base_url.rstrip("/")
        self._httpx = _import_httpx()
        self._client: httpx.AsyncClient | None = None

    def open(self) -> None:
        """Make ready to ask; opens no connection yet.

        Raises:
            LLMInitializationError: the key is not in the environment.
        """
        key = api_key(self._options)
        headers = {"User-Agent": "guildbus"} | ({"Authorization": f"Bearer {key}"} if key else {})
        if self._client is None:
            self._client = self._httpx.AsyncClient(
                headers=headers,
                timeout=self._httpx.Timeout(
                    self._options.silence_timeout_s, connect=self._options.connect_timeout_s
                ),
                limits=self._httpx.Limits(max_connections=None),
                follow_redirects=False,
                trust_env=False,
            )

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def context_window(self) -> int | None:
        """Ask for its models; the model's window where it tells that.

        Raises:
            LLMError: it cannot be reached, or refuses.
        """
        body = await retried(partial(self._attempt, self._ask_models), self._options.retry_for_s)
        return _window(body, self._model)

    async def answer(
        self, path: str, payload: dict[str, Any], take: Callable[[Piece], None]
    ) -> None:
        """Ask for an answer and hand over its pieces as they come.

        Raises:
            LLMError: it cannot be reached, refuses or fails.
        """
        ask = partial(self._attempt, partial(self._stream, path, payload, take))
        await retried(ask, self._options.retry_for_s)

    def reasonless(self) -> ServerAnswerError:
        """The error of an answer that ends without a reason."""
        return ServerAnswerError(f"{self._url} does not say why its answer ends")

    async def _ask_models(self) -> bytes:
        assert self._client is not None
        async with self._client.stream("GET", f"{self._url}/models") as response:
            body = await _beginning(response)
            if response.status_code == _NOT_FOUND:  # some servers list no models
                return b""
            self._check(response, body)
            return body

    async def _stream(
        self, path: str, payload: dict[str, Any], take: Callable[[Piece], None]
    ) -> None:
        assert self._client is not None
        url = f"{self._url}/{path}"
        async with self._client.stream("POST", url, json=payload) as response:
            if response.status_code != _OK:
                self._check(response, await _beginning(response))
            kind = response.headers.get("content-type", "")
            if response.status_code != _OK or "text/event-stream" not in kind:
                raise no_stream(self._url, kind, await _beginning(response))
            try:
                await self._take_all(pieces(response.aiter_bytes(), self._url), take)
            except (self._httpx.NetworkError, self._httpx.RemoteProtocolError) as error:
                raise ServerAnswerError(
                    f"{self._url} broke its answer off in the middle; ask again"
                ) from error

    async def _take_all(
        self, arriving: AsyncIterator[Piece], take: Callable[[Piece], None]
    ) -> None:
        """Comments keep a connection alive, but are no pieces: they end no silence."""
        while True:
            try:
                async with asyncio.timeout(self._options.silence_timeout_s) as silence:
                    piece = await anext(arriving)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                if silence.expired():
                    raise self._silent() from error
                raise
            take(piece)

    def _silent(self) -> ServerSilentError:
        return ServerSilentError(
            f"{self._url} said nothing for {self._options.silence_timeout_s} s; raise "
            "silence_timeout_s if it needs longer to read a prompt"
        )

    async def _attempt(self, ask: Callable[[], Awaitable[T]]) -> T:
        httpx = self._httpx
        try:
            return await ask()
        except (httpx.NetworkError, httpx.ConnectTimeout, httpx.RemoteProtocolError) as error:
            # A connection that was kept may be gone; nothing of an answer has come.
            unreachable = ServerUnreachableError(
                f"{self._url} cannot be reached: {str(error) or type(error).__name__}"
            )
            raise TryAgainError(unreachable) from error
        except httpx.TimeoutException as error:
            raise self._silent() from error
        except httpx.HTTPError as error:
            raise ServerAnswerError(
                f"{self._url} broke off: {type(error).__name__}; ask again"
            ) from error

    def _check(self, response: "httpx.Response", body: bytes) -> None:
        status = response.status_code
        if status < _REDIRECTIONS:
            return
        error = error_of(self._url, self._model, status, body)
        if status in RETRIED:
            raise TryAgainError(error, retry_after_s(response.headers.get("retry-after")))
        raise error


async def _beginning(response: "httpx.Response") -> bytes:
    body = b""
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > _MAX_ERROR_BYTES:
            break
    return body[:_MAX_ERROR_BYTES]


def _window(body: bytes, model: str) -> int | None:
    """The context window, where the server tells it as Guildbus and vLLM do."""
    try:
        listed = json.loads(body)["data"]
        told = next((item.get("max_model_len") for item in listed if item.get("id") == model), None)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None
    return told if isinstance(told, int) and told > 0 else None


def _import_httpx() -> Any:
    try:
        import httpx  # noqa: PLC0415  it is an extra
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"the openai backend needs {error.name}: pip install 'guildbus[openai]'"
        ) from error
    return httpx
