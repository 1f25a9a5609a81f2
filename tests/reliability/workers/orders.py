"""What a worker process is told on its command line, and the messages it works on."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from messaging.wire.message import Message

GROUP = "workers"
INPUTS, OUTPUTS = "inputs", "outputs"
LEASE_S = 2.0
KEPT = 10_000_000
LANES = 40

BUS, PLAIN = "bus", "plain"

# Where a worker may be held, in the order in which it comes by.
AFTER_READ = "after read"
AFTER_TAKEOVER = "after a takeover"
IN_HANDLER = "in the handler"
BEFORE_COMMIT = "before the commit"
COMMIT_SENT = "after the commit was sent"
AFTER_COMMIT = "after the commit"

# What a worker writes, a line each; of incidents the event follows.
READY, HELD, STARVED, LEAVING, INCIDENT = "ready", "held", "starved", "leaving", "incident"
COUNTED, ENDLESS = "counted", "endless"
ENDED = "ended"  # the last line, by whoever started the worker; the exit code follows

TOTAL = "total"  # the key of the state that all inputs share


class Input(Message, wire_name="workers.input"):
    """Ask for one `Output`; `handler_fault` names what the handler does to its process first.

    Those of one lane come out in order where the orders ask for it.
    """

    number: int
    lane: int = 0
    handler_fault: str = ""


class NewerInput(Message, wire_name="workers.input", version=2):
    """As `Input`, which workers of the release before know instead."""

    number: int
    lane: int = 0
    handler_fault: str = ""
    reason: str = ""


@NewerInput.upcast(from_version=1)
def _without_reason(data: dict[str, Any]) -> dict[str, Any]:
    return data


class Output(Message, wire_name="workers.output"):
    number: int


class Total(BaseModel):
    """How many inputs were counted."""

    number: int = 0


class Orders(BaseModel):
    """How one worker is to work.

    Attributes:
        kind: `bus`, a mutant of tests/reliability/workers/mutants.py, or `plain`, see plain.py.
        hold_at: the hold point at which it stops itself; somebody else kills it or lets it go on.
        hold_on: at which of its arrivals there.
        blocks: it blocks its event loop for three leases there instead, and then goes on.
        fails_every: which inputs fail at the first attempt; 0 for none.
        drain_s: for how long handlers may finish at a SIGTERM.
        backoff_s: for how long an input rests that failed.
        attempts: how many handlings condemn an input; so many kills shall not.
        is_newer: it knows `NewerInput`, and brings `Input` up to it.
        partitions: among which inputs are shared out, in order by lane; 0 keeps no order.
    """

    model_config = ConfigDict(frozen=True)

    url: str
    guild_id: str
    kind: str = BUS
    lease_s: float = LEASE_S
    hold_at: str = ""
    hold_on: int = 3
    blocks: bool = False
    fails_every: int = 100
    concurrency: int = 16
    prefetch: int = 512
    drain_s: float = 5.0
    backoff_s: float = 0.0
    attempts: int = 200
    partitions: int = 0
    is_newer: bool = False


def lane_of(number: int) -> int:
    return number % LANES
