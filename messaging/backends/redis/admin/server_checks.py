"""What a server must be before a guild trusts it with messages."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

import hiredis

from messaging.backend import PROFILES
from messaging.backends.redis.admin.versions import version_of
from messaging.backends.redis.connection.cluster import ClusterAddress
from messaging.backends.redis.connection.pipeline import Pipeline, pack
from messaging.backends.redis.server import Server
from messaging.errors import BackendError, BackendSetupError

_AOF_REMEDY = "set `appendonly yes` in its configuration, or use the bus `embedded`"
_FSYNC_REMEDY = "set `appendfsync always` there (CONFIG SET appendfsync always)"

Ask = Callable[..., Awaitable[Any]]


class Standing(NamedTuple):
    """What a server is good for.

    Attributes:
        profile: the one that it can keep, of what was asked for.
        knows_shebang: whether its scripts may begin with `#!lua`.
        replicas: how many are connected to it.
    """

    profile: str
    knows_shebang: bool
    replicas: int


async def check_server(server: Server) -> Standing:
    """What the server is good for.

    Raises:
        BackendSetupError: too old, evicting, or without the persistence that was asked for.
    """
    wanted = server.options.profile
    if wanted is not None and wanted not in PROFILES:
        raise BackendSetupError(f"the profile {wanted!r} is not one of: {', '.join(PROFILES)}")
    try:
        info = _parse(await server.connection.call("INFO"))
    except BackendSetupError as error:
        profile = _unchecked(server, wanted, error)
        return Standing(profile, await _takes_shebang(server), 0)
    url = server.connection.url
    version = version_of(info, url)
    policy = info.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise BackendSetupError(
            f"the server at {url} has maxmemory-policy {policy}: when memory runs short it would "
            "throw accepted messages away. Set it to noeviction (CONFIG SET maxmemory-policy "
            "noeviction, and in its configuration)"
        )
    if info.get("role") in ("slave", "replica"):
        raise BackendSetupError(f"the server at {url} is a replica; give the URL of its primary")
    if info.get("cluster_enabled") == "1" and not isinstance(server.address, ClusterAddress):
        raise BackendSetupError(
            f"the server at {url} is a node of a cluster; use redis+cluster:// for it"
        )
    _tell_if_full(server, info)
    has_aof = info.get("aof_enabled") == "1"
    profile = _profile(server, wanted, has_aof=has_aof)
    if profile == "durable":
        await _check_fsync(server)
    replicas = int(info.get("connected_slaves", 0))
    return Standing(profile, version.has_shebang, replicas)


async def recheck_durable(server: Server, pipeline: Pipeline) -> None:
    """After a reconnection: the server may be another one, or may have been set up anew."""

    async def ask(*command: str) -> Any:
        return await pipeline.send(pack(command))

    try:
        has_aof = _parse(await ask("INFO")).get("aof_enabled") == "1"
        fsync = await _fsync_of(ask)
    except hiredis.ReplyError:
        return  # the user may not ask; that was said at the start
    if not has_aof or fsync != "always":
        server.announce(
            "bus.not_durable",
            f"the server is back with appendonly {'yes' if has_aof else 'no'} and appendfsync "
            f"{fsync}: power loss may cost accepted messages now; {_FSYNC_REMEDY}",
        )


async def _check_fsync(server: Server) -> None:
    try:
        fsync = await _fsync_of(server.connection.call)
    except BackendSetupError as error:
        server.announce(
            "bus.unchecked",
            f"this user may not ask when the server writes to its disk ({error}); nobody has "
            "checked that `appendfsync always` is set. Allow the user CONFIG GET, or see to it",
        )
        return
    if fsync != "always":
        raise BackendSetupError(
            "the profile durable needs every write on the disk before it is answered, and the "
            f"server at {server.connection.url} has appendfsync {fsync}; {_FSYNC_REMEDY}"
        )


async def _fsync_of(ask: Ask) -> str:
    found = await ask("CONFIG", "GET", "appendfsync")
    return str(found[1].decode()) if found else "unknown"  # some who rent out servers hide it


def _profile(server: Server, wanted: str | None, *, has_aof: bool) -> str:
    if has_aof:
        return wanted or "standard"
    if wanted not in (None, "ephemeral"):
        raise BackendSetupError(
            f"the profile {wanted} needs an append-only file and the server at "
            f"{server.connection.url} has none; {_AOF_REMEDY}"
        )
    if wanted is None:
        server.announce(
            "bus.ephemeral",
            f"the server at {server.connection.url} has no append-only file, so messages live only "
            f"as long as it does; {_AOF_REMEDY}",
        )
    return "ephemeral"


def _tell_if_full(server: Server, info: Mapping[str, str]) -> None:
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if 0 < most <= used:
        server.announce(
            "bus.full",
            f"the server at {server.connection.url} is out of memory ({used:,} of {most:,} bytes): "
            "it stores nothing until consumers have caught up, or maxmemory is raised",
        )


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
        await server.connection.call("SCRIPT", "LOAD", "#!lua\nreturn 1")
    except BackendSetupError:
        raise
    except BackendError:
        return False
    return True
