"""Names that are nearly those that a test looks for."""

from typing import Any

from guild.agent.agent import Agent

NUMBER = 3


class Sender(Agent):
    class Inner(Agent):
        pass


class Sendy:
    pass


class Plain:
    pass


def __dir__() -> list[str]:
    return [*globals(), "Broken"]


def __getattr__(name: str) -> Any:
    raise AttributeError(f"no {name} here")
