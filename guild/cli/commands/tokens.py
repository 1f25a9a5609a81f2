"""`guildbus tokens`."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK, UsageError
from guild.gateway.callers import Scope
from guild.gateway.errors import TokenRefusedError
from guild.gateway.tokens import add_token, read_tokens, remove_token


async def add(call: Call, file: Path, name: str, scopes: Sequence[str]) -> int:
    """Make a token and print it; only its hash is kept."""
    with _refused_as_usage():
        secret = add_token(file, name, scopes)
    call.output.text(secret)
    call.output.note(f"{name} is in {file}; the token is shown this once")
    return OK


async def list_(call: Call, file: Path) -> int:
    """List names and scopes."""
    rows = [
        {"name": token.caller.name, "scopes": [s for s in Scope if s in token.caller.scopes]}
        for token in read_tokens(file)
    ]
    call.output.rows(("name", "scopes"), rows, f"there is no token in {file}")
    return OK


async def remove(call: Call, file: Path, name: str) -> int:
    """Take a token out of the file."""
    with _refused_as_usage():
        remove_token(file, name)
    call.output.note(f"{name} is not in {file} any more: gateways refuse its token")
    return OK


@contextmanager
def _refused_as_usage() -> Iterator[None]:
    """What is wrong with the words is a matter of usage; what is with the file is not."""
    try:
        yield
    except TokenRefusedError as error:
        raise UsageError(str(error)) from error
