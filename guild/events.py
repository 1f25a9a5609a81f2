"""What happens to a guild, as messages on `guild.events` for whoever watches."""

from messaging.client.dead_letters import DeadLetterDropped
from messaging.wire.message import Message


class GuildStarted(Message, wire_name="guild.started"):
    """These agents were started here; those in `failing` crashed at once and are tried again."""

    guild: str
    agents: tuple[str, ...]
    failing: tuple[str, ...] = ()


class GuildStopped(Message, wire_name="guild.stopped"):
    """This process runs the guild no more; what it held was given back."""

    guild: str


class GuildDegraded(Message, wire_name="guild.degraded"):
    """An agent is down for good, the others go on."""

    guild: str
    agent: str
    reason: str


class AgentCrashed(Message, wire_name="guild.agent_crashed"):
    """An agent, not merely a message, failed; it is started again after `wait_s`."""

    agent: str
    replica: int
    error: str
    wait_s: float


class AgentRestarted(Message, wire_name="guild.agent_restarted"):
    """An agent works again after a crash.

    Attributes:
        restarts: how often it was started again so far.
    """

    agent: str
    replica: int
    restarts: int


class AgentFailed(Message, wire_name="guild.agent_failed"):
    """An agent stays down: a crash loop, or a policy that does not restart it."""

    agent: str
    replica: int
    error: str
    restarts: int


class DeadLettered(Message, wire_name="guild.dead_lettered"):
    """A message was given up; it can be shown and requeued."""

    text: str
    agent: str = ""
    message_id: str = ""


class TakenOver(Message, wire_name="guild.taken_over"):
    """A silent process lost its messages to another one."""

    text: str


class BusIncident(Message, wire_name="guild.bus_incident"):
    """Anything else about the bus that an operator must hear of."""

    event: str
    text: str


class OperatorActed(Message, wire_name="guild.operated"):
    """An operator has done something to the guild.

    Attributes:
        act: `pause`, `resume`, `drain`, `cancel`, `replay`, `forget`, `requeue` or `drop`; other
            acts may come.
        target: id of the agent, message or dead letter; "" for all that `detail` describes.
        by: name of the token or of the user, or of the bus.
        detail: the reason that was given, or what it came to.
    """

    act: str
    target: str
    by: str
    detail: str = ""


EVENTS = (
    DeadLetterDropped,
    GuildStarted,
    GuildStopped,
    GuildDegraded,
    AgentCrashed,
    AgentRestarted,
    AgentFailed,
    DeadLettered,
    TakenOver,
    BusIncident,
    OperatorActed,
)
