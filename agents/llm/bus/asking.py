"""Asks a model on the bus; the tools that it calls run here."""

from collections.abc import Iterable, Sequence
from typing import Any

from agents.llm.bus.messages import ChatReply, ChatRequest
from agents.llm.chat import ChatMessage
from agents.llm.parsing import Parsed, Problem, ToolCall
from agents.llm.tools import Tool
from guild import GuildClient


class AskByMessages:
    """What `run_tools` asks: an agent such as `llm.chat`, by the topic that it listens to.

    Args:
        client: of the guild.
        topic: of the agent.
        tools: what the model is told that it may call.
        timeout_s: for each answer.
        wishes: what else `ChatRequest` has, such as `temperature`.
    """

    def __init__(
        self,
        client: GuildClient,
        topic: str,
        tools: Iterable[Tool] = (),
        *,
        timeout_s: float = 600.0,
        **wishes: Any,
    ) -> None:
        self._client = client
        self._topic = topic
        self._timeout_s = timeout_s
        self._wishes = {**wishes, "tools": tuple(tool.schema for tool in tools)}

    async def __call__(self, messages: Sequence[ChatMessage]) -> Parsed:
        """The model's next output.

        Raises:
            BusError: as `GuildClient.request`.
        """
        request = ChatRequest(messages=tuple(messages), **self._wishes)
        reply = await self._client.request(
            self._topic, request, ChatReply, timeout_s=self._timeout_s
        )
        calls = tuple(ToolCall(call.name, call.arguments, call.id) for call in reply.tool_calls)
        problems = tuple(Problem(text) for text in reply.problems)
        return Parsed(reply.thinking, reply.content, calls, problems)
