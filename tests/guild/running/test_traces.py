"""A guild without code is traced as the environment variables of OpenTelemetry say."""

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from guild.cli.calling.exit_codes import MISSING_EXTRA, USAGE, exit_code_of
from guild.errors import MissingExtraError, SettingsError
from guild.running.traces import tracer_provider_of
from messaging.telemetry import OpenTelemetryObserver
from messaging.testing import memory_bus
from tests.messaging.buses import Ask

ROOT = Path(__file__).parents[3]


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec

    def find_less(name: str, *more: Any) -> Any:
        return None if name.startswith("opentelemetry.sdk") else found(name, *more)

    monkeypatch.setattr("guild.running.traces.find_spec", find_less)

    with pytest.raises(MissingExtraError, match="pip install opentelemetry-sdk") as caught:
        tracer_provider_of({}, "lab")
    assert exit_code_of(caught.value) == MISSING_EXTRA


@pytest.mark.parametrize(
    ("environ", "package"),
    [
        ({}, "opentelemetry-exporter-otlp-proto-http"),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, "opentelemetry-exporter-otlp-proto-http"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "opentelemetry-exporter-otlp-proto-grpc"),
        (
            {
                "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
                "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
            },
            "opentelemetry-exporter-otlp-proto-http",
        ),
    ],
)
def test_without_the_exporter_it_says_which_to_install(
    environ: dict[str, str], package: str
) -> None:
    if importlib.util.find_spec("opentelemetry.exporter") is not None:
        pytest.skip("exporters are installed here")

    with pytest.raises(MissingExtraError, match=f"run: pip install {package}$"):
        tracer_provider_of(environ, "lab")


@pytest.mark.parametrize(
    "environ",
    [{"OTEL_TRACES_EXPORTER": "zipkim"}, {"OTEL_EXPORTER_OTLP_PROTOCOL": "carrier pigeon"}],
)
def test_a_name_that_means_nothing_is_refused(environ: dict[str, str]) -> None:
    with pytest.raises(SettingsError, match=r"zipkim.*console|carrier pigeon.*grpc") as caught:
        tracer_provider_of(environ, "lab")
    assert exit_code_of(caught.value) == USAGE


async def test_spans_go_to_the_exporter_and_not_to_stdout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    provider = tracer_provider_of({"OTEL_TRACES_EXPORTER": "console, none"}, "lab")
    async with memory_bus(Ask, observer=OpenTelemetryObserver(provider)) as bus:
        await bus.publish("asks", Ask(text="x"))
    provider.shutdown()

    told = capsys.readouterr()
    assert told.out == ""
    assert '"name": "publish asks"' in told.err
    assert '"service.name": "lab"' in told.err


def test_the_service_is_named_by_the_environment_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_SERVICE_NAME", "shop")
    environ = {"OTEL_TRACES_EXPORTER": "none", "OTEL_SERVICE_NAME": "shop"}

    assert tracer_provider_of(environ, "lab").resource.attributes["service.name"] == "shop"


def test_no_global_provider_is_set() -> None:
    tracer_provider_of({"OTEL_TRACES_EXPORTER": "none"}, "lab")

    assert not isinstance(trace.get_tracer_provider(), TracerProvider)


def test_the_module_itself_needs_no_sdk() -> None:
    code = "import sys, guild.running.traces; assert 'opentelemetry' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
