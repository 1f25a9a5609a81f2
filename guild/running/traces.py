"""A tracer provider by the environment variables of OpenTelemetry, for a guild without code.

It is the command's own: nothing global is set, so that packages which look for a global provider
stay as they are.
"""

import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from guild.errors import MissingExtraError, SettingsError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

EXPORTERS = "OTEL_TRACES_EXPORTER"
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_OTLP = {"http/protobuf": "otlp_proto_http", "grpc": "otlp_proto_grpc"}
_USUAL_PROTOCOL = "http/protobuf"
_SERVICE = "OTEL_SERVICE_NAME"


def tracer_provider_of(environ: Mapping[str, str], service: str) -> "TracerProvider":
    """A provider with a batch processor for each exporter; shut it down when all is over.

    Args:
        environ: `OTEL_TRACES_EXPORTER` names the exporters, `otlp` unless it says otherwise; what
            they and the sampler read of their own comes from the process's environment.
        service: name of the service, where `OTEL_SERVICE_NAME` gives none.

    Raises:
        MissingExtraError: the SDK or an exporter is not installed; says what to install.
        SettingsError: no exporter goes by this name.
    """
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        raise MissingExtraError("tracing", "", ["opentelemetry-sdk", "opentelemetry-exporter-otlp"])
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource  # noqa: PLC0415 - see above
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415 - see above
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415 - see above

    exporters = [_exporter(name, environ) for name in _names_in(environ)]
    own = {} if environ.get(_SERVICE) else {SERVICE_NAME: service}
    provider = TracerProvider(resource=Resource.create(own), shutdown_on_exit=False)
    for exporter in exporters:
        provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _names_in(environ: Mapping[str, str]) -> list[str]:
    names = [name.strip() for name in (environ.get(EXPORTERS) or "otlp").split(",")]
    return [name for name in names if name and name != "none"]


def _exporter(name: str, environ: Mapping[str, str]) -> Any:
    if name == "console":  # stdout is for data
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter  # noqa: PLC0415

        return ConsoleSpanExporter(out=sys.stderr)
    if name == "otlp":
        chosen = [environ[variable] for variable in _PROTOCOLS if environ.get(variable)]
        protocol = chosen[0] if chosen else _USUAL_PROTOCOL
        if protocol not in _OTLP:
            raise SettingsError(f"{_PROTOCOLS[1]} is {protocol!r}; it may be {' or '.join(_OTLP)}")
        return _load(_OTLP[protocol])
    return _load(name)


def _load(name: str) -> Any:
    found = {each.name: each for each in entry_points(group="opentelemetry_traces_exporter")}
    if name not in found:
        if name in _OTLP.values():
            package = f"opentelemetry-exporter-{name.replace('_', '-')}"
            raise MissingExtraError("tracing", "", [package])
        known = ", ".join(sorted({"console", "none", "otlp", *found}))
        raise SettingsError(f"{EXPORTERS} names {name!r}, which is no exporter here: {known}")
    return _made(found[name])


def _made(exporter: EntryPoint) -> Any:
    return exporter.load()()
