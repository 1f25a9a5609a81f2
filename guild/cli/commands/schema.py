"""`guildbus schema`."""

import json

from guild.checking.schema import message_schema, spec_schema
from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK, UsageError
from guild.operations.schemas import message_class_of


async def print_schema(call: Call, message: str | None) -> int:
    """Print the schema of guild specs, or that of one message of a guild."""
    if (call.typed.spec is None) != (message is None):
        raise UsageError("the schema of a message needs both: guildbus schema SPEC --message TYPE")
    if message is None:
        document = spec_schema(call.registry)
    else:
        document = message_schema(message_class_of(call.plan, message))
    if call.output.as_json:
        call.output.json(document)
    else:
        call.output.text(json.dumps(document, indent=2, ensure_ascii=False))
    return OK
