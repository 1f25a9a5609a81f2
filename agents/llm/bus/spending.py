"""What answers of language models have cost, as observers ask for it: a `Spending` of telemetry."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_core import from_json

from agents.llm.bus.messages import ChatReply, CompletionReply, StatefulReply
from agents.llm.chat import AgentResponse
from messaging.telemetry import Spent
from messaging.wire.envelope import Envelope
from messaging.wire.message import wire_type_of

# In the words of OpenTelemetry.
_CHAT, _COMPLETION, _AGENT = "chat", "text_completion", "invoke_agent"
_OPERATIONS: Mapping[str, str] = {
    wire_type_of(answer)[0]: operation
    for answer, operation in (
        (ChatReply, _CHAT),
        (AgentResponse, _CHAT),
        (CompletionReply, _COMPLETION),
        (StatefulReply, _AGENT),
    )
}


def spent_on(envelope: Envelope) -> Spent | None:
    """What the answer in `envelope` has cost; None if it is no answer that says so.

    Give it to an observer: `MetricsObserver(registry, spending=spent_on)`.
    """
    operation = _OPERATIONS.get(envelope.type)
    if operation is None:
        return None
    answer = _fields_of(envelope)
    told = answer if "usage" in answer else answer.get("metadata") or {}
    usage = told.get("usage")
    if not usage:
        return None
    return Spent(
        operation=operation,
        model=told["model"],
        input_tokens=usage["prompt_tokens"],
        output_tokens=usage["completion_tokens"],
        cached_tokens=usage["cached_tokens"],
        finish_reason=told.get("finish_reason", ""),
    )


def _fields_of(envelope: Envelope) -> dict[str, Any]:
    message = envelope.message
    if isinstance(message, BaseModel):  # in memory it may travel without JSON
        return message.model_dump(include={"usage", "metadata", "model", "finish_reason"})
    fields: dict[str, Any] = from_json(envelope.payload)
    return fields
