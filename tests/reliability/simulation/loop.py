"""An event loop without a clock, sockets or threads: the seed alone decides what happens when.

Time jumps to the next timer as soon as nobody is ready. Whoever is ready at the same time runs in
an order drawn from the seed. Everything that a simulated process does carries that process in its
context, so a process can be stopped as SIGSTOP would, at whatever await it has come to.
"""

import asyncio
import contextvars
import heapq
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

NOBODY = contextvars.Context()
"""The context of the network: it goes on whoever is stopped."""


class Process:
    """What belongs together and stops together.

    Attributes:
        is_stopped: nothing of it runs, until it is resumed.
        was_stopped: it may go on with what others have finished since.
        is_dead: whatever it still asks of the network is not sent.
        tasks: those that were started here and have not ended.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_stopped = self.was_stopped = False
        self.is_dead = False
        self.tasks: dict[asyncio.Task[Any], None] = {}  # in order, as a set is not
        self._context = contextvars.Context()
        self._context.run(_process.set, self)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run `work` as a part of this process."""
        loop = asyncio.get_running_loop()
        return self._context.copy().run(loop.create_task, work)


_process: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)


def current_process() -> Process | None:
    return _process.get()


class DeadlockError(Exception):
    """Everybody waits, and no timer is set."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """See the top of this file.

    Attributes:
        steps: callbacks run so far; with the seed it names a moment.
        errors: what asyncio would have logged: exceptions that nobody looked at.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.steps = 0
        self.errors: list[str] = []
        self._now_s = 0.0
        self._random = random.Random(seed)
        self._parked: list[asyncio.Handle] = []
        self._moments: list[tuple[int, int, Callable[[], None]]] = []
        self.set_task_factory(_task_in_its_process)
        self.set_exception_handler(lambda _, details: self.errors.append(str(details)))

    def time(self) -> float:
        return self._now_s

    def at_step(self, steps: int, action: Callable[[], None]) -> None:
        """Call `action` between two callbacks: at some await of somebody."""
        heapq.heappush(self._moments, (steps, len(self._moments), action))

    def resume(self, process: Process) -> None:
        process.is_stopped = False
        ours = [handle for handle in self._parked if _process_of(handle) is process]
        self._parked = [handle for handle in self._parked if _process_of(handle) is not process]
        self._ready.extend(ours)

    def _run_once(self) -> None:
        scheduled = self._scheduled
        while scheduled and scheduled[0].cancelled():
            heapq.heappop(scheduled)._scheduled = False
        if not self._ready and not self._stopping:
            if not scheduled:
                raise DeadlockError(f"nobody is ready and nothing is scheduled at {self._now_s} s")
            self._now_s = max(self._now_s, scheduled[0].when())
        while scheduled and scheduled[0].when() <= self._now_s:
            due = heapq.heappop(scheduled)
            due._scheduled = False
            self._ready.append(due)
        ready = list(self._ready)
        self._ready.clear()
        self._random.shuffle(ready)
        for handle in ready:
            self._run(handle)

    def _run(self, handle: asyncio.Handle) -> None:
        if handle.cancelled():
            return
        process = _process_of(handle)
        if process is not None and process.is_stopped:
            self._parked.append(handle)
            return
        self.steps += 1
        handle._run()
        while self._moments and self._moments[0][0] <= self.steps:
            heapq.heappop(self._moments)[2]()


def simulate(main: Callable[[], Coroutine[Any, Any, T]], seed: int) -> tuple[T, SimulatedLoop]:
    """What `main` returns on a loop of its own, and that loop as it was left."""
    loop = SimulatedLoop(seed)
    try:
        return loop.run_until_complete(main()), loop
    finally:
        loop.close()


def _process_of(handle: asyncio.Handle) -> Process | None:
    return handle._context.get(_process)


def _task_in_its_process(
    loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T], **options: Any
) -> asyncio.Task[T]:
    task = asyncio.Task(work, loop=loop, **options)
    process = _process.get()
    if process is not None:
        process.tasks[task] = None
        task.add_done_callback(process.tasks.pop)
    return task
