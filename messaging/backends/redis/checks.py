"""What a server must be before a guild trusts it with messages."""

from messaging.backends.redis.cluster import ClusterAddress
from messaging.backends.redis.server import Server
from messaging.backends.redis.versions import version_of
from messaging.errors import BackendError, BackendSetupError

PROFILES = (None, "standard", "ephemeral")

_AOF_REMEDY = "set `appendonly yes` in its configuration, or use the bus `embedded`"


async def check_server(server: Server) -> tuple[str, bool]:
    """The profile that the server can keep, and whether it knows `#!lua`.

    Raises:
        BackendSetupError: too old, evicting, or without the persistence that was asked for.
    """
    wanted = server.options.profile
    if wanted not in PROFILES:
        raise BackendSetupError(f"the profile {wanted!r} is not one of: standard, ephemeral")
    try:
        info = _parse(await server.link.call("INFO"))
    except BackendSetupError as error:
        return _unchecked(server, wanted, error), await _takes_shebang(server)
    version = version_of(info)
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise BackendSetupError(
            f"the server's maxmemory-policy is {policy}: when memory runs short it would throw "
            "accepted messages away. Set it to noeviction (CONFIG SET maxmemory-policy noeviction)"
        )
    if info.get("role") in ("slave", "replica"):
        raise BackendSetupError("the server is a replica; give the URL of its primary")
    if info.get("cluster_enabled") == "1" and not isinstance(server.address, ClusterAddress):
        raise BackendSetupError("the server is a node of a cluster; use redis+cluster:// for it")
    has_aof = info.get("aof_enabled") == "1"
    return _profile(server, wanted, has_aof=has_aof), version.has_shebang


def _profile(server: Server, wanted: str | None, *, has_aof: bool) -> str:
    if has_aof:
        return wanted or "standard"
    if wanted not in (None, "ephemeral"):
        raise BackendSetupError(
            f"the profile {wanted} needs an append-only file and the server has none; {_AOF_REMEDY}"
        )
    if wanted is None:
        server.announce(
            "bus.ephemeral",
            "the server has no append-only file, so messages live only as long as it does; "
            + _AOF_REMEDY,
        )
    return "ephemeral"


def _unchecked(server: Server, wanted: str | None, error: BackendError) -> str:
    if wanted is None:
        server.announce(
            "bus.unchecked",
            f"this user may not ask the server how it is set up ({error}); nobody has checked that "
            "it evicts nothing and persists. Allow the user INFO, or state the profile",
        )
    return wanted or "ephemeral"


def _parse(info: bytes) -> dict[str, str]:
    lines = info.decode(errors="replace").splitlines()
    return {name: value for name, _, value in (line.partition(":") for line in lines) if value}


async def _takes_shebang(server: Server) -> bool:
    """For users who may not ask for the version: Redis 6 cannot compile it."""
    try:
        await server.link.call("SCRIPT", "LOAD", "#!lua\nreturn 1")
    except BackendSetupError:
        raise
    except BackendError:
        return False
    return True
