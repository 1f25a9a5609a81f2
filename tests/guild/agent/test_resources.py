"""Shared resources: opened once and lazily, closed in reverse, tried again after a failure."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from pydantic import BaseModel

from guild.agent.resources import ResourcePool, ResourceScope, properties_class_of
from guild.errors import ResourceError


class Shelf:
    """Makes resources and remembers what happened to them."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None

    @asynccontextmanager
    async def _open(self, name: str) -> AsyncIterator[object]:
        self.log.append(f"opening {name}")
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        task = asyncio.current_task()
        yield object()
        assert asyncio.current_task() is task, "left in another task than it was entered in"
        self.log.append(f"closed {name}")

    def opener(self, name: str) -> AbstractAsyncContextManager[object]:
        return self._open(name)


@pytest.fixture
def shelf() -> Shelf:
    return Shelf()


@pytest.fixture
def pool(shelf: Shelf) -> ResourcePool:
    return ResourcePool({name: lambda name=name: shelf.opener(name) for name in "abc"})  # type: ignore[misc] # bound early


async def test_nothing_is_opened_before_it_is_needed(shelf: Shelf, pool: ResourcePool) -> None:
    assert shelf.log == []
    await pool.acquire("b")
    assert pool.opened == ("b",)


async def test_however_many_ask_at_once_it_is_opened_once(shelf: Shelf, pool: ResourcePool) -> None:
    shelf.gate.clear()
    asking = [asyncio.create_task(pool.acquire("a")) for _ in range(20)]
    await asyncio.sleep(0)
    shelf.gate.set()

    first, *others = await asyncio.gather(*asking)

    assert all(other is first for other in others)
    assert shelf.log == ["opening a"]


async def test_it_is_closed_with_its_last_user(shelf: Shelf, pool: ResourcePool) -> None:
    await pool.acquire("a")
    await pool.acquire("a")

    await pool.release("a")
    assert shelf.log == ["opening a"]
    await pool.release("a")
    assert shelf.log == ["opening a", "closed a"]


async def test_all_are_closed_in_reverse_order_of_opening(shelf: Shelf, pool: ResourcePool) -> None:
    for name in ("b", "a", "c", "a"):
        await pool.acquire(name)

    await pool.close()

    assert shelf.log[3:] == ["closed c", "closed a", "closed b"]
    with pytest.raises(ResourceError, match="the guild is closing"):
        await pool.acquire("a")


async def test_a_failure_is_typed_and_the_next_use_tries_again(
    shelf: Shelf, pool: ResourcePool
) -> None:
    shelf.error = OSError("no disc")
    results = await asyncio.gather(pool.acquire("a"), pool.acquire("a"), return_exceptions=True)
    assert [str(result) for result in results] == [
        "resource 'a': could not be opened: OSError: no disc"
    ] * 2
    assert isinstance(results[0], ResourceError)
    assert isinstance(results[0].__cause__, OSError)

    shelf.error = None
    assert await pool.acquire("a")


async def test_an_opener_that_fails_at_once_is_a_failure_too() -> None:
    def broken() -> AbstractAsyncContextManager[object]:
        raise KeyError("x")

    with pytest.raises(ResourceError, match="KeyError"):
        await ResourcePool({"a": broken}).acquire("a")


async def test_one_who_gives_up_waiting_does_not_stop_the_others(
    shelf: Shelf, pool: ResourcePool
) -> None:
    shelf.gate.clear()
    impatient = asyncio.create_task(pool.acquire("a"))
    patient = asyncio.create_task(pool.acquire("a"))
    await asyncio.sleep(0)
    impatient.cancel()
    await asyncio.wait([impatient])
    shelf.gate.set()

    assert await patient
    await pool.release("a")
    assert shelf.log[-1] == "closed a"


async def test_closing_breaks_off_an_opening(shelf: Shelf, pool: ResourcePool) -> None:
    shelf.gate.clear()
    asking = asyncio.create_task(pool.acquire("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    await pool.close()

    with pytest.raises(ResourceError, match="closed while it was opened"):
        await asking


async def test_an_unknown_name_is_told_with_a_better_one() -> None:
    with pytest.raises(ResourceError, match="did you mean 'store'"):
        await ResourcePool({"store": NotImplemented}).acquire("stor")


async def test_a_scope_holds_each_resource_once_and_gives_all_back(
    shelf: Shelf, pool: ResourcePool
) -> None:
    scope = ResourceScope(pool, {"disc": "a"})

    assert await scope.get("disc") is await scope.get("a")
    await scope.get("b")
    await scope.close()

    assert shelf.log == ["opening a", "opening b", "closed b", "closed a"]


async def test_a_scope_tries_again_after_a_failure(shelf: Shelf, pool: ResourcePool) -> None:
    scope = ResourceScope(pool)
    shelf.error = OSError("no disc")
    with pytest.raises(ResourceError):
        await scope.get("a")
    shelf.error = None

    assert await scope.get("a")
    await scope.close()


async def test_an_error_while_closing_does_not_stop_the_others(shelf: Shelf) -> None:
    @asynccontextmanager
    async def sticky() -> AsyncIterator[None]:
        yield
        raise OSError("sticks")

    pool = ResourcePool({"a": lambda: shelf.opener("a"), "b": sticky})
    await pool.acquire("a")
    await pool.acquire("b")

    await pool.close()

    assert shelf.log == ["opening a", "closed a"]


async def close_slowly(error: Exception | None = None) -> None:
    """A resource that is being closed, and whose process is told to end meanwhile."""
    closing = asyncio.Event()

    @asynccontextmanager
    async def slow() -> AsyncIterator[None]:
        yield
        closing.set()
        try:
            await asyncio.Event().wait()
        finally:
            if error is not None:
                raise error

    pool = ResourcePool({"a": slow})
    await pool.acquire("a")
    holder = pool._open["a"].task
    released = asyncio.create_task(pool.release("a"))
    await closing.wait()
    holder.cancel()  # as asyncio.run does with every task that is left
    await released


async def test_closing_that_is_cut_short_is_told_without_a_traceback(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level("INFO"):
        await close_slowly()

    assert "resource.close_cut_short" in caplog.text
    assert "resource.close_failed" not in caplog.text
    assert "Traceback" not in caplog.text


async def test_a_failure_while_closing_is_cut_short_stays_loud(
    caplog: pytest.LogCaptureFixture,
) -> None:
    await close_slowly(OSError("sticks"))

    assert "resource.close_failed" in caplog.text
    assert "OSError: sticks" in caplog.text


async def test_a_cancellation_that_comes_from_the_resource_itself_is_a_failure(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @asynccontextmanager
    async def gives_up() -> AsyncIterator[None]:
        yield
        raise asyncio.CancelledError

    pool = ResourcePool({"a": gives_up})
    await pool.acquire("a")
    await pool.release("a")

    assert "resource.close_failed" in caplog.text


def test_the_properties_of_a_factory_are_read_from_its_annotation() -> None:
    class Props(BaseModel):
        size: int

    @asynccontextmanager
    async def store(properties: Props) -> AsyncIterator[None]:
        yield

    class Store:
        def __init__(self, properties: Props) -> None: ...

    def bad(size: int) -> None: ...

    assert properties_class_of(store) is Props
    assert properties_class_of(Store) is Props
    with pytest.raises(TypeError, match="must be annotated with a pydantic model"):
        properties_class_of(bad)

    def vague(properties: BaseModel) -> None: ...

    with pytest.raises(TypeError, match="not with BaseModel itself, which has no fields"):
        properties_class_of(vague)
