"""How a tool asks its language model."""

from typing import Literal

from pydantic import Field, PositiveInt

from agents.llm.engines import EngineConfig
from guild import BaseAgentProps


class WritingProps(BaseAgentProps):
    """The language model inside a tool, and how it is asked.

    Attributes:
        llm: the language model to ask; None refuses what needs one.
        writes: `code` is a whole file, in words that nothing keeps in bounds. `auto` is a form to
            fill in (the layers of a model, the parts of an update rule) where the backend can be
            kept to it and the request has one, which even a small model gets right; else code.
        attempts: how often it is asked for one thing, the first time included.
        max_new_tokens: limit on each answer.
        temperature: of the first attempt; 0 always takes the likeliest token. Later ones are drawn
            at `RETRY_TEMPERATURE` at least: the likeliest would mostly be the same again.
        seed: with it the same question gets the same answer, where the backend keeps to seeds.
        keeps_answers: an answer that passed its checks serves the same question again.
    """

    llm: EngineConfig | None = None
    writes: Literal["auto", "code"] = "auto"
    attempts: PositiveInt = Field(default=3, le=20)
    max_new_tokens: PositiveInt = 1024
    temperature: float = Field(default=0.0, ge=0.0, le=2.0)
    seed: int = Field(default=0, ge=0)
    keeps_answers: bool = True
