"""A small guild that lives through a bad day, and what has to be true in the evening.

Everything of the bus is real: replica, consumer loop, commits, settlement, retries, maintenance,
the memory store. The network, the clock and the moments of every crash come from the seed.
"""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from messaging.backend import DeadLetter
from messaging.bus import Bus
from messaging.errors import BackendUnavailableError
from messaging.handling.context import Context
from messaging.handling.failure_record import Reason
from messaging.handling.retry import RetryPolicy
from messaging.handling.subscription import Subscription, SubscriptionOptions
from messaging.state.state import State
from messaging.wire.message import Message, decode
from tests.reliability.simulation.loop import (
    NOBODY,
    Process,
    SimulatedLoop,
    current_process,
    simulate,
)
from tests.reliability.simulation.network import GIVE_UP_AFTER_S, Network, Wire
from tests.reliability.simulation.store import (
    HastyConsumer,
    SimulatedBackend,
    SimulatedConsumer,
    SimulatedServer,
    now,
)

LEASE_S = 2.0
ATTEMPTS = 8
BAD_DAY_S = 8.0
RECOVERED_S = 90.0
MANY = 5
LANES = 3
FAILURES = {"flaky": 2, "stepped": 1}
PARTITIONS = ((1,), (4,), (4,), (1, 4), (4, 2))  # the last two change it
KINDS = ("plain", "plain", "plain", "many", "flaky", "poison", "slow", "counted", "stepped")


class Job(Message):
    number: int
    kind: str
    lane: int


class Done(Message):
    number: int
    part: int = 0


class Total(Message):
    value: int = 0


@dataclass
class Plan:
    """How bad the day is."""

    inputs: int
    workers: int
    concurrency: int
    crashes: int
    freezes: int
    outages: int
    loss: float
    lateness: float
    is_ordered: bool = False
    partitions: tuple[int, ...] = (1,)  # what one worker after the other is told
    latency_s: float = 0.002
    ambushes: int = 0  # freezes of whoever is lent something next

    @classmethod
    def draw(cls, source: random.Random) -> "Plan":
        if source.random() < 0.1:  # a good day shows what order and counts are without faults
            return cls(30, 1, 1, 0, 0, 0, 0.0, 0.0)
        return cls(
            inputs=source.randint(10, 40),
            workers=source.randint(1, 3),
            concurrency=source.choice((1, 2, 8)),
            crashes=source.randint(0, 3),
            freezes=source.randint(0, 2),
            outages=source.choice((0, 0, 1)),
            loss=source.choice((0.0, 0.02, 0.1)),
            lateness=source.choice((0.0, 0.05)),
            is_ordered=source.random() < 0.4,
            partitions=source.choice(PARTITIONS),
            latency_s=source.choice((0.002, 0.002, 0.05)),
            ambushes=source.choice((0, 0, 1)),
        )

    @property
    def is_calm(self) -> bool:
        faults = self.crashes + self.freezes + self.ambushes + self.outages
        return not (faults or self.loss or self.lateness)


@dataclass
class Outcome:
    """What was seen at the end of the day."""

    plan: Plan
    jobs: list[Job]
    effects: list[Done]
    letters: list[DeadLetter]
    total: int
    owed: int
    left_over: list[str] = field(default_factory=list)
    lost_answers: int = 0
    zombies: int = 0
    crashes: int = 0
    fenced: int = 0
    steps: int = 0

    def problems(self) -> list[str]:
        """Every broken promise; empty when all were kept."""
        return [
            problem
            for check in (self._effects, self._letters, self._counted, self._order, self._leftovers)
            for problem in check()
        ]

    def _effects(self) -> list[str]:
        wanted = Counter(
            {(job.number, part): 1 for job in self.jobs for part in range(_parts_of(job.kind))}
        )
        seen = Counter((done.number, done.part) for done in self.effects)
        missing, extra = wanted - seen, seen - wanted
        return [f"missing: {dict(missing)}"] * bool(missing) + [f"extra: {dict(extra)}"] * bool(
            extra
        )

    def _letters(self) -> list[str]:
        wanted = sorted(job.number for job in self.jobs if job.kind == "poison")
        given_up = sorted(_job_in(letter).number for letter in self.letters)
        problems = [f"dead letters {given_up}, not {wanted}"] if given_up != wanted else []
        for letter in self.letters:
            numbers = [one.number for one in decode(Reason, letter.reason).attempts]
            if self.plan.is_calm and numbers != list(range(1, ATTEMPTS + 1)):
                problems.append(f"{_job_in(letter)} died after attempts {numbers}")
        return problems

    def _counted(self) -> list[str]:
        wanted = sum(job.kind == "counted" for job in self.jobs)
        return [f"counted {self.total} of {wanted}"] if self.total != wanted else []

    def _order(self) -> list[str]:
        if self.plan.is_ordered:
            lanes = [
                [done.number for done in self.effects if self.jobs[done.number].lane == lane]
                for lane in range(LANES)
            ]
        elif self.plan.is_calm and self.plan.workers == self.plan.concurrency == 1:
            lanes = [[d.number for d in self.effects if self.jobs[d.number].kind == "plain"]]
        else:
            return []
        return [f"out of order: {lane}" for lane in lanes if lane != sorted(lane)]

    def _leftovers(self) -> list[str]:
        return self.left_over + ([f"{self.owed} still owed"] if self.owed else [])


