"""Sites that stand somewhere else than on a bare server of this machine."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import redis
import redis.asyncio
from redis.crc import key_slot

from messaging.backends.redis.admin.acl import write_acl_file
from tests.clusters import Cluster
from tests.messaging.conftest import Fields, Site
from tests.servers import RedisServer, running_redis


class AclServer:
    """A server on which nobody may do anything who is not in its ACL file."""

    def __init__(self, server: RedisServer, acl_file: Path, admin: redis.Redis) -> None:
        self.server = server
        self.acl_file = acl_file
        self.admin = admin

    def admit(self, guild_id: str) -> str:
        """The URL of a guild, after it got its line in the file."""
        [(user, password)] = write_acl_file(self.acl_file, guild_id)
        self.admin.execute_command("ACL", "LOAD")  # type: ignore[no-untyped-call] # redis-py
        return self.server.url.replace("//", f"//{user}:{password}@")


class AclSite(Site):
    """A site whose backends come as the guild's own user."""

    def __init__(self, server: AclServer) -> None:
        super().__init__("acl", "")
        self.url = server.admit(self.guild_id)


class ClusterSite(Site):
    """A site whose backends find their node in a cluster."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__("cluster", cluster.url)
        self._cluster = cluster

    async def inject(self, topic: str, fields: Fields) -> None:
        key = f"{{{self.guild_id}}}:t:{topic}"
        owner = self._cluster.owner_of(key_slot(key.encode()))
        async with redis.asyncio.Redis(port=owner.port) as stranger:
            await stranger.xadd(key, fields, nomkstream=True)


@contextlib.contextmanager
def running_acl_server(folder: Path) -> Iterator[AclServer]:
    acl_file = folder / "users.acl"
    (admin, _) = write_acl_file(acl_file, "first")
    with running_redis(folder, "--aclfile", str(acl_file)) as server:
        client = redis.Redis(port=server.port, username=admin.user, password=admin.password)
        with client:
            yield AclServer(server, acl_file, client)
