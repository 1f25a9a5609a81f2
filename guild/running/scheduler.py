"""Fires the schedules of a guild: each time once, however many processes run it.

All of them are replicas of one group with a durable inbox. For each schedule the group's state
says when it fires next and which tick, a delayed message to the inbox, will do it. Publishing,
storing the next time and sending the next tick are one commit. A tick that the state does not
know, because its schedule was changed, was removed or had gone astray, does nothing.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import BaseModel

from guild.spec.recurrence import next_cron, next_interval
from guild.spec.spec import ScheduleSpec
from messaging.bus import Bus
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.handling.subscription import Handler, Subscription, SubscriptionOptions
from messaging.process.clock import Clock
from messaging.process.logs import get_logger
from messaging.wire.message import Message, MessageRegistry
from messaging.wire.topic import inbox_of

if TYPE_CHECKING:  # commands want to know its name, and nothing of what handles
    from messaging.consuming.replica import Running

log = get_logger()

GROUP = "guild.scheduler"
LATE_S = 60.0
DRAIN_S = 1.0  # its handlers only read and write state: they are done, or wait for a server

_INBOX = inbox_of(GROUP)
_INDEX = "schedules"


class SchedulesLoaded(Message, wire_name="guild.schedules_loaded"):
    """A process has begun to run the guild with these schedules."""

    schedules: tuple[ScheduleSpec, ...]


class Tick(Message, wire_name="guild.schedule_tick"):
    """It is time for a schedule."""

    schedule: str


class Armed(BaseModel):
    """A schedule that will fire at `due`, unix seconds, with the tick of this id."""

    schedule: ScheduleSpec
    due: float
    tick: str


class Known(BaseModel):
    """Ids of the schedules that are armed."""

    ids: tuple[str, ...] = ()


async def run_schedules(
    bus: Bus, schedules: Sequence[ScheduleSpec], messages: MessageRegistry, *, lease_s: float = 12.0
) -> "Running | None":
    """Run `schedules` here as well, from now on instead of any others; None if there never were."""
    if not schedules and GROUP not in await bus.groups():
        return None
    running = await bus.subscribe(Scheduler(messages, bus.clock).subscription(lease_s))
    try:
        await bus.publish(_INBOX, SchedulesLoaded(schedules=tuple(schedules)))
    except BaseException:
        await running.drain()
        raise
    return running


class Scheduler:
    """The handlers of the group.

    Args:
        messages: the classes that schedules may name.
        clock: what time it is.
    """

    def __init__(self, messages: MessageRegistry, clock: Clock) -> None:
        self._messages = messages
        self._clock = clock

    def subscription(self, lease_s: float) -> Subscription:
        handlers: dict[type[BaseModel], Handler] = {SchedulesLoaded: self.load, Tick: self.fire}
        # A schedule must outlast whatever is wrong for a while.
        retry = RetryPolicy(attempts=255, max_backoff_s=60.0)
        options = SubscriptionOptions(concurrency=4, retry=retry, lease_s=lease_s, drain_s=DRAIN_S)
        return Subscription(GROUP, (), handlers, options)

    async def load(self, loaded: SchedulesLoaded, ctx: Context) -> None:
        """Arm what is new, changed or long overdue, and forget what is not there any more."""
        wanted, now = {schedule.id for schedule in loaded.schedules}, self._clock.time()
        known = await ctx.state.load(_INDEX, Known) or Known()
        for gone in set(known.ids) - wanted:
            await ctx.state.delete(_key(gone))
        if set(known.ids) != wanted:
            await ctx.state.save(_INDEX, Known(ids=tuple(sorted(wanted))))
        for schedule in loaded.schedules:
            armed = await ctx.state.load(_key(schedule.id), Armed)
            if armed is None or armed.schedule != schedule:
                await self._arm(ctx, schedule, _next_time(schedule, now, now))
            elif armed.due < now - LATE_S:  # its tick is late, or lost
                await self._arm(ctx, schedule, armed.due)

    async def fire(self, tick: Tick, ctx: Context) -> None:
        """Publish what is due and arm the schedule for its next time."""
        armed = await ctx.state.load(_key(tick.schedule), Armed)
        if armed is None or armed.tick != ctx.message_id:
            return
        schedule, now = armed.schedule, self._clock.time()
        if schedule.missed == "once" or not _is_missed(armed, now):
            ctx.send(self._message(schedule), schedule.topic, reply_to="", detached=True)
        else:
            log.warning("schedule.skipped", schedule=schedule.id, late_s=round(now - armed.due))
        await self._arm(ctx, schedule, _next_time(schedule, armed.due, max(now, armed.due)))

    async def _arm(self, ctx: Context, schedule: ScheduleSpec, due: float) -> None:
        tick = ctx.send(
            Tick(schedule=schedule.id),
            _INBOX,
            delay_s=max(0.0, due - self._clock.time()),
            reply_to="",
            detached=True,
        )
        await ctx.state.save(_key(schedule.id), Armed(schedule=schedule, due=due, tick=tick))

    def _message(self, schedule: ScheduleSpec) -> BaseModel:
        message_class = self._messages.find(schedule.message)
        if message_class is None:
            raise LookupError(f"schedule {schedule.id!r}: no message {schedule.message!r} is known")
        return message_class.model_validate_json(json.dumps(schedule.data))


def _next_time(schedule: ScheduleSpec, due: float, after: float) -> float:
    if schedule.cron is not None:
        return next_cron(schedule.cron, schedule.timezone, after)
    assert schedule.every_s is not None
    return next_interval(schedule.every_s, due, after)


def _is_missed(armed: Armed, now: float) -> bool:
    return now - armed.due > LATE_S or _next_time(armed.schedule, armed.due, armed.due) <= now


def _key(schedule_id: str) -> str:
    return f"schedule.{schedule_id}"