class World:
    """The server, the network and the processes of one run."""

    def __init__(self, seed: int, mutant: str) -> None:
        self.random = random.Random(seed)
        self.plan = Plan.draw(self.random)
        self.network = Network(
            self.random, self.plan.loss, self.plan.lateness, latency_s=self.plan.latency_s
        )
        self.server = SimulatedServer(without=mutant)
        self.server.lent = self._lent
        self.zombies = self.crashes = self._ambushes = 0
        self._is_evening = self._is_night = False
        self._consumer_class = HastyConsumer if mutant == "handling first" else SimulatedConsumer
        self._workers: dict[Process, Bus] = {}
        self._running: list[Process] = []
        self._paid: dict[int, int] = {}
        self._problems: list[str] = []
        self._starting: list[asyncio.Task[None]] = []

    async def live(self) -> Outcome:
        """The whole day."""
        loop = _loop()
        await self.server.backend.open()
        client = Process("client")
        jobs = [self._job(number) for number in range(self.plan.inputs)]
        for _ in range(self.plan.workers):
            self._start_worker()
        publishing = client.start(self._publish(client, jobs))
        await self._bad_day(loop)
        self.network.loss = self.network.lateness = 0.0
        await publishing
        left_over = await self._evening(loop)
        return Outcome(
            plan=self.plan,
            jobs=jobs,
            effects=self._effects(),
            letters=now(self.server.backend.dead_letters(max_count=1_000)),
            total=self._total(),
            owed=self._owed(),
            left_over=left_over,
            lost_answers=self.network.lost_answers,
            zombies=self.zombies,
            crashes=self.crashes,
            fenced=self.server.fenced,
            steps=loop.steps,
        )

    # -- processes -------------------------------------------------------------------------------

    def _start_worker(self) -> None:
        if self._is_night:
            return
        told = self.plan.partitions[len(self._workers) % len(self.plan.partitions)]
        process = Process(f"worker {len(self._workers) + 1}")
        bus = self._workers[process] = self._bus(process)
        self._starting.append(process.start(self._work(bus, self._subscription(told))))
        self._running.append(process)

    async def _work(self, bus: Bus, subscription: Subscription) -> None:
        async with asyncio.timeout(RECOVERED_S):
            while not await self._is_up(bus, subscription):  # noqa: ASYNC110 - a supervisor's pause
                await asyncio.sleep(0.5)

    async def _is_up(self, bus: Bus, subscription: Subscription) -> bool:
        try:
            await bus.open()
            await bus.subscribe(subscription)
        except BackendUnavailableError:
            return False
        return True

    def _bus(self, process: Process, give_up_after_s: float = GIVE_UP_AFTER_S) -> Bus:
        wire = Wire(process, self.network, give_up_after_s)
        backend: Any = SimulatedBackend(self.server, wire, self._consumer_class)
        return Bus(backend, name=process.name)

    def _subscription(self, partitions: int) -> Subscription:
        options = SubscriptionOptions(
            lease_s=LEASE_S,
            concurrency=self.plan.concurrency,
            drain_s=10.0,
            ordered_by="lane" if self.plan.is_ordered else "",
            partitions=partitions if self.plan.is_ordered else 1,
            retry=RetryPolicy(attempts=ATTEMPTS, backoff_s=0.1, factor=1.5, jitter=0.0),
        )
        return Subscription("team", ("jobs",), {Job: self._handle}, options)

    async def _publish(self, process: Process, jobs: list[Job]) -> None:
        await self.server.backend.subscribe("team", ("jobs", "inbox.team"))
        async with self._bus(process, give_up_after_s=RECOVERED_S) as bus:
            for job in jobs:
                await bus.publish("jobs", job)
                if self.random.random() < 0.5:
                    await asyncio.sleep(self.random.expovariate(8.0))

    def _job(self, number: int) -> Job:
        kind, lane = self.random.choice(KINDS), self.random.randrange(LANES)
        return Job(number=number, kind=kind, lane=lane)

    async def _handle(self, job: Job, context: Context) -> None:
        await asyncio.sleep(self.random.expovariate(100.0))
        if job.kind == "stepped":
            await context.step("pay", self._pay, job, context.attempt)
            self._paid.setdefault(job.number, context.attempt)
        if job.kind == "poison" or context.attempt <= FAILURES.get(job.kind, 0):
            raise ValueError(f"{job} fails")
        if job.kind == "slow":
            await asyncio.sleep(1.5 * LEASE_S)
        if job.kind == "counted":
            await _count(context.state)
        for part in range(_parts_of(job.kind)):
            context.send(Done(number=job.number, part=part), "done")

    async def _pay(self, job: Job, attempt: int) -> None:
        process = current_process()
        is_zombie = process is not None and process.was_stopped
        if self._paid.get(job.number, attempt) < attempt and not is_zombie:
            self._problems.append(f"attempt {attempt} at {job} repeated a finished step")

    # -- faults ----------------------------------------------------------------------------------

    async def _bad_day(self, loop: SimulatedLoop) -> None:
        faults: list[Callable[[SimulatedLoop], None]] = []
        faults += [self._crash] * self.plan.crashes + [self._freeze] * self.plan.freezes
        self.random.shuffle(faults)
        for fault in faults:
            if self.random.random() < 0.5:
                loop.call_later(self.random.uniform(0, BAD_DAY_S), fault, loop)
            else:
                loop.at_step(self.random.randint(50, 4_000), partial(fault, loop))
        for _ in range(self.plan.ambushes):
            loop.call_later(self.random.uniform(0, BAD_DAY_S), self._lie_in_wait)
        for _ in range(self.plan.outages):
            loop.call_later(self.random.uniform(0, BAD_DAY_S / 2), self._outage, loop)
        await asyncio.sleep(BAD_DAY_S + 3 * LEASE_S)

    def _crash(self, loop: SimulatedLoop) -> None:
        if self._running and not self._is_evening:
            process = self._running.pop(self.random.randrange(len(self._running)))
            process.is_stopped = process.is_dead = True
            self.crashes += 1
            loop.call_later(self.random.uniform(0, LEASE_S), self._start_worker)

    def _freeze(self, loop: SimulatedLoop) -> None:
        if self._running:
            self._stop(loop, self.random.choice(self._running))

    def _lie_in_wait(self) -> None:
        self._ambushes += 1

    def _lent(self, process: Process) -> None:
        if self._ambushes:
            self._ambushes -= 1
            self._stop(_loop(), process)

    def _stop(self, loop: SimulatedLoop, process: Process) -> None:
        if not self._is_evening and not process.is_stopped:
            process.is_stopped = process.was_stopped = True
            self.zombies += 1
            loop.call_later(3 * LEASE_S, self._wake, loop, process, context=NOBODY)

    def _wake(self, loop: SimulatedLoop, process: Process) -> None:
        if not process.is_dead:
            loop.resume(process)

    def _outage(self, loop: SimulatedLoop) -> None:
        self.network.is_down = True
        loop.call_later(self.random.uniform(0.5, 5.0), setattr, self.network, "is_down", False)

    # -- the evening -----------------------------------------------------------------------------

    async def _evening(self, loop: SimulatedLoop) -> list[str]:
        self._is_evening = True
        if not self._running:
            self._start_worker()
        give_up_at = loop.time() + RECOVERED_S
        while self._owed() and loop.time() < give_up_at:  # noqa: ASYNC110 - time costs nothing here
            await asyncio.sleep(0.25)
        self._is_night = True
        for process in self._workers:
            if process.is_dead:
                await _bury(loop, process)
        await asyncio.gather(*self._starting, return_exceptions=True)
        for process in self._running:
            await process.start(self._workers[process].close())
        leaked = [
            f"{process.name} leaks {task!r}"
            for process in self._workers
            for task in process.tasks
            if not task.done()
        ]
        return self._problems + leaked + loop.errors

    def _owed(self) -> int:
        topics = now(self.server.backend.topics())
        lent = sum(sum(t.waiting.values()) + sum(t.pending.values()) for t in topics)
        return lent + self.server.delayed()

    def _effects(self) -> list[Done]:
        tail = self.server.backend.tail({"done": ""}, max_count=10_000, wait_s=0)
        return [_done_in(entry.envelope.message) for entry in now(tail)]

    def _total(self) -> int:
        stored = now(self.server.backend.load_state("team", "total"))
        return Total.model_validate_json(stored.value).value if stored else 0


def run_seed(seed: int, mutant: str = "") -> Outcome:
    """One day under `seed`."""
    outcome, _ = simulate(lambda: World(seed, mutant).live(), seed)
    return outcome


def _loop() -> SimulatedLoop:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SimulatedLoop)
    return loop


async def _count(state: State) -> None:
    total = await state.load("total", Total)
    await state.save("total", Total(value=(total.value if total else 0) + 1))


async def _bury(loop: SimulatedLoop, process: Process) -> None:
    loop.resume(process)
    tasks = tuple(process.tasks)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _parts_of(kind: str) -> int:
    return {"many": MANY, "poison": 0}.get(kind, 1)


def _job_in(letter: DeadLetter) -> Job:
    assert isinstance(letter.envelope.message, Job)
    return letter.envelope.message


def _done_in(message: object) -> Done:
    assert isinstance(message, Done)
    return message
