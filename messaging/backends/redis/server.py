"""The connections of one guild to its server, and the calls that everything else is made of."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import hiredis

from messaging.backend import Incident
from messaging.backends.redis.connection.connection import FIRST_PAUSE_S, Address, Connection
from messaging.backends.redis.connection.error_replies import code_of
from messaging.backends.redis.connection.pipeline import (
    Argument,
    ConnectionLostError,
    Pipeline,
    pack,
    pack_script,
)
from messaging.backends.redis.connection.replication import Replication
from messaging.backends.redis.keys import Keys
from messaging.backends.redis.scripts import Script, Scripts
from messaging.errors import BackendSetupError

ONE_LOSS_S = 10.0  # within that, what several consumers notice is one loss


class Options(NamedTuple):
    """Limits of a Redis backend.

    Attributes:
        profile: what a crash may cost. `ephemeral`: everything; `standard`: nothing, and power
            loss, or a crash of the server while its disk is behind with the sync of each second,
            the last second or two; `durable`: not even those. A server that cannot keep it is
            refused; None takes what there is.
        replicas: how many have to confirm each write under `durable`; None for those that are
            connected at the start.
        replication_timeout_s: how long they have for it; then publishers get
            `NotReplicatedError` and operators an incident.
        give_up_after_s: how long an operation waits for a server that is away.
        reply_timeout_s: a connection that owes an answer and is silent so long is replaced.
        max_backlog: entries that a topic holds at most; then publishers get `BusFullError`.
        soft_backlog: from so many on publishers wait for agents to catch up; None for three
            quarters of `max_backlog`.
        soft_wait_s: how long each of them waits at most.
        max_envelope_bytes: header and payload of one envelope together, as it was published; also
            a value of an agent's state.
        max_commit_bytes: what one commit sends and writes; the server serves nothing else while it
            takes it. Commits of several handlings are kept far below.
        max_dead_letters: the oldest go, with an incident, when there are more.
        keep_settled_s: for how long trimming leaves what everybody has settled, to be replayed; a
            topic at one of its limits is trimmed all the same.
        keep_unclaimed: entries that trimming leaves in a topic without subscribers.
    """

    profile: str | None = None
    replicas: int | None = None
    replication_timeout_s: float = 1.0
    give_up_after_s: float = 30.0
    reply_timeout_s: float = 5.0
    max_backlog: int = 1_000_000
    soft_backlog: int | None = None
    soft_wait_s: float = 1.0
    max_envelope_bytes: int = 4 * 1024 * 1024
    max_commit_bytes: int = 32 * 1024 * 1024
    max_dead_letters: int = 100_000
    keep_settled_s: float = 0.0
    keep_unclaimed: int = 1_000


class Server:
    """What one process and one guild share: a connection, the scripts, the incidents."""

    def __init__(
        self,
        address: Address,
        guild_id: str,
        options: Options,
        listeners: list[Callable[[Incident], None]],
    ) -> None:
        self.keys = Keys(guild_id)
        self.options = options
        self.scripts = Scripts()
        self.address = address
        self.connection = Connection(
            address,
            give_up_after_s=options.give_up_after_s,
            reply_timeout_s=options.reply_timeout_s,
            on_back=self._back,
            announce=self.announce,
        )
        self._side = Connection(
            address,
            give_up_after_s=options.give_up_after_s,
            reply_timeout_s=options.reply_timeout_s,
        )
        self.replication: Replication | None = None
        self.on_back: list[Callable[[Pipeline], Awaitable[None]]] = []
        self._listeners = listeners
        self._commits_lost_at_s = -ONE_LOSS_S

    def announce(self, event: str, text: str) -> None:
        """Tell every listener; the bus writes what it hears to the log."""
        for listener in self._listeners:
            listener(Incident(event, text))

    def announce_commits_lost(self, group: str) -> None:
        """Told of the first group only: whatever the server came back with, it is the same."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._commits_lost_at_s < ONE_LOSS_S:
            return
        self._commits_lost_at_s = now_s
        self.announce(
            "bus.commits_lost",
            f"the server has forgotten what it lent to {group} or what {group} had committed, and "
            "perhaps that of other agents (a backup, a failover to a replica that lagged, or a "
            "file cut short); what it still has is handled again, and messages and state of the "
            "time since then may be missing",
        )

    async def load_scripts(self, *, with_shebang: bool) -> None:
        self.scripts = Scripts(with_shebang=with_shebang)
        await self._load_missing(self.connection.call)

    async def run(
        self,
        script: Script,
        keys: Sequence[bytes],
        *arguments: Argument,
        give_up_at: float | None = None,
        again: Script | None = None,
        generation: int = 0,
        only_in: int | None = None,
        touches: Sequence[bytes] = (),
        is_urgent: bool = False,
    ) -> Any:
        """What `script` answers; it must be harmless to repeat, and is repeated if need be.

        On any other connection than that of `generation`, `again` takes the place of `script`. With
        `only_in` it is repeated on no other connection than that one.
        What it `touches` besides `keys` is looked at when a key holds what does not belong there.
        If it `is_urgent`, it does not wait behind a long message that is on its way, but goes by a
        connection of its own.

        Raises:
            BackendUnavailableError, BackendSetupError, BusFullError, BusClosedError
            ConnectionLostError: `only_in`, and that connection is gone.
        """
        packed = pack_script(script, keys, arguments)
        give_up_at = self.connection.deadline() if give_up_at is None else give_up_at
        pause_s = FIRST_PAUSE_S
        while True:
            connection = self._quickest() if is_urgent else self.connection
            pipeline = await connection.connected(give_up_at)
            if only_in is not None and self.connection.generation != only_in:
                raise ConnectionLostError("the connection is another one by now")
            if again is not None and self.connection.generation != generation:
                script, again = again, None
                packed = pack_script(script, keys, arguments)
            try:
                sent = pipeline.send(packed)
                pipeline.flush()
                reply = await sent
            except ConnectionLostError:
                continue
            except hiredis.ReplyError as error:
                if code_of(error) == "NOSCRIPT":
                    await connection.call("SCRIPT", "LOAD", script.text)
                else:
                    touched = (*keys, *touches)
                    pause_s = await connection.wait_out(
                        error, pause_s, give_up_at, pipeline, touched
                    )
            else:
                if pause_s != FIRST_PAUSE_S:
                    connection.taken()
                return reply

    async def close(self) -> None:
        await self._side.close()
        await self.connection.close()

    async def _load_missing(self, call: Callable[..., Awaitable[Any]]) -> None:
        """Load what the server lacks, and nothing else: Redis 6 writes each load to its file."""
        texts = {script.sha: script.text for script in self.scripts.all()}
        try:
            has = await call("SCRIPT", "EXISTS", *texts)
        except (BackendSetupError, hiredis.ReplyError) as error:
            if "NOPERM" not in str(error):
                raise
            has = [0] * len(texts)  # the user's rights were written before EXISTS was among them
        loads = [
            call("SCRIPT", "LOAD", text)
            for text, is_there in zip(texts.values(), has, strict=True)
            if not is_there
        ]
        await asyncio.gather(*loads)

    def _quickest(self) -> Connection:
        """The side connection, if there is one by now, while the other one is crowded."""
        pipeline = self.connection.current()
        if pipeline is None or not pipeline.is_crowded:
            return self.connection
        self._side.open_soon()
        return self.connection if self._side.current() is None else self._side

    async def _back(self, pipeline: Pipeline) -> None:
        """After a reconnection: the server may be another one, and lack the scripts."""
        await self._load_missing(lambda *command: pipeline.send(pack(command)))
        for look in self.on_back:
            await look(pipeline)
        self.announce("bus.reconnected", "the connection to the server was lost and is back")


def to_json(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
