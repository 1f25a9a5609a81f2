"""Names of attributes and values by OpenTelemetry's semantic conventions; no other file knows them.

The conventions for messaging and for generative AI are still in development and change from version
to version. So one version is pinned here, and a span says which it is by `SCHEMA_URL`: to go to a
later one is a change of this file.

Source: https://github.com/open-telemetry/semantic-conventions/tree/v1.40.0/docs, `messaging` and
`gen-ai`.
"""

from typing import Final

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
