"""The answer of a server as it comes: server-sent events with pieces of a completion."""

import json
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

from agents.llm.engines.errors import LLMError
from agents.llm.engines.generation import FinishReason
from agents.llm.engines.openai_calls import CallPiece, call_pieces
from agents.llm.engines.openai_errors import ServerAnswerError, error_in_stream

MAX_EVENT_BYTES = 1024 * 1024
_DONE = "[DONE]"


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of an answer, or of the reasoning before it where a chat tells them apart.

    `reason` comes with the last one, token counts where they are told. `calls` are pieces of tool
    calls, as the server sends them.
    """

    text: str = ""
    thinking: str = ""
    token_ids: tuple[int, ...] = ()
    calls: tuple[CallPiece, ...] = ()
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
    """Writes reasoning into the text, as models do: whoever reads it finds it there."""

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
    held = b""
    data: list[str] = []
    async for chunk in chunks:
        *lines, held = (held + chunk).split(b"\n")
        if len(held) > MAX_EVENT_BYTES or sum(map(len, data)) > MAX_EVENT_BYTES:
            raise ServerAnswerError(f"{server} sends an event of more than {MAX_EVENT_BYTES} bytes")
        for line in (raw.decode(errors="replace").removesuffix("\r") for raw in lines):
            if line.startswith("data:"):
                data.append(line[5:].removeprefix(" "))
            elif not line and data:
                yield "\n".join(data)
                data = []
    if data and not held:
        yield "\n".join(data)  # the empty line behind the last event may be missing


def _piece(data: str, server: str) -> Piece:
    try:
        document = json.loads(data)
        if document.get("error"):
            raise error_in_stream(server, document["error"])
        return _read(document)
    except LLMError:
        raise
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, RecursionError) as error:
        raise ServerAnswerError(
            f"{server} answers what is no piece of a completion: {data[:80]!r}"
        ) from error


def _read(document: dict[str, Any]) -> Piece:
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
        token_ids=tuple(int(token_id) for token_id in choice.get("token_ids") or ()),
        reason=_reason(choice.get("finish_reason")),
        prompt_tokens=_count(usage.get("prompt_tokens")),
        completion_tokens=_count(usage.get("completion_tokens")),
    )


def _reason(given: str | None) -> FinishReason | None:
    if not given:  # "" stands in the middle of some servers' answers
        return None
    return FinishReason.LENGTH if given == "length" else FinishReason.STOP


def _count(given: Any) -> int | None:
    return given if isinstance(given, int) and given >= 0 else None
