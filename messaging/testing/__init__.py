"""For tests of what is built on the bus: a strict bus in memory, and a handler that remembers.

async with memory_bus(Question, Answer) as bus:
    recorder = Recorder(answer=Answer(text="42"))
    await bus.subscribe(recorder.subscription("oracle", Question, topic="questions"))
    assert await bus.request("questions", Question(text="6 x 7?")) == Answer(text="42")
    assert await recorder.messages(1) == [Question(text="6 x 7?")]
"""

from messaging.testing.clock import TestClock
from messaging.testing.strict_bus import (
    PATIENCE_S,
    QUICK_RETRY,
    Recorder,
    eventually,
    memory_bus,
)

__all__ = ["PATIENCE_S", "QUICK_RETRY", "Recorder", "TestClock", "eventually", "memory_bus"]
