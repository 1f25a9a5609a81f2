"""The node of a Redis Cluster that has a guild's slot, asked for before each connection.

    redis+cluster://user:password@host:6379,host2:6379

Every key of a guild has the same slot, so one node holds all of it, and one guild needs no more
connections than on a server of its own; different guilds are spread over the nodes. When the slot
moves or its node fails over, the connection is dropped (MOVED, READONLY), the new owner is found,
and what was unanswered goes out again in order. While a slot is on its way (ASK, TRYAGAIN) and
while the cluster has no owner for it (CLUSTERDOWN) everything waits, up to `give_up_after_s`.
A failover loses what the old node had accepted and not replicated yet, as with Sentinel.
"""

from binascii import crc_hqx
from typing import Any

import hiredis

from messaging.backends.redis.connection.endpoint import DEFAULT_PORT, Endpoint
from messaging.backends.redis.connection.many_hosts import Host, ManyHosts
from messaging.backends.redis.connection.probe import ask
from messaging.backends.redis.keys import Keys
from messaging.errors import BackendError, BackendSetupError, BackendUnavailableError

SLOTS = 16_384
_UNKNOWN_HOSTS = (b"", b"?", None)


class ClusterAddress:
    """Whichever node has the slot of a guild."""

    def __init__(self, url: str, guild_id: str) -> None:
        """Raises BackendSetupError: a database other than 0, or what `endpoint_of` refuses."""
        self._site = ManyHosts(url, DEFAULT_PORT)
        self.url = self._site.url
        if self._site.path not in ((), ("0",)) or self._site.parameters.get("db", "0") != "0":
            raise BackendSetupError(f"{self.url}: a cluster has no databases but 0")
        self.slot = slot_of(Keys(guild_id).prefix)
        self._hosts = list(self._site.hosts)
        self._site.endpoint(self._hosts[0])  # what it refuses, it refuses now

    async def resolve(self) -> Endpoint:
        """The node that has the slot now.

        Raises:
            BackendUnavailableError: no node answers, or nobody has the slot at this moment.
            BackendSetupError: these are nodes of no cluster, or none lets us in.
        """
        failures: list[BackendError] = []
        for host in tuple(self._hosts):
            try:
                owner, others = await self._owner_by(host)
            except BackendError as error:
                failures.append(error)
                continue
            known = [host, *others, *self._site.hosts]  # who answered is asked first the next time
            self._hosts = list(dict.fromkeys(known))
            return self._site.endpoint(owner)
        told = "; ".join(map(str, failures))
        if all(isinstance(error, BackendSetupError) for error in failures):
            raise BackendSetupError(told)
        raise BackendUnavailableError(f"nobody in {self.url} has slot {self.slot} now: {told}")

    async def _owner_by(self, host: Host) -> tuple[Host, list[Host]]:
        endpoint = self._site.endpoint(host)
        try:
            ranges = await ask(endpoint, "CLUSTER", "SLOTS")
        except hiredis.ReplyError as error:
            raise BackendSetupError(
                f"{endpoint.url} is no node of a cluster ({error}); use redis:// for one server"
            ) from error
        owner = next((r[2] for r in ranges if r[0] <= self.slot <= r[1]), None)
        if owner is None:
            raise BackendUnavailableError(f"{endpoint.url} knows no owner of slot {self.slot}")
        others = [_host_of(node, host) for found in ranges for node in found[2:]]
        return _host_of(owner, host), others


def slot_of(key: bytes) -> int:
    """The slot of a key: that of what stands in its first braces, if anything does."""
    start = key.find(b"{")
    end = key.find(b"}", start + 1)
    tag = key[start + 1 : end] if start >= 0 and end > start + 1 else key
    return crc_hqx(tag, 0) % SLOTS


def _host_of(node: list[Any], asked: Host) -> Host:
    name, port = node[0], int(node[1])
    return Host(asked.name if name in _UNKNOWN_HOSTS else name.decode(), port)
