"""Answers as OpenAI's API has them."""

import json
import time
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from agents.llm.dialogue import Usage
from agents.llm.parsing import Parsed, Part, Text, Thinking, ToolCall


@dataclass(frozen=True)
class Completion:
    """A whole answer; `usage` is None where it was not counted."""

    parsed: Parsed
    finish_reason: str = "stop"
    usage: Usage | None = None


class ChatShape:
    """One answer of `model`, whole or in chunks."""

    def __init__(self, model: str) -> None:
        self._head = {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "created": int(time.time()),
            "model": model,
        }

    def whole(self, parts: Iterable[Part | Completion]) -> dict[str, Any]:
        *_, completion = parts
        assert isinstance(completion, Completion)
        parsed = completion.parsed
        message: dict[str, Any] = {"role": "assistant", "content": parsed.text}
        if parsed.thinking:
            message["reasoning_content"] = parsed.thinking
        if parsed.tool_calls:
            message["tool_calls"] = [_call(c, n) for n, c in enumerate(parsed.tool_calls)]
        choice = {"index": 0, "message": message, "finish_reason": _reason(completion)}
        return {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            **_usage(completion),
        }

    def chunks(self, parts: Iterable[Part | Completion]) -> Iterator[dict[str, Any]]:
        yield self._chunk({"role": "assistant", "content": ""})
        for part in parts:
            if isinstance(part, Text):
                yield self._chunk({"content": part.text})
            elif isinstance(part, Thinking):
                yield self._chunk({"reasoning_content": part.text})
            elif isinstance(part, Completion):
                # Calls are certain at the end only.
                for number, call in enumerate(part.parsed.tool_calls):
                    yield self._chunk({"tool_calls": [{"index": number, **_call(call, number)}]})
                yield {**self._chunk({}, _reason(part)), **_usage(part)}

    def _chunk(self, delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return {**self._head, "object": "chat.completion.chunk", "choices": [choice]}


def _reason(completion: Completion) -> str:
    has_ended = completion.finish_reason == "stop"  # else more calls might have followed
    return "tool_calls" if completion.parsed.tool_calls and has_ended else completion.finish_reason


def _call(call: ToolCall, number: int) -> dict[str, Any]:
    arguments = json.dumps(call.arguments, ensure_ascii=False)
    return {
        "id": call.id or f"call{number + 1:05d}",
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def _usage(completion: Completion) -> dict[str, Any]:
    usage = completion.usage
    if usage is None:
        return {}
    return {
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
            "filled_window": usage.filled_window,
        }
    }
