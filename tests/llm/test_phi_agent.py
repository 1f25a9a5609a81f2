import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import torch
from prometheus_client import CollectorRegistry
from pydantic import ValidationError
from structlog.testing import capture_logs

from agents.llm import (
    GenerationPromptRequest,
    GenerationPromptResponse,
    LLMPhiAgent,
    PhiAgentProps,
    PyTorchAgentProps,
    UsageReported,
    spent_on,
)
from agents.llm.bus.resources import models
from agents.llm.engines.loading import choose_device
from guild import Agent, AgentBuilder, Guild, GuildBuilder, handles
from guild.progress import TextDelta
from messaging import Observers
from messaging.errors import RequestCancelledError, RequestFailedError
from messaging.telemetry import MetricsObserver, OpenTelemetryObserver
from messaging.wire.envelope import new_id
from messaging.wire.message import wire_type_of
from messaging.wire.topic import DEFAULT_TOPIC
from tests.messaging.telemetry.spans import Spans

PROMPT = "The benefits of multi-agent systems include"


@pytest.fixture
async def guild(tiny_phi: Path) -> AsyncIterator[Guild]:
    async with _guild_of(PhiAgentProps(model_id=str(tiny_phi), max_new_tokens=12)) as running:
        yield running


def _guild_of(props: PhiAgentProps) -> Guild:
    agent = (
        AgentBuilder(LLMPhiAgent)
        .set_id("phi_agent")
        .set_name("Phi-2 LLM")
        .set_description("Text generation using Microsoft's Phi-2 model")
        .set_properties(props)
        .set_retry(attempts=1)
        .build_spec()
    )
    return GuildBuilder("writers").set_messaging("memory://").add_agent_spec(agent).launch()


def test_the_properties_have_the_defaults_of_the_document() -> None:
    assert PhiAgentProps().model_id == "microsoft/phi-2"
    assert issubclass(PhiAgentProps, PyTorchAgentProps)
    assert set(GenerationPromptRequest.model_fields) == {"generation_prompt"}
    assert set(GenerationPromptResponse.model_fields) == {
        "generation_prompt",
        "generated_response",
    }
    assert wire_type_of(GenerationPromptRequest).name == "GenerationPromptRequest"


async def test_the_samples_of_the_document_run_as_they_stand(tiny_phi: Path) -> None:
    answered: asyncio.Queue[GenerationPromptResponse] = asyncio.Queue()

    class Listener(Agent):
        @handles
        async def listen(self, response: GenerationPromptResponse) -> None:
            answered.put_nowait(response)

    phi_agent_spec = (
        AgentBuilder(LLMPhiAgent)
        .set_id("phi_agent")
        .set_name("Phi-2 LLM")
        .set_description("Text generation using Microsoft's Phi-2 model")
        .set_properties(PhiAgentProps(model_id=str(tiny_phi), torch_device="cpu"))
        .build_spec()
    )
    guild_builder = GuildBuilder("writers").set_messaging("memory://")
    guild_builder.add_agent_spec(phi_agent_spec)
    guild_builder.add_agent_spec(AgentBuilder(Listener).set_id("listener").build_spec())
    async with guild_builder.launch() as running:
        request = GenerationPromptRequest(
            generation_prompt="The benefits of multi-agent systems include"
        )
        await running.client.publish("default_topic", request)
        response = await answered.get()

    assert response.generation_prompt == "The benefits of multi-agent systems include"
    assert response.generated_response.startswith(response.generation_prompt)


async def test_its_tokens_are_counted_though_its_answer_has_no_place_for_them(
    tiny_phi: Path,
) -> None:
    registry, spans = CollectorRegistry(), Spans()
    observer = Observers(
        OpenTelemetryObserver(spans.provider, spending=spent_on),
        MetricsObserver(registry, spending=spent_on),
    )
    props = PhiAgentProps(model_id=str(tiny_phi), max_new_tokens=3)
    agent = AgentBuilder(LLMPhiAgent).set_id("phi").set_properties(props).build_spec()
    spec = GuildBuilder("writers").add_agent_spec(agent).build_spec()
    async with Guild.launch(spec, bus="memory://", observer=observer) as guild:
        for _ in range(2):
            await guild.client.request(
                DEFAULT_TOPIC, GenerationPromptRequest(generation_prompt=PROMPT)
            )

    def counted(kind: str) -> float | None:
        labels = {"agent": "phi", "model": str(tiny_phi), "kind": kind}
        return registry.get_sample_value("guildbus_tokens_total", labels)

    told = [span.attributes or {} for span in spans.named(f"process {DEFAULT_TOPIC}")]
    for kind in ("input", "output"):
        tokens = [each[f"gen_ai.usage.{kind}_tokens"] for each in told]
        assert len(tokens) == 2
        assert counted(kind) == sum(tokens) > 0


def test_the_device_is_cuda_where_there_is_one_else_the_cpu() -> None:
    wanted = "cuda" if torch.cuda.is_available() else "cpu"

    assert choose_device(PhiAgentProps().torch_device).type == wanted


