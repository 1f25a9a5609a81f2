"""Spans reach a collector by the exporter that `--traces` asks for, where it is installed."""

import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from messaging.wire.envelope import new_id

pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="the exporter is an extra")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)

ROOT = Path(__file__).parents[3]


class Collector(ThreadingHTTPServer):
    """Keeps what is posted to it; the first answer is that it is busy."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.refused = 0
        self.requests: list[ExportTraceServiceRequest] = []

    @property
    def names(self) -> set[str]:
        """Of all spans."""
        return {
            span.name
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        }


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        if not self.server.refused:
            self.server.refused += 1
            self.send_response(503)
        else:
            assert self.path == "/v1/traces"
            self.server.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


WORK = """
import asyncio, os, sys
from guild.running.traces import tracer_provider_of
from messaging.telemetry import OpenTelemetryObserver
from messaging.testing import memory_bus
from tests.messaging.buses import Ask, listening, settled_all, tell

async def main():
    provider = tracer_provider_of(os.environ, sys.argv[1])
    async with memory_bus(Ask, observer=OpenTelemetryObserver(provider)) as bus:
        await bus.subscribe(listening("teller", tell))
        await bus.publish("asks", Ask(text="x"))
        await settled_all(bus, "teller")
    provider.shutdown()

asyncio.run(main())
"""


def test_spans_reach_a_collector_that_was_busy_at_first(collector: Collector) -> None:
    address = f"http://127.0.0.1:{collector.server_port}"
    service = f"guild-{new_id()}"
    done = subprocess.run(
        [sys.executable, "-c", WORK, service],
        cwd=ROOT,
        env={"OTEL_EXPORTER_OTLP_ENDPOINT": address, "PATH": "", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert collector.names == {"publish asks", "process asks", "publish told"}
    assert collector.refused == 1
    assert any(service in str(request) for request in collector.requests)
