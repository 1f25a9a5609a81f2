"""The primary that Redis Sentinel names now, asked for before each connection.

    sentinel://user:password@host:26379,host2:26379/mymaster/0?sentinel_password=…

User, password and database are those of the server; Sentinel's own, where it has any, come as
`sentinel_username` and `sentinel_password`. `rediss+sentinel://` means TLS to both.

A failover to a replica loses what the old primary had accepted and not replicated yet, usually
the last milliseconds: those messages are missing with everything that followed from them. Whatever
is there is a consistent earlier point, so that no effect comes twice. `min-replicas-to-write 1` on
the servers keeps a primary that is cut off from accepting more. An operation waits for a new
primary up to `give_up_after_s`, which should be more than `down-after-milliseconds` of Sentinel.
"""

import hiredis

from messaging.backends.redis.connection.endpoint import Endpoint
from messaging.backends.redis.connection.many_hosts import Host, ManyHosts
from messaging.backends.redis.connection.probe import ask
from messaging.errors import BackendError, BackendSetupError, BackendUnavailableError
from messaging.process.logs import get_logger

DEFAULT_SENTINEL_PORT = 26379

PARAMETERS = frozenset({"sentinel_username", "sentinel_password"})

log = get_logger()


class SentinelAddress:
    """Whichever server Sentinel calls the primary of a name."""

    def __init__(self, url: str) -> None:
        """Raises BackendSetupError: no name of a primary, or what `endpoint_of` refuses."""
        self._site = ManyHosts(url, DEFAULT_SENTINEL_PORT)
        self.url = self._site.url
        if not self._site.path:
            raise BackendSetupError(f"{self.url} names no primary: sentinel://host:26379/mymaster")
        self._name, *rest = self._site.path
        self._database = rest[0] if rest else "0"
        user, password = (self._site.take(f"sentinel_{what}") for what in ("username", "password"))
        self._sentinels = [
            self._site.endpoint_as(host, user, password) for host in self._site.hosts
        ]
        self._site.endpoint(self._site.hosts[0], self._database)  # what it refuses, it refuses now

    async def resolve(self) -> Endpoint:
        """The primary now.

        Raises:
            BackendUnavailableError: no Sentinel answers, or there is no primary at this moment.
            BackendSetupError: no Sentinel knows the name, or none lets us in.
        """
        failures: list[BackendError] = []
        for sentinel in tuple(self._sentinels):
            try:
                primary = await self._primary_by(sentinel)
            except BackendError as error:
                failures.append(error)
                continue
            self._sentinels.remove(sentinel)
            self._sentinels.insert(0, sentinel)  # who answered is asked first the next time
            return primary
        told = "; ".join(map(str, failures))
        if all(isinstance(error, BackendSetupError) for error in failures):
            raise BackendSetupError(told)
        raise BackendUnavailableError(
            f"Sentinel of {self.url} names no primary now: {told}. While it fails over this takes "
            "some seconds, so try again; else start what does not answer"
        )

    async def _primary_by(self, sentinel: Endpoint) -> Endpoint:
        try:
            answer = await ask(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._name)
        except hiredis.ReplyError as error:
            raise BackendSetupError(f"{sentinel.url} is no Sentinel: {error}") from error
        if answer is None:
            raise BackendSetupError(f"{sentinel.url} watches no primary named {self._name}")
        found = Host(answer[0].decode(), int(answer[1]))
        primary = self._site.endpoint(found, self._database)
        await _check_role(primary)
        return primary


async def _check_role(primary: Endpoint) -> None:
    """Sentinel names a new primary a moment before it is one, and an old one a while after."""
    try:
        info = await ask(primary, "INFO", "replication")
    except hiredis.ReplyError as error:
        log.debug("bus.role_unknown", reason=str(error))  # may not ask; a write will tell
        return
    if b"role:master" not in info:
        raise BackendUnavailableError(f"{primary.url} is not the primary yet")
