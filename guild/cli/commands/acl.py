"""`guildbus acl`."""

from pathlib import Path

from guild.cli.calling.call import Call
from guild.cli.calling.exit_codes import OK, UsageError
from messaging.backends.redis.admin.acl import write_acl_file
from messaging.errors import BackendSetupError


async def write_acl(call: Call, file: Path, *, user: str, password_file: Path | None) -> int:
    """Write the guild's user into an ACL file; passwords that were made up go to stdout."""
    password = _read(password_file) if password_file else ""
    guild_id = call.plan.spec.id
    try:
        granted = write_acl_file(file, guild_id, user=user, password=password)
    except BackendSetupError as error:  # no server was asked
        raise UsageError(str(error)) from error
    for name, made_up in granted:
        if call.output.as_json:
            call.output.json({"user": name, "password": made_up})
        else:
            call.output.text(f"{name} {made_up}")
    name = user or guild_id
    if granted:
        call.output.note("The passwords above are stored nowhere else; the file has their hashes.")
    call.output.note(
        f"Start the server with `aclfile {file}`, or `ACL LOAD` if it has it already; "
        f"the guild's bus is then redis://{name}:PASSWORD@HOST:PORT/0"
    )
    return OK


def _read(password_file: Path) -> str:
    try:
        password = password_file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot read the password in {password_file}: {error}") from error
    if not password:
        raise UsageError(f"there is no password in {password_file}")
    return password
