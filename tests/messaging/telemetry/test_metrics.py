"""Metrics of a process: right in every outcome, bounded whatever comes, and without content."""

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from messaging.errors import RequestFailedError
from messaging.handling.context import Context
from messaging.handling.retry import RetryPolicy
from messaging.observing import Ending, Handling, Observers
from messaging.telemetry import (
    MetricsObserver,
    OpenTelemetryObserver,
    QueueMetrics,
    Spent,
    render,
)
from messaging.telemetry.metrics import MOST_ERRORS, MOST_SERIES
from messaging.testing import eventually, memory_bus
from messaging.wire.envelope import Envelope, new_id
from tests.messaging.buses import Ask, Gate, Told, dead_letters, echo, listening, settled_all, tell
from tests.messaging.conftest import Site
from tests.messaging.telemetry.spans import Spans
from tests.messaging.test_observing import seen_by

ONCE = RetryPolicy(attempts=1)
SOON = RetryPolicy(attempts=2, backoff_s=0.01, jitter=0.0)

Labels = Mapping[str, str]


def samples_of(registry: CollectorRegistry, name: str) -> list[tuple[Labels, float]]:
    """As Prometheus would read them."""
    text, content_type = render(registry)
    assert content_type.startswith("text/plain")
    return [
        (sample.labels, sample.value)
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
        if sample.name == name
    ]


def value_of(registry: CollectorRegistry, name: str, **labels: str) -> float:
    return sum(
        value
        for found, value in samples_of(registry, name)
        if all(found.get(label) == wanted for label, wanted in labels.items())
    )


def counted_by(
    registry: CollectorRegistry, name: str, *labels: str
) -> Mapping[tuple[str, ...], float]:
    return {
        tuple(found[label] for label in labels): value
        for found, value in samples_of(registry, name)
    }


async def fail(ask: Ask, context: Context) -> None:
    raise RuntimeError(ask.text)


async def test_handlings_are_counted_by_outcome_and_error() -> None:
    registry = CollectorRegistry()
    async with memory_bus(Ask, Told, observer=MetricsObserver(registry)) as bus:
        await bus.subscribe(listening("echo", echo))
        await bus.subscribe(listening("failing", fail, retry=SOON, topics=("other",)))
        await bus.request("asks", Ask(text="x"))
        await bus.publish("asks", Told(text="nobody handles this"))
        await bus.publish("other", Ask(text="x"))
        await dead_letters(bus)
        await settled_all(bus, "echo")

    counted = counted_by(registry, "guildbus_handlings_total", "agent", "type", "outcome", "error")
    assert counted == {
        ("echo", "Ask", "handled", ""): 1.0,
        ("echo", "other", "ignored", ""): 1.0,
        ("failing", "Ask", "retried", "RuntimeError"): 1.0,
        ("failing", "Ask", "dead_lettered", "RuntimeError"): 1.0,
    }


def handling_of(type_: str, waited_s: float | None = 0.0, attempt: int = 1) -> Handling:
    envelope = Envelope(new_id(), type_, 1, "asks", b"{}")
    return Handling(envelope, "reader", attempt, waited_s)


def test_seconds_of_handling_and_of_waiting_are_histograms() -> None:
    registry = CollectorRegistry()
    observer = MetricsObserver(registry)
    for waited_s, handled_s, attempt in (
        (0.0, 0.001, 1),
        (7.0, 0.3, 1),
        (9.0, 9_999.0, 2),
        (None, 0.3, 1),
    ):
        handling = handling_of("Ask", waited_s, attempt)
        observer.ended(handling, Ending("handled", None, handled_s), None)

    def below(name: str, bound: str) -> float:
        return value_of(registry, f"{name}_bucket", agent="reader", type="Ask", le=bound)

    handled = [below("guildbus_handling_seconds", le) for le in ("0.001", "0.25", "0.5", "+Inf")]
    assert handled == [1, 1, 3, 4]
    assert value_of(registry, "guildbus_handling_seconds_sum") == pytest.approx(9_999.601)
    # How long a later attempt has waited is the doing of the retry.
    assert [below("guildbus_queue_seconds", le) for le in ("0.001", "5.0", "+Inf")] == [1, 1, 2]
    assert value_of(registry, "guildbus_queue_seconds_sum") == 7.0


