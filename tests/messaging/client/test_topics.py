"""What lies in the topics, asked for once for many who look."""

import asyncio

import pytest

from messaging.backend import TopicInfo
from messaging.client import topics
from messaging.errors import BackendUnavailableError
from messaging.testing import memory_bus
from tests.messaging.buses import Ask


class Asked:
    """A backend's `topics` that counts its calls, and fails the first of them if that is wanted."""

    def __init__(self, *, fails: bool = False) -> None:
        self.count = 0
        self._fails = fails

    async def __call__(self) -> list[TopicInfo]:
        self.count += 1
        await asyncio.sleep(0)
        if self._fails and self.count == 1:
            raise BackendUnavailableError("away")
        return [TopicInfo("asks", self.count, {}, {}, {})]


async def test_many_callers_cost_one_question(monkeypatch: pytest.MonkeyPatch) -> None:
    async with memory_bus() as bus:
        asked = Asked()
        monkeypatch.setattr(bus.backend, "topics", asked)

        answers = await asyncio.gather(*[bus.topics() for _ in range(50)])

        assert asked.count == 1
        assert [[info.topic for info in infos] for infos in answers] == [["asks"]] * 50


async def test_what_is_too_old_is_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    async with memory_bus() as bus:
        await bus.publish("asks", Ask(text="one"))
        assert [info.entries for info in await bus.topics()] == [1]
        await bus.publish("asks", Ask(text="two"))
        assert [info.entries for info in await bus.topics()] == [1]

        monkeypatch.setattr(topics, "EVERY_S", 0.0)
        assert [info.entries for info in await bus.topics()] == [2]


async def test_an_error_is_told_and_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async with memory_bus() as bus:
        monkeypatch.setattr(bus.backend, "topics", Asked(fails=True))

        with pytest.raises(BackendUnavailableError):
            await bus.topics()
        assert [info.topic for info in await bus.topics()] == ["asks"]
