"""One question to one server, for finding out which server to talk to."""

import asyncio
from typing import Any

import hiredis

from messaging.backends.redis.connection.endpoint import Endpoint
from messaging.backends.redis.connection.error_replies import is_passing
from messaging.backends.redis.connection.tls import tls_problem
from messaging.errors import BackendSetupError, BackendUnavailableError

ANSWER_TIMEOUT_S = 1.0
_CHUNK_BYTES = 1 << 16


async def ask(endpoint: Endpoint, *question: str) -> Any:
    """The answer of the server at `endpoint` to one command, on a connection of its own.

    Raises:
        BackendUnavailableError: nobody answers there in time, or not yet.
        BackendSetupError: it refuses us, or there is no trust between us.
        hiredis.ReplyError: it refuses the question.
    """
    try:
        async with asyncio.timeout(ANSWER_TIMEOUT_S):
            *greetings, answer = await _converse(endpoint, (*endpoint.greeting, question))
    except (OSError, EOFError, TimeoutError, hiredis.ProtocolError) as error:
        if endpoint.tls is not None and (problem := tls_problem(error, endpoint.host)):
            raise BackendSetupError(f"no trust in {endpoint.url}: {problem}") from error
        raise BackendUnavailableError(
            f"{endpoint.url} does not answer ({str(error) or 'timed out'})"
        ) from error
    for reply in (*greetings, answer):
        if not isinstance(reply, hiredis.ReplyError):
            continue
        if is_passing(reply):
            raise BackendUnavailableError(f"{endpoint.url} is not ready: {reply}") from reply
        if reply is answer and not str(reply).startswith("NOAUTH"):
            raise reply
        raise BackendSetupError(
            f"{endpoint.url} refused us: {reply}; check user and password in the URL"
        ) from reply
    return answer


async def _converse(endpoint: Endpoint, commands: tuple[tuple[str, ...], ...]) -> list[Any]:
    reader, writer = await asyncio.open_connection(endpoint.host, endpoint.port, ssl=endpoint.tls)
    try:
        packed = [hiredis.pack_command(command) for command in commands]  # type: ignore[arg-type] # says 1-tuple
        writer.write(b"".join(packed))
        replies: list[Any] = []
        parser = hiredis.Reader()
        while len(replies) < len(commands):
            data = await reader.read(_CHUNK_BYTES)
            if not data:
                raise EOFError("closed by the server")
            parser.feed(data)
            while (reply := parser.gets()) is not False:
                replies.append(reply)
        return replies
    finally:
        writer.transport.abort()
