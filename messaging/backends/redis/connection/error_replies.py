"""Error replies of the server, and what they mean to us."""

import re
from collections.abc import Mapping

from messaging.errors import BackendError, BackendSetupError, BusFullError

PASSING = frozenset(
    {
        "LOADING",
        "BUSY",
        "TRYAGAIN",
        "ASK",
        "MOVED",
        "CLUSTERDOWN",
        "MASTERDOWN",
        "READONLY",
        "MISCONF",
        "NOREPLICAS",
    }
)
_MOVED = frozenset({"READONLY", "MOVED"})
_REMEDIES = {
    "LOADING": "it is still reading its data: wait until it is done, then try again",
    "BUSY": "a script of somebody keeps it busy: find out whose, or end it with SCRIPT KILL",
    "CLUSTERDOWN": "its cluster lacks a node: bring that back",
    "TRYAGAIN": "the keys of this guild are on their way to another node: let them arrive",
    "ASK": "the keys of this guild are on their way to another node: let them arrive",
    "MOVED": "another node has the keys of this guild: give the URL of a cluster, redis+cluster://",
    "MASTERDOWN": "it has lost its primary: bring that back, or give another URL",
    "READONLY": "it is a replica, which takes no writes: give the URL of its primary",
    "MISCONF": "it cannot write its data to disk: free space there, its log says more",
    "NOREPLICAS": "too few replicas follow it: bring them back, or lower min-replicas-to-write",
}
_CODE = re.compile(r"[A-Z]{3,}")
_IN_SCRIPT = re.compile(
    r"(?:Error running script|user_script:\d+:).*?"
    r"\b(OOM|WRONGTYPE|READONLY|MISCONF|NOREPLICAS|NOPERM|NOGROUP)\b"
)
# What a script hears that reaches for a key which has left with its slot.
_ON_ITS_WAY = "attempted to access a non local key"


def code_of(error: Exception) -> str:
    """The first word of an error reply; ERR may hide that of a script, in Redis 6 always."""
    text = str(error)
    if _ON_ITS_WAY in text:
        return "TRYAGAIN"
    if inner := _IN_SCRIPT.search(text):
        return inner.group(1)
    found = _CODE.match(text)
    return found.group() if found else ""


def is_passing(error: Exception) -> bool:
    """Whether the same command may well succeed later: the server loads, fails over, is busy."""
    return code_of(error) in PASSING


def needs_new_connection(error: Exception) -> bool:
    """Another server is the primary now, or another node has the guild's keys."""
    return code_of(error) in _MOVED


def remedy_of(code: str) -> str:
    """What to do when an error that passes by itself has not passed in time."""
    return _REMEDIES.get(code, "start it again, or check the network")


def wrong_type(keys: Mapping[str, tuple[str, str]]) -> BackendSetupError:
    """The error about keys that hold one thing where another belongs: key -> found, expected."""
    told = "; ".join(
        f"the key {key} holds a {found} where guildbus keeps a {expected}"
        for key, (found, expected) in keys.items()
    )
    return BackendSetupError(
        f"{told}: something else uses the keys of this guild. Delete what is not needed, or use "
        "another guild id or database"
    )


def to_messaging_error(error: Exception, url: str) -> BackendError:
    """What an error reply of the server at `url` means that will not pass."""
    code = code_of(error)
    if code == "OOM":
        return BusFullError(
            f"the server at {url} is out of memory and stored nothing; consumers and trimming "
            "still work: let them catch up, or raise maxmemory"
        )
    if code == "WRONGTYPE":
        return BackendSetupError(
            f"a key of this guild at {url} holds something that is not ours ({error}); "
            "use another guild id or database"
        )
    if code == "NOPERM":
        return BackendSetupError(
            f"the ACL of the server at {url} keeps this user from what the guild needs ({error}); "
            "write its rights with `guildbus acl SPEC`, or use another user"
        )
    if code in ("NOAUTH", "WRONGPASS"):
        return BackendSetupError(f"the server at {url} does not let this user do that: {error}")
    return BackendError(f"the server at {url} answered {error}")
