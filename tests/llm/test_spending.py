"""Observers learn from the agents' answers what they have cost."""

from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from agents.llm import (
    AgentPayload,
    AgentResponse,
    ChatAgent,
    ChatAgentProps,
    ChatReply,
    ChatRequest,
    CompletionReply,
    CompletionRequest,
    GenerationPromptResponse,
    StatefulReply,
    spent_on,
)
from agents.llm.dialogue.usage import Usage
from guild import AgentBuilder, Guild, GuildBuilder
from messaging import Observers
from messaging.telemetry import MetricsObserver, OpenTelemetryObserver, Spent
from messaging.wire.envelope import seal
from messaging.wire.topic import DEFAULT_TOPIC
from tests.messaging.telemetry.spans import Spans

CANARY = "sk-canary-5c1f8"
USAGE = Usage(prompt_tokens=7, completion_tokens=3, cached_tokens=2)
COST = Spent("chat", "tiny", 7, 3, 2, "stop")


@pytest.mark.parametrize("by_reference", [True, False])
@pytest.mark.parametrize(
    ("answer", "cost"),
    [
        (ChatReply(content="x", finish_reason="stop", model="tiny", usage=USAGE), COST),
        (
            CompletionReply(text="x", finish_reason="stop", model="tiny", usage=USAGE),
            COST._replace(operation="text_completion"),
        ),
        (
            StatefulReply(steps=(), text="x", value="x", model="tiny", usage=USAGE),
            COST._replace(operation="invoke_agent", finish_reason=""),
        ),
        (
            AgentResponse(
                metadata={"model": "tiny", "finish_reason": "stop", "usage": USAGE.model_dump()}
            ),
            COST,
        ),
        (AgentResponse(), None),
        (AgentResponse(metadata={"usage": USAGE.model_dump()}), None),  # of what model?
        (AgentResponse(metadata={"model": "tiny", "usage": {"total_tokens": 7}}), None),
        (AgentResponse(metadata={"model": "tiny", "usage": "little"}), None),
        (GenerationPromptResponse(generation_prompt="x", generated_response="xy"), None),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_answer_says_what_it_has_cost(
    answer: Any, cost: Spent | None, by_reference: bool
) -> None:
    assert spent_on(seal(answer, "answers", by_reference=by_reference)) == cost


@pytest.mark.parametrize(
    "question",
    [
        ChatRequest(messages=({"role": "user", "content": CANARY},)),
        CompletionRequest(prompt=CANARY),
        AgentPayload(user_message=CANARY),
    ],
    ids=lambda question: type(question).__name__,
)
async def test_tokens_of_an_agent_are_in_its_span_and_counted(question: Any) -> None:
    spans, registry = Spans(), CollectorRegistry()
    observer = Observers(
        OpenTelemetryObserver(spans.provider, spending=spent_on),
        MetricsObserver(registry, spending=spent_on),
    )
    options = {"replies": [f"I was told {CANARY}"]}
    props = ChatAgentProps(model="script", backend="scripted", options=options)
    agent = AgentBuilder(ChatAgent).set_id("chat").set_properties(props).build_spec()
    spec = GuildBuilder("talkers").add_agent_spec(agent).build_spec()
    async with Guild.launch(spec, bus="memory://", observer=observer) as guild:
        answer: Any = await guild.client.request(DEFAULT_TOPIC, question)

    usage = answer.usage if hasattr(answer, "usage") else Usage(**answer.metadata["usage"])
    handled = spans.one(f"process {DEFAULT_TOPIC}").attributes or {}
    for kind, tokens in (("input", usage.prompt_tokens), ("output", usage.completion_tokens)):
        labels = {"agent": "chat", "model": "script", "kind": kind}
        assert tokens > 0
        assert handled[f"gen_ai.usage.{kind}_tokens"] == tokens
        assert registry.get_sample_value("guildbus_tokens_total", labels) == tokens
    assert CANARY not in "".join(span.to_json() for span in spans.all)