@pytest.mark.parametrize(
    "wrong",
    [
        {"stop": ("x",) * 17},
        {"stop": ("",)},
        {"seed": 2**63},
        {"max_new_tokens": 10**6},
        {"temperature": 3.0},
        {"top_p": 0.0},
        {"context_window": 0},
    ],
)
def test_what_every_request_would_refuse_the_properties_refuse(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=next(iter(wrong))):
        PhiAgentProps(**wrong)


async def test_the_context_window_can_be_set(tiny_phi: Path) -> None:
    props = PhiAgentProps(model_id=str(tiny_phi), context_window=20)
    async with _guild_of(props) as running:
        with pytest.raises(RequestFailedError, match="context window of 20"):
            await running.client.request(
                DEFAULT_TOPIC, GenerationPromptRequest(generation_prompt=PROMPT * 5), timeout_s=60
            )


async def test_the_answer_repeats_the_prompt_and_goes_on(guild: Guild) -> None:
    answer = await guild.client.request(
        DEFAULT_TOPIC, GenerationPromptRequest(generation_prompt=PROMPT), timeout_s=60
    )

    assert isinstance(answer, GenerationPromptResponse)
    assert answer.generation_prompt == PROMPT
    assert answer.generated_response.startswith(PROMPT)
    assert len(answer.generated_response) > len(PROMPT)


async def test_the_streamed_pieces_are_the_continuation(guild: Guild) -> None:
    request = GenerationPromptRequest(generation_prompt=PROMPT)

    items = [item async for item in guild.client.stream(DEFAULT_TOPIC, request, timeout_s=60)]

    *pieces, reported, answer = items
    assert isinstance(reported, UsageReported)
    assert reported.usage.completion_tokens == 12
    assert reported.usage.prompt_tokens > 0
    assert reported.usage.total_s >= reported.usage.queued_s
    assert isinstance(answer, GenerationPromptResponse)
    assert all(isinstance(piece, TextDelta) for piece in pieces)
    text = "".join(piece.text for piece in pieces if isinstance(piece, TextDelta))
    assert PROMPT + text == answer.generated_response


async def test_a_prompt_that_does_not_fit_is_refused_with_the_figures(guild: Guild) -> None:
    request = GenerationPromptRequest(generation_prompt="word " * 500)

    with pytest.raises(RequestFailedError, match="context window of 128") as failure:
        await guild.client.request(DEFAULT_TOPIC, request, timeout_s=60)

    assert failure.value.error_type == "ContextOverflowError"


async def test_a_model_that_is_nowhere_is_a_typed_answer(tmp_path: Path) -> None:
    async with _guild_of(PhiAgentProps(model_id=str(tmp_path / "nothing"))) as running:
        with pytest.raises(RequestFailedError, match="nothing") as failure:
            await running.client.request(
                DEFAULT_TOPIC, GenerationPromptRequest(generation_prompt=PROMPT), timeout_s=60
            )

    assert failure.value.error_type in ("ModelNotFoundError", "HubUnreachableError")


async def test_a_cancelled_request_ends_its_generation(tiny_phi: Path) -> None:
    async with _guild_of(PhiAgentProps(model_id=str(tiny_phi), max_new_tokens=100)) as running:
        request_id = new_id()
        stream = running.client.stream(
            DEFAULT_TOPIC,
            GenerationPromptRequest(generation_prompt="a"),
            timeout_s=60,
            message_id=request_id,
        )
        await anext(stream)

        await running.client.cancel(request_id, "enough")

        with pytest.raises(RequestCancelledError, match="enough"):
            [item async for item in stream]


async def test_a_link_to_another_model_is_followed_by_the_next_request(
    tiny_phi: Path, tmp_path: Path
) -> None:
    link = tmp_path / "served"
    async with _guild_of(PhiAgentProps(model_id=str(link), max_new_tokens=4)) as running:
        request = GenerationPromptRequest(generation_prompt=PROMPT)
        with pytest.raises(RequestFailedError):
            await running.client.request(DEFAULT_TOPIC, request, timeout_s=60)

        link.symlink_to(tiny_phi, target_is_directory=True)

        answer = await running.client.request(DEFAULT_TOPIC, request, timeout_s=60)
        assert isinstance(answer, GenerationPromptResponse)


async def test_two_agents_share_one_model_through_the_resource(tiny_phi: Path) -> None:
    builder = GuildBuilder("writers").set_messaging("memory://").add_resource("models", models)
    for name in ("first", "second"):
        builder.add_agent_spec(
            AgentBuilder(LLMPhiAgent)
            .set_id(name)
            .listen_to_default_topic(listens=False)
            .add_additional_topic(name)
            .set_properties(PhiAgentProps(model_id=str(tiny_phi), max_new_tokens=2))
            .build_spec()
        )
    request = GenerationPromptRequest(generation_prompt=PROMPT)
    with capture_logs() as logged:
        async with builder.launch() as running:
            await running.client.request("first", request, timeout_s=60)
            await running.client.request("second", request, timeout_s=60)

    assert [line["event"] for line in logged].count("model.loaded") == 1
