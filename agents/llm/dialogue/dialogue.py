"""Conversations with an engine, all under the same conditions."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from agents.llm.chat import ChatMessage, OverflowPolicy
from agents.llm.dialogue.answering import Answer, Answering
from agents.llm.dialogue.plan import Plan, Wish, plan_answer, plan_text
from agents.llm.dialogue.reading import Schemas
from agents.llm.dialogue.sampling import Sampling
from agents.llm.engines import Engine
from agents.llm.parsing import Part

if TYPE_CHECKING:
    from agents.llm.structured import Grammar


@dataclass(frozen=True)
class Dialogue:
    """Conversations with an engine, all under the same conditions.

    Attributes:
        engine: who answers.
        sampling: how.
        overflow: what happens to a conversation that does not fit the context window.
        tools: what may be called, in OpenAI's shape.
        tool_choice: `auto`, `none`, `required` or the name of a tool; the last two constrain the
            answer to a call with valid arguments.
        grammar: what the answer must look like.
        question: position of the message that the answer is for, which is never dropped; None for
            the user's last one.
    """

    engine: Engine
    sampling: Sampling
    overflow: OverflowPolicy = "refuse"
    tools: Schemas = ()
    tool_choice: str = "auto"
    grammar: "Grammar | None" = None
    question: int | None = None

    async def ask(self, messages: Sequence[ChatMessage]) -> Answering:
        """Begin to answer the last of these messages.

        Raises:
            LLMError: the request is refused.
        """
        await self.engine.load()
        wish = Wish(
            messages,
            self.tools,
            self.tool_choice,
            grammar=self.grammar,
            overflow=self.overflow,
            question=self.question,
        )
        return await self._begun(
            await asyncio.to_thread(plan_answer, wish, self.engine, self.sampling)
        )

    async def ask_to_continue(self, prompt: str) -> Answering:
        """Begin to continue a text, without template, tools or parsing.

        Raises:
            LLMError: the request is refused.
        """
        await self.engine.load()
        return await self._begun(
            await asyncio.to_thread(plan_text, prompt, self.grammar, self.engine, self.sampling)
        )

    def but(self, **changes: Any) -> "Dialogue":
        """The same with other attributes."""
        return replace(self, **changes)

    async def answer(
        self, messages: Sequence[ChatMessage], watch: Callable[[Part], None] | None = None
    ) -> Answer:
        """The whole answer; `watch` sees its parts while they come.

        Raises:
            LLMError: it is refused or fails.
        """
        return await (await self.ask(messages)).whole(watch)

    async def _begun(self, plan: Plan) -> Answering:
        constraint = plan.make_constraint() if plan.make_constraint else None
        generation = await self.engine.submit(plan.request, constraint)
        window = self.engine.capabilities.context_window
        return Answering(generation, plan.reading, window, plan.dropped)
