"""The answer of a server as it comes: server-sent events with pieces of a completion."""

import json
import re
from codecs import BOM_UTF8
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from agents.llm.engines.errors import LLMError
from agents.llm.engines.generation import FinishReason
from agents.llm.engines.openai_calls import CallPiece, call_pieces
from agents.llm.engines.openai_errors import ServerAnswerError, error_in_stream

MAX_EVENT_BYTES = 1024 * 1024
_DONE = "[DONE]"
_LINE_END = re.compile(rb"\r\n|\r|\n")
_LENGTH = frozenset({"length", "max_tokens", "model_length"})
_GIVEN_UP = {
    "abort": "ask again",
    "error": "ask again",
    "content_filter": "its filter refuses the text",
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer, or of the reasoning before it where a chat tells them apart.

    `reason` comes with the last one, token counts where they are told. `calls` are pieces of tool
    calls, as the server sends them; so are `logprobs`, of which nothing has been checked.
    """

    text: str = ""
    thinking: str = ""
    token_ids: tuple[int, ...] = ()
    calls: tuple[CallPiece, ...] = ()
    logprobs: Any = None
    reason: FinishReason | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


async def pieces(chunks: AsyncIterable[bytes], server: str) -> AsyncIterator[Piece]:
    """The pieces of one choice, until the server says that it is done, or why it has ended.

    Raises:
        ServerAnswerError: it is no such stream, or ends before its end.
        LLMError: the server tells of a failure.
    """
    has_reason, tagged = False, _Tagged()
    async for data in _events(chunks, server):
        if data == _DONE:
            return
        piece = tagged(_piece(data, server))
        has_reason = has_reason or piece.reason is not None
        yield piece
    if has_reason:
        return  # some servers leave [DONE] out
    raise ServerAnswerError(f"{server} ended its answer in the middle; ask again")


class _Tagged:
    """Writes reasoning into the text, as models do, where readers look for it."""

    def __init__(self) -> None:
        self._is_open = False

    def __call__(self, piece: Piece) -> Piece:
        text = piece.thinking
        if text and not self._is_open:
            text, self._is_open = f"<think>{text}", True
        if self._is_open and (piece.text or piece.reason):
            text, self._is_open = f"{text}</think>", False
        return replace(piece, text=text + piece.text)


async def _events(chunks: AsyncIterable[bytes], server: str) -> AsyncIterator[str]:
    """The data of each event, as the standard of server-sent events has it."""
    data: list[str] = []
    async for line in _lines(chunks, server):
        if line.startswith("data:"):
            data.append(line[5:].removeprefix(" "))
            if sum(map(len, data)) > MAX_EVENT_BYTES:
                raise _too_long(server)
        elif not line:
            whole, data = "\n".join(data), []
            if whole:  # an event without data is no event
                yield whole
    if data:
        yield "\n".join(data)  # the empty line behind the last event may be missing


async def _lines(chunks: AsyncIterable[bytes], server: str) -> AsyncIterator[str]:
    """The lines that ended, in any of the three ways; a byte order mark before them is left out."""
    held, is_first = b"", True
    async for chunk in chunks:
        held += chunk
        # A carriage return at the end may be a half of a line end.
        whole = held[:-1] if held.endswith(b"\r") else held
        *lines, rest = _LINE_END.split(whole)
        held = rest + held[len(whole) :]
        if len(held) > MAX_EVENT_BYTES:
            raise _too_long(server)
        for line in lines:
            yield (line.removeprefix(BOM_UTF8) if is_first else line).decode(errors="replace")
            is_first = False
    if held.endswith(b"\r"):
        yield held[:-1].decode(errors="replace")


def _too_long(server: str) -> ServerAnswerError:
    return ServerAnswerError(f"{server} sends an event of more than {MAX_EVENT_BYTES} bytes")


def _piece(data: str, server: str) -> Piece:
    try:
        document = json.loads(data)
        if document.get("error") or document.get("object") == "error":
            raise error_in_stream(server, document.get("error") or document)
        return _read(document, server)
    except LLMError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError) as error:
        raise ServerAnswerError(
            f"{server} answers what is no piece of a completion: {data[:80]!r}"
        ) from error


def _read(document: dict[str, Any], server: str) -> Piece:
    usage = document.get("usage") or {}
    choices = document["choices"]
    choice = choices[0] if choices else {}
    told = choice.get("delta") or {}
    text = choice.get("text") or told.get("content") or ""
    thinking = told.get("reasoning_content") or told.get("reasoning") or ""
    if not isinstance(text, str) or not isinstance(thinking, str):
        raise TypeError("the text is none")
    f"{thinking}{text}".encode()  # a lone surrogate is no character
    return Piece(
        text=text,
        thinking=thinking,
        calls=call_pieces(told.get("tool_calls")),
        logprobs=choice.get("logprobs"),
        token_ids=tuple(int(token_id) for token_id in choice.get("token_ids") or ()),
        reason=_reason(choice.get("finish_reason"), server),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def _reason(given: Any, server: str) -> FinishReason | None:
    """Why an answer ends.

    Raises:
        ServerAnswerError: the server gave it up.
    """
    if isinstance(given, dict):
        given = given.get("type")
    if not given:  # "" stands in the middle of some servers' answers
        return None
    if given in _GIVEN_UP:
        raise ServerAnswerError(f"{server} gave its answer up: {given}; {_GIVEN_UP[given]}")
    return FinishReason.LENGTH if given in _LENGTH else FinishReason.STOP


def _count(given: Any) -> int | None:
    return given if isinstance(given, int) and given >= 0 else None