async def test_what_strangers_send_makes_no_series() -> None:
    registry = CollectorRegistry()
    async with memory_bus(Ask, observer=MetricsObserver(registry)) as bus:
        await bus.subscribe(listening("echo", echo))
        await bus.request("asks", Ask(text="x"))
        sound = bus.publisher.seal("asks", Ask(text="x"))
        for number in range(50):
            odd = sound._replace(id=new_id(), type=f"strange{number}", message=None)
            await bus.backend.append([odd])
        await settled_all(bus, "echo")

    types = {labels["type"] for labels, _ in samples_of(registry, "guildbus_handlings_total")}
    assert types == {"Ask", "other"}
    assert value_of(registry, "guildbus_handlings_total", type="other") == 50


def test_labels_are_bounded_whatever_is_handled() -> None:
    registry = CollectorRegistry()
    observer = MetricsObserver(registry)
    for number in range(3 * MOST_SERIES):
        error = type(f"Error{number}", (Exception,), {})()
        handling = handling_of(f"type{number}")._replace(group=f"group{number}")
        observer.ended(handling, Ending("retried", error, 0.1), None)
        observer.ended(handling_of("Ask"), Ending("retried", error, 0.1), None)

    samples = [sample for family in registry.collect() for sample in family.samples]
    counts = [each.value for each in samples if each.name == "guildbus_handling_seconds_count"]
    assert len(counts) <= 2 * MOST_SERIES + 1
    assert sum(counts) == 6 * MOST_SERIES
    errors = {
        each.labels["error"]
        for each in samples
        if each.labels["type"] == "Ask" and each.name == "guildbus_handlings_total"
    }
    assert len(errors) <= MOST_ERRORS + 1
    assert "other" in errors


async def test_no_id_and_no_content_is_a_label() -> None:
    registry = CollectorRegistry()
    canary = "sk-canary-5c1f8"

    async def spill(ask: Ask, context: Context) -> None:
        raise ValueError(ask.text)

    async with memory_bus(Ask, observer=MetricsObserver(registry)) as bus:
        await bus.subscribe(listening("spiller", spill, retry=ONCE))
        asked = new_id()
        with pytest.raises(RequestFailedError):
            await bus.request("asks", Ask(text=canary), message_id=asked)
        queues = QueueMetrics(bus, registry)
        await queues.refresh()
        text = render(registry)[0].decode()

    assert canary not in text
    assert asked not in text


def test_threads_count_together() -> None:
    registry = CollectorRegistry()
    observer = MetricsObserver(registry)

    def count() -> None:
        for _ in range(1_000):
            observer.ended(handling_of("Ask"), Ending("handled", None, 0.1), None)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert value_of(registry, "guildbus_handlings_total") == 4_000
    assert value_of(registry, "guildbus_handling_seconds_count") == 4_000


async def test_an_answer_is_counted_once_wherever_it_goes() -> None:
    registry = CollectorRegistry()

    def spending(envelope: Envelope) -> Spent | None:
        return Spent("chat", "tiny", 7, 3, 2, "stop") if envelope.type == "Told" else None

    def also_to_told(envelope: Envelope, message: Any) -> Any:
        return [("told", message)]

    async with memory_bus(Ask, Told, observer=MetricsObserver(registry, spending=spending)) as bus:
        await bus.subscribe(listening("echo", echo, route=also_to_told))
        for _ in range(2):
            await bus.request("asks", Ask(text="x"))
        await bus.publish("told", Told(text="what a client publishes costs nothing"))

    counted = counted_by(registry, "guildbus_tokens_total", "agent", "model", "kind")
    assert counted == {
        ("echo", "tiny", "input"): 14,
        ("echo", "tiny", "output"): 6,
        ("echo", "tiny", "cached"): 4,
    }


