"""Agents for the command line to talk to."""

import asyncio

from guild import Agent, Context, handles
from guild.progress import Progress, TextDelta
from messaging import Message


class Work(Message, wire_name="crew.work"):
    """Ask for some work; `is_endless` work only ends when it is cancelled."""

    is_endless: bool = False
    count: int = 1


class Worked(Message, wire_name="crew.worked"):
    count: int


class Half(Message, wire_name="crew.half"):
    """What is there so far."""

    count: int


class Break(Message, wire_name="crew.break"):
    why: str


class Told(Message, wire_name="crew.told"):
    count: int


class Missing(Message, wire_name="crew.missing"): ...


class Worker(Agent):
    """Works, or breaks."""

    @handles(emits=[Progress, TextDelta, Half])
    async def work(self, request: Work, ctx: Context) -> Worked:
        ctx.emit(Progress(task="working", done=1, total=2, text="[half] way"))
        ctx.emit(TextDelta(text="a word\nand another\n"))
        ctx.emit(Half(count=request.count // 2))
        if request.is_endless:
            await asyncio.Event().wait()
        return Worked(count=request.count)

    @handles
    async def fail(self, request: Break) -> Worked:
        raise RuntimeError(f"broken: {request.why}")

    @handles
    async def listen(self, told: Told) -> None: ...


class Needy(Agent):
    """Cannot start anywhere."""

    extra = "torch"
    requires = ("no_such_package",)

    @handles
    async def take(self, request: Missing) -> Worked:
        return Worked(count=0)


class Crasher(Worker):
    """Never gets as far as working."""

    async def start(self) -> None:
        raise RuntimeError("cannot start")
