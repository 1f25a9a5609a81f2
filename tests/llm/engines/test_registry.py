import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from agents.llm.engines import EngineConfig, GenerationRequest, ModelRegistry
from agents.llm.engines.errors import EngineClosedError, LLMInitializationError
from agents.llm.engines.local_engine import LocalEngine
from agents.llm.engines.scripted import Hang, Reply, ScriptedModel

CONFIG = EngineConfig(model="script", backend="scripted")


class Factory:
    """Makes scripted engines, counts loadings and tells when one was closed."""

    def __init__(self, reply: Reply = "one two") -> None:
        self.loaded: list[str] = []
        self.closed = asyncio.Event()
        self.fail_next = False
        self.may_load = threading.Event()
        self.before_close: Callable[[], Any] | None = None
        self._reply = reply

    def __call__(self, config: EngineConfig) -> LocalEngine:
        def open_model() -> ScriptedModel:
            self.loaded.append(config.model)
            if self.fail_next:
                self.fail_next = False
                assert self.may_load.wait(10)
                raise OSError("disk on fire")
            return ScriptedModel(lambda _: self._reply)

        factory = self

        class Observed(LocalEngine):
            async def close(self) -> None:
                if factory.before_close:
                    await factory.before_close()
                await super().close()
                factory.closed.set()

        return Observed(config, open_model)


async def test_everybody_shares_one_model_loaded_once() -> None:
    create = Factory()
    async with ModelRegistry(create=create) as models:

        async def use() -> object:
            async with models.lease(CONFIG) as engine:
                await asyncio.sleep(0)
                return engine

        engines = await asyncio.gather(*(use() for _ in range(10)))

        assert len(set(map(id, engines))) == 1
        assert create.loaded == ["script"]
        assert models.loaded == ["script"]


async def test_the_order_of_options_makes_no_other_engine() -> None:
    one = EngineConfig(model="script", backend="scripted", options={"a": 1, "b": {"c": 2, "d": 3}})
    two = EngineConfig(model="script", backend="scripted", options={"b": {"d": 3, "c": 2}, "a": 1})
    create = Factory()
    async with ModelRegistry(create=create) as models:
        async with models.lease(one) as first, models.lease(two) as second:
            assert first is second
        assert create.loaded == ["script"]


def test_a_key_is_written_as_ever_since_kept_answers_are_found_by_it() -> None:
    config = EngineConfig(model="größer", backend="scripted", options={"a": [1, None], "b": "ö"})

    assert config.key == config.model_dump_json()


async def test_other_settings_are_another_engine() -> None:
    async with ModelRegistry(create=Factory()) as models:
        other = CONFIG.model_copy(update={"max_active": 1})
        async with models.lease(CONFIG) as one, models.lease(other) as two:
            assert one is not two
            assert models.memory_bytes == one.stats.memory_bytes + two.stats.memory_bytes


async def test_without_leases_it_is_unloaded_after_the_idle_time() -> None:
    create = Factory()
    async with ModelRegistry(create=create, idle_unload_s=0) as models:
        async with models.lease(CONFIG):
            pass
        await create.closed.wait()
        assert models.loaded == []

        async with models.lease(CONFIG) as engine:
            assert engine.stats.is_loaded
        assert len(create.loaded) == 2


async def test_while_anybody_holds_a_lease_it_stays() -> None:
    create = Factory()
    async with ModelRegistry(create=create, idle_unload_s=0) as models, models.lease(CONFIG) as one:
        async with models.lease(CONFIG):
            pass
        generation = await one.submit(GenerationRequest(prompt="x"))
        assert (await generation.result()).text == "one two"
        assert not create.closed.is_set()


async def test_a_new_lease_within_the_idle_time_keeps_the_model() -> None:
    create = Factory()
    async with ModelRegistry(create=create, idle_unload_s=60) as models:
        for _ in range(3):
            async with models.lease(CONFIG):
                pass
        assert create.loaded == ["script"]


async def test_never_is_an_idle_time() -> None:
    create = Factory()
    async with ModelRegistry(create=create, idle_unload_s=None) as models:
        async with models.lease(CONFIG):
            pass
        assert models.loaded == ["script"]


async def test_it_is_not_unloaded_under_a_running_request() -> None:
    create = Factory(Hang(after="one"))
    async with ModelRegistry(create=create, idle_unload_s=0) as models:
        async with models.lease(CONFIG) as engine:
            generation = await engine.submit(GenerationRequest(prompt="x"))
            await anext(aiter(generation))
        for _ in range(20):  # turns of the loop, each a chance for the idle timer
            await asyncio.sleep(0)
        assert not create.closed.is_set()

        generation.cancel()
        assert (await generation.result()).text == "one"
        await create.closed.wait()


async def test_a_failed_loading_reaches_all_who_wait_and_the_next_lease_tries_again() -> None:
    create = Factory()
    create.fail_next = True
    async with ModelRegistry(create=create) as models:

        async def use() -> None:
            async with models.lease(CONFIG):
                pass

        users = [asyncio.create_task(use()) for _ in range(3)]
        await asyncio.sleep(0)  # all three are waiting now
        create.may_load.set()
        outcomes = await asyncio.gather(*users, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [LLMInitializationError] * 3

        await use()
        assert len(create.loaded) == 2


async def test_a_lease_during_unloading_waits_and_never_holds_two_models() -> None:
    create = Factory()
    reached, go = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reached.set()
        await go.wait()

    async with ModelRegistry(create=create, idle_unload_s=0) as models:
        create.before_close = hold
        async with models.lease(CONFIG) as first:
            pass
        await reached.wait()

        entering = asyncio.create_task(models.lease(CONFIG).__aenter__())
        await asyncio.sleep(0)
        assert create.loaded == ["script"]
        go.set()
        second = await entering

        assert second is not first
        assert second.stats.is_loaded
        create.before_close = None


async def test_a_closed_registry_refuses_leases_and_has_closed_its_engines() -> None:
    create = Factory()
    models = ModelRegistry(create=create)
    async with models.lease(CONFIG) as engine:
        await models.close()
        with pytest.raises(EngineClosedError):
            await engine.submit(GenerationRequest(prompt="x"))
    with pytest.raises(EngineClosedError, match="registry"):
        async with models.lease(CONFIG):
            pass
    await models.close()
