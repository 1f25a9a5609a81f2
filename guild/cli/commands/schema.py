"""`guildbus schema`."""

import json
from collections.abc import Sequence
from pathlib import Path

import typer

from guild.cli.exit_codes import OK
from guild.cli.opening import plan_of
from guild.cli.output import Output
from guild.schema import spec_schema
from guild.suggest import closest
from messaging.errors import UnknownTypeError


async def print_schema(path: Path | None, message: str | None, *, allow: Sequence[str]) -> int:
    """Print the schema of guild specs, or that of one message of the guild in `path`."""
    if (path is None) != (message is None):
        raise typer.BadParameter("a message's schema needs both: SPEC --message TYPE")
    document = spec_schema() if path is None else _message_schema(path, message or "", allow)
    Output().text(json.dumps(document, indent=2, ensure_ascii=False))
    return OK


def _message_schema(path: Path, name: str, allow: Sequence[str]) -> dict[str, object]:
    messages = plan_of(path, allow=allow).messages
    message_class = messages.find(name)
    if message_class is None:
        known = [each.__name__ for each in messages]
        near = closest(name, known)
        raise UnknownTypeError(name, 1, (near,) if near else tuple(sorted(known)))
    return message_class.model_json_schema()
