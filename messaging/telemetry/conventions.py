"""What a span says of a message, by OpenTelemetry's semantic conventions: no other file knows them.

The conventions for messaging and for generative AI are still in development and change from version
to version. So one version is pinned here, and a span says which it is by `SCHEMA_URL`: to go to a
later one is a change of this file.

Nothing is said of the content of a message. What is usual is not said, such as a first attempt:
each attribute is a tenth of what a span costs.

Source: https://github.com/open-telemetry/semantic-conventions/tree/v1.40.0/docs, `messaging` and
`gen-ai`.
"""

from typing import Final

from opentelemetry.util.types import AttributeValue

from messaging.observing import Handling
from messaging.telemetry.spending import Spent
from messaging.wire.envelope import Envelope
from messaging.wire.topic import is_reply_topic

VERSION: Final = "1.40.0"
SCHEMA_URL: Final = f"https://opentelemetry.io/schemas/{VERSION}"

SYSTEM: Final = "messaging.system"
OPERATION_NAME: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
DESTINATION: Final = "messaging.destination.name"
IS_TEMPORARY: Final = "messaging.destination.temporary"
GROUP: Final = "messaging.consumer.group.name"
MESSAGE_ID: Final = "messaging.message.id"
CONVERSATION: Final = "messaging.message.conversation_id"
ERROR_TYPE: Final = "error.type"

GUILDBUS: Final = "guildbus"
PUBLISH, SEND = "publish", "send"
"""Name and type of the operation by which a message goes out."""
PROCESS: Final = "process"
"""Name and type of the operation that is a handling."""

# A system's own attributes have names of its own below `messaging`.
MESSAGE_TYPE: Final = "messaging.guildbus.message.type"
ATTEMPT: Final = "messaging.guildbus.attempt"
OUTCOME: Final = "messaging.guildbus.outcome"
IS_SENT: Final = "messaging.guildbus.sent"
BODY: Final = "messaging.guildbus.message.body"

GENAI_OPERATION: Final = "gen_ai.operation.name"
GENAI_MODEL: Final = "gen_ai.response.model"
GENAI_FINISH_REASONS: Final = "gen_ai.response.finish_reasons"
GENAI_INPUT_TOKENS: Final = "gen_ai.usage.input_tokens"
GENAI_OUTPUT_TOKENS: Final = "gen_ai.usage.output_tokens"
GENAI_CACHED_TOKENS: Final = "gen_ai.usage.cache_read.input_tokens"

Attributes = dict[str, AttributeValue]


def of_publishing(envelope: Envelope) -> tuple[str, Attributes]:
    """Name and attributes of the span by which a message goes out."""
    topic = envelope.topic
    told = _of(envelope, topic) | {
        OPERATION_NAME: PUBLISH,
        OPERATION_TYPE: SEND,
    }
    if is_reply_topic(topic):  # each caller has its own
        return PUBLISH, told | {IS_TEMPORARY: True}
    return f"{PUBLISH} {topic}", told


def of_handling(handling: Handling) -> tuple[str, Attributes]:
    """Name and attributes of the span of a handling."""
    envelope = handling.envelope
    topic = envelope.published_to
    told = _of(envelope, topic) | {
        OPERATION_NAME: PROCESS,
        OPERATION_TYPE: PROCESS,
        GROUP: handling.group,
    }
    if handling.attempt > 1:
        told[ATTEMPT] = handling.attempt
    return f"{PROCESS} {topic}", told


def of_spending(spent: Spent) -> Attributes:
    """What an answer of a language model has cost."""
    told: Attributes = {
        GENAI_OPERATION: spent.operation,
        GENAI_MODEL: spent.model,
        GENAI_INPUT_TOKENS: spent.input_tokens,
        GENAI_OUTPUT_TOKENS: spent.output_tokens,
    }
    if spent.cached_tokens:
        told[GENAI_CACHED_TOKENS] = spent.cached_tokens
    if spent.finish_reason:
        told[GENAI_FINISH_REASONS] = (spent.finish_reason,)
    return told


def _of(envelope: Envelope, topic: str) -> Attributes:
    return {
        SYSTEM: GUILDBUS,
        DESTINATION: topic,
        MESSAGE_ID: envelope.id,
        CONVERSATION: envelope.conversation_id,
        MESSAGE_TYPE: envelope.type,
    }
