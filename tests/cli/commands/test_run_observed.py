"""What can be seen of a guild that `guildbus run` runs."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.cli.conftest import SPEC

ROOT = Path(__file__).parents[3]
ENVIRON = {**os.environ, "GUILDBUS_ALLOW": "tests.cli", "PYTHONPATH": str(ROOT)}


@asynccontextmanager
async def running(folder: Path, *words: str, **environ: str) -> AsyncIterator[tuple[str, Any]]:
    """The address of a guild with HTTP, and its process; its lines come in `folder/lines`."""
    spec = folder / "crew.yaml"
    spec.write_text(SPEC.format(bus="memory://"))
    command = ("-m", "guild.cli", "run", spec, "--http", "0", "--log-level", "info", *words)
    with (folder / "lines").open("wb") as lines:
        process = await asyncio.create_subprocess_exec(
            sys.executable, *command, stderr=asyncio.subprocess.PIPE, env={**ENVIRON, **environ}
        )
        assert process.stderr is not None
        url = ""
        while not url:
            line = await process.stderr.readline()
            assert line, (folder / "lines").read_text()
            lines.write(line)
            url = "".join(re.findall(r"^console: (\S+)/$", line.decode().strip()))
        reading = asyncio.create_task(_copy(process.stderr, lines))
        try:
            yield url, process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()
            await reading


async def _copy(source: asyncio.StreamReader, target: Any) -> None:
    while line := await source.readline():
        target.write(line)
        target.flush()


async def ask(url: str, **fields: Any) -> httpx.Response:
    async with httpx.AsyncClient() as client:
        return await client.post(
            f"{url}/api/v1/topics/jobs/requests", json={"type": "crew.work", "data": fields}
        )


async def test_metrics_tell_what_was_handled_and_what_waits(tmp_path: Path) -> None:
    async with running(tmp_path) as (url, _):
        assert (await ask(url, count=2)).status_code == 200
        async with httpx.AsyncClient() as client:
            told = await client.get(f"{url}/metrics")

    assert told.headers["content-type"].startswith("text/plain")
    handled = 'guildbus_handlings_total{agent="worker",error="",outcome="handled",type="crew.work"}'
    assert f"{handled} 1.0" in told.text
    assert "guildbus_dead_letters 0.0" in told.text
    assert "process_resident_memory_bytes" in told.text


async def test_traces_are_sent_as_the_environment_says_and_named_in_the_log(tmp_path: Path) -> None:
    async with running(tmp_path, "--traces", OTEL_TRACES_EXPORTER="console") as (url, _):
        assert (await ask(url, count=2)).status_code == 200

    told = (tmp_path / "lines").read_text()
    assert '"name": "process jobs"' in told
    assert '"service.name": "crew"' in told


async def test_without_being_asked_for_nothing_is_traced(tmp_path: Path) -> None:
    async with running(tmp_path, OTEL_TRACES_EXPORTER="console") as (url, _):
        assert (await ask(url, count=2)).status_code == 200

    assert '"name": "process' not in (tmp_path / "lines").read_text()


async def test_an_exporter_that_is_not_there_is_said_before_anything_starts(tmp_path: Path) -> None:
    spec = tmp_path / "crew.yaml"
    spec.write_text(SPEC.format(bus="memory://"))
    command = (sys.executable, "-m", "guild.cli", "run", str(spec), "--traces")
    process = await asyncio.create_subprocess_exec(
        *command,
        stderr=asyncio.subprocess.PIPE,
        env={**ENVIRON, "OTEL_TRACES_EXPORTER": "pigeon"},
    )
    _, told = await process.communicate()

    assert process.returncode == 2
    assert b"pigeon" in told
    assert b"Traceback" not in told
