"""What tables say of metrics and traces is complete and true."""

import re
from collections.abc import Iterator

from prometheus_client import CollectorRegistry

from messaging import Bus
from messaging.backends.urls import open_backend
from messaging.telemetry import MetricsObserver, QueueMetrics, conventions
from tests.docs.pages import DOCS, code_in, rows, text_of

TELEMETRY = DOCS / "telemetry.md"


def shown() -> Iterator[tuple[str, set[str]]]:
    """Names and labels as Prometheus reads them."""
    registry = CollectorRegistry()
    MetricsObserver(registry)
    QueueMetrics(Bus(open_backend("memory://", "hello")), registry)
    for metric in registry.collect():
        suffix = "_total" if metric.type == "counter" else ""
        yield f"{metric.name}{suffix}", set(metric._labelnames)


def test_every_metric_is_listed_with_its_labels() -> None:
    told = {code_in(name)[0]: set(code_in(labels)) for name, labels, _ in rows(TELEMETRY, "metric")}

    assert told == dict(shown())


def test_the_metrics_that_the_page_names_exist() -> None:
    named = set(re.findall(r"guildbus_\w+", text_of(TELEMETRY)))
    names = {name for name, _ in shown()}

    assert {name.removesuffix("_bucket") for name in named} <= names


def test_every_attribute_of_a_span_is_listed() -> None:
    told = {name for row in rows(TELEMETRY, "attribute") for name in code_in(row[0])}
    values = {value for name, value in vars(conventions).items() if name.isupper()}

    assert told == {
        value for value in values if re.fullmatch(r"(messaging|gen_ai|error)\.[\w.]+", value)
    }
    assert conventions.VERSION in text_of(TELEMETRY)
