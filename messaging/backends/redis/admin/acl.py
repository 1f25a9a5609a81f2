"""What one guild's user may do on a server: its own keys and channels, and nothing to the server.

Only words that Redis 6.2 knows: a server refuses a whole ACL file for one word that it does not.
"""

import hashlib
import os
import re
import secrets
import tempfile
from pathlib import Path
from typing import NamedTuple

from messaging.backends.redis.keys import Keys
from messaging.errors import BackendSetupError

ADMIN = "admin"
_COMMANDS = (
    *("+@hash", "+@list", "+@set", "+@sortedset", "+@stream", "+@string"),
    *("+del", "+exists", "+expire", "+pexpire", "+persist", "+pttl", "+ttl", "+type", "+unlink"),
    *("+publish", "+subscribe", "+unsubscribe", "+evalsha", "+script|exists", "+script|load"),
    *("+auth", "+hello", "+info", "+ping", "+select", "+time", "+wait", "+cluster|slots"),
)
_GLOB = re.compile(r"([\\*?\[\]])")
_NAME = re.compile(r"[^\s]+")


class Granted(NamedTuple):
    """A password that was made up; the file holds only its hash."""

    user: str
    password: str


def rules_for(guild_id: str) -> str:
    """The rights of a guild's user, as `ACL SETUSER` and an ACL file take them."""
    if not _NAME.fullmatch(guild_id):
        raise BackendSetupError(f"the guild id {guild_id!r} does not fit into an ACL file")
    mine = _GLOB.sub(r"\\\1", Keys(guild_id).prefix.decode()) + "*"
    return " ".join(("resetkeys", f"~{mine}", "resetchannels", f"&{mine}", "-@all", *_COMMANDS))


def write_acl_file(
    file: Path, guild_id: str, *, user: str = "", password: str = ""
) -> list[Granted]:
    """Put the user of a guild, named like it unless told otherwise, into an ACL file.

    A new file also shuts out everybody without a name, and has an `admin` who may do everything.
    Lines about others stay. A user who is there already keeps the password, unless one is given.

    Returns:
        the passwords that were made up, and are to be found nowhere else.

    Raises:
        BackendSetupError: a name that does not fit, or no such folder, or no right to write there.
    """
    name = user or guild_id
    if not _NAME.fullmatch(name) or name in ("default", ADMIN):
        raise BackendSetupError(f"{name!r} cannot be the user of a guild; choose another name")
    granted: list[Granted] = []
    try:
        lines = file.read_text().splitlines() if file.exists() else []
        if not lines:
            admin = _grant(ADMIN, granted)
            lines = ["user default off -@all", f"user {ADMIN} on {admin} ~* &* +@all"]
        known = next((line for line in lines if line.split()[:2] == ["user", name]), "")
        hashes = [word for word in known.split() if word.startswith("#")]
        if password:
            hashes = [_hash(password)]
        elif not hashes:
            hashes = [_grant(name, granted)]
        ours = f"user {name} on {' '.join(hashes)} {rules_for(guild_id)}"
        kept = [line for line in lines if line != known]
        _replace(file, "\n".join([*kept, ours]) + "\n")
    except OSError as error:
        raise BackendSetupError(f"cannot write the ACL file {file}: {error.strerror}") from error
    return granted


def _grant(user: str, granted: list[Granted]) -> str:
    password = secrets.token_urlsafe(32)
    granted.append(Granted(user, password))
    return _hash(password)


def _hash(password: str) -> str:
    return "#" + hashlib.sha256(password.encode()).hexdigest()


def _replace(file: Path, text: str) -> None:
    """Write all or nothing, readable for the owner alone; a file that is there keeps its rights."""
    descriptor, name = tempfile.mkstemp(dir=file.parent)
    try:
        with os.fdopen(descriptor, "w") as draft:
            draft.write(text)
            if file.exists():
                found = file.stat()
                os.fchmod(draft.fileno(), found.st_mode & 0o777)
                os.fchown(draft.fileno(), found.st_uid, found.st_gid)
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
