"""The way from the engine's thread to the loop that asked."""

import asyncio

from agents.llm.engines.generation import Channel, TextDelta


def test_a_loop_that_closed_before_it_read_what_was_sent_is_noticed() -> None:
    async def open_channel() -> Channel:
        return Channel()

    loop = asyncio.new_event_loop()
    channel = loop.run_until_complete(open_channel())
    assert channel.send(TextDelta("sent while the loop lives", ()))
    loop.close()

    assert not channel.send(TextDelta("never to be read", ()))
