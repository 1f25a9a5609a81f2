"""What a span says of a message: by what names, and nothing of its content.

What is usual is not said, such as a first attempt: each attribute is a tenth of what a span costs.
"""

from opentelemetry.util.types import AttributeValue

from messaging.observing import Handling
from messaging.telemetry import conventions as names
from messaging.telemetry.spending import Spent
from messaging.wire.envelope import Envelope
from messaging.wire.topic import is_reply_topic

Attributes = dict[str, AttributeValue]


def of_publishing(envelope: Envelope) -> tuple[str, Attributes]:
    """Name and attributes of the span by which a message goes out."""
    topic = envelope.topic
    told = _of(envelope, topic) | {
        names.OPERATION_NAME: names.PUBLISH,
        names.OPERATION_TYPE: names.SEND,
    }
    if is_reply_topic(topic):  # each caller has its own
        return names.PUBLISH, told | {names.IS_TEMPORARY: True}
    return f"{names.PUBLISH} {topic}", told


def of_handling(handling: Handling) -> tuple[str, Attributes]:
    """Name and attributes of the span of a handling."""
    envelope = handling.envelope
    topic = envelope.published_to
    told = _of(envelope, topic) | {
        names.OPERATION_NAME: names.PROCESS,
        names.OPERATION_TYPE: names.PROCESS,
        names.GROUP: handling.group,
    }
    if handling.attempt > 1:
        told[names.ATTEMPT] = handling.attempt
    return f"{names.PROCESS} {topic}", told


def of_spending(spent: Spent) -> Attributes:
    """What an answer of a language model has cost."""
    told: Attributes = {
        names.GENAI_OPERATION: spent.operation,
        names.GENAI_MODEL: spent.model,
        names.GENAI_INPUT_TOKENS: spent.input_tokens,
        names.GENAI_OUTPUT_TOKENS: spent.output_tokens,
    }
    if spent.cached_tokens:
        told[names.GENAI_CACHED_TOKENS] = spent.cached_tokens
    if spent.finish_reason:
        told[names.GENAI_FINISH_REASONS] = (spent.finish_reason,)
    return told


def _of(envelope: Envelope, topic: str) -> Attributes:
    return {
        names.SYSTEM: names.GUILDBUS,
        names.DESTINATION: topic,
        names.MESSAGE_ID: envelope.id,
        names.CONVERSATION: envelope.conversation_id,
        names.MESSAGE_TYPE: envelope.type,
    }