async def test_what_waits_is_shown_by_agent_and_topic(site: Site) -> None:
    registry, gate = CollectorRegistry(), Gate()
    async with seen_by(None, await site.open()) as bus:
        queues = QueueMetrics(bus, registry)
        await bus.subscribe(listening("slow", gate, concurrency=1, prefetch=1, drain_s=0.0))
        await bus.subscribe(listening("failing", fail, retry=ONCE, topics=("other",)))
        await bus.publish_many("asks", [Ask(text=str(number)) for number in range(5)])
        await bus.publish("other", Ask(text="x"))
        await eventually(lambda: bool(gate.started))
        await dead_letters(bus)
        await queues.refresh()

    asks = {"agent": "slow", "topic": "asks"}
    waiting = value_of(registry, "guildbus_waiting", **asks)
    in_hand = value_of(registry, "guildbus_in_hand", **asks)
    assert (waiting + in_hand, in_hand > 0) == (5, True)
    assert 0 <= value_of(registry, "guildbus_oldest_seconds", **asks) < 60
    assert value_of(registry, "guildbus_dead_letters") == 1
    assert value_of(registry, "guildbus_store_up") == 1


async def test_a_store_that_is_away_is_told_and_nothing_old_is_shown(site: Site) -> None:
    registry = CollectorRegistry()
    async with seen_by(None, await site.open()) as bus:
        queues = QueueMetrics(bus, registry)
        await bus.subscribe(listening("slow", Gate(), drain_s=0.0))
        await bus.publish("asks", Ask(text="x"))
        await queues.refresh()
        assert value_of(registry, "guildbus_store_up") == 1
    await queues.refresh()  # the bus is closed

    assert value_of(registry, "guildbus_store_up") == 0
    assert samples_of(registry, "guildbus_waiting") == []


async def test_a_host_that_renders_by_itself_has_them_refreshed() -> None:
    registry = CollectorRegistry()
    async with memory_bus(Ask) as bus:
        refreshing = asyncio.create_task(QueueMetrics(bus, registry).run())
        await eventually(lambda: value_of(registry, "guildbus_store_up") == 1)
        refreshing.cancel()


def test_a_registry_takes_one_of_each() -> None:
    registry = CollectorRegistry()
    MetricsObserver(registry)

    with pytest.raises(ValueError, match="another MetricsObserver"):
        MetricsObserver(registry)
    MetricsObserver(CollectorRegistry())


def test_the_global_registry_is_left_alone() -> None:
    before = set(REGISTRY._names_to_collectors)
    MetricsObserver(CollectorRegistry())

    assert set(REGISTRY._names_to_collectors) == before


def test_prometheus_may_ask_for_its_newer_format() -> None:
    registry = CollectorRegistry()
    MetricsObserver(registry).ended(handling_of("Ask"), Ending("handled", None, 0.1), None)

    text, content_type = render(registry, "application/openmetrics-text; version=1.0.0")

    assert content_type.startswith("application/openmetrics-text")
    assert text.endswith(b"# EOF\n")


@pytest.mark.parametrize("version", ["x.y", "", "1.0.0.0.0", "\u0663"])
def test_a_format_that_makes_no_sense_gets_the_usual_one(version: str) -> None:
    accept = f"application/openmetrics-text;version={version}"

    assert render(CollectorRegistry(), accept)[1]


async def test_traces_and_metrics_go_together() -> None:
    registry, spans = CollectorRegistry(), Spans()
    both = Observers(OpenTelemetryObserver(spans.provider), MetricsObserver(registry))
    async with memory_bus(Ask, observer=both) as bus:
        await bus.subscribe(listening("teller", tell))
        await bus.publish("asks", Ask(text="x"))
        await settled_all(bus, "teller")

    assert value_of(registry, "guildbus_handlings_total", outcome="handled") == 1
    assert spans.names == ["publish asks", "process asks", "publish told"]
