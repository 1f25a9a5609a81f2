"""Error replies of the server, and what they mean to us."""

import re

from messaging.errors import BackendError, BackendSetupError, BusFullError

PASSING = frozenset(
    {
        "LOADING",
        "BUSY",
        "TRYAGAIN",
        "CLUSTERDOWN",
        "MASTERDOWN",
        "READONLY",
        "MISCONF",
        "NOREPLICAS",
    }
)
_CODE = re.compile(r"[A-Z]{3,}")
_IN_SCRIPT = re.compile(
    r"Error running script.*?\b(OOM|WRONGTYPE|READONLY|MISCONF|NOPERM|NOGROUP)\b"
)


def code_of(error: Exception) -> str:
    """The first word of an error reply; Redis 6 hides that of a script behind ERR."""
    text = str(error)
    if inner := _IN_SCRIPT.search(text):
        return inner.group(1)
    found = _CODE.match(text)
    return found.group() if found else ""


def is_passing(error: Exception) -> bool:
    """Whether the same command may well succeed later: the server loads, fails over, is busy."""
    return code_of(error) in PASSING


def needs_new_connection(error: Exception) -> bool:
    """After a failover the primary may be another server at the same address."""
    return code_of(error) == "READONLY"


def to_messaging_error(error: Exception) -> BackendError:
    """What an error reply that will not pass means."""
    code = code_of(error)
    if code == "OOM":
        return BusFullError(
            "the server is out of memory and stored nothing; consumers and trimming still work: "
            "let them catch up, or raise maxmemory"
        )
    if code == "WRONGTYPE":
        return BackendSetupError(
            f"a key of this guild holds something that is not ours ({error}); "
            "use another guild id or database"
        )
    if code == "NOPERM":
        return BackendSetupError(
            f"the server's ACL keeps this user from what the guild needs ({error}); write its "
            "rights with `guildbus acl SPEC`, or use another user"
        )
    if code in ("NOAUTH", "WRONGPASS"):
        return BackendSetupError(f"the server does not let this user do that: {error}")
    return BackendError(f"the server answered {error}")
