"""The main job with real agents on a real server, scaled down, and killed again and again."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from agents.research.researcher.budget import Budget
from agents.research.run.messages import ResearchReport, ResearchRequest, SearchStudy, TextStudy
from messaging.testing import eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
SMALL = ResearchRequest(
    name="small",
    text=TextStudy(
        corpus_bytes=200_000,
        vocab_size=512,
        hidden_size=32,
        layers=1,
        heads=2,
        context_length=128,
        batch_size=2,
        max_steps=400,
    ),
    search=SearchStudy(dataset="wine", budget=Budget(seconds=None, trials=6), folds=2),
)
STEPS = 6

Line = dict[str, Any]
Moment = Callable[[Line], bool]


@asynccontextmanager
async def driven(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """The guild at work in `folder`, in a process of its own; killed at the end if it lives."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (folder / "stderr.txt").open("ab") as errors:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "tests.research.drive", SMALL.model_dump_json()),
            cwd=folder,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=errors,
            limit=2**22,
        )
    children: list[psutil.Process] = []
    try:
        yield process
    finally:
        if process.returncode is None:
            with contextlib.suppress(psutil.NoSuchProcess):  # it may end at this very moment
                children = psutil.Process(process.pid).children(recursive=True)
                process.send_signal(signal.SIGKILL)
            await process.wait()
        await eventually(lambda: not any(map(lives, children)), timeout_s=20)


def lives(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    return False


async def lines_of(process: asyncio.subprocess.Process) -> AsyncIterator[Line]:
    assert process.stdout is not None
    while line := await process.stdout.readline():
        yield json.loads(line)


async def killed_at(moment: Moment, folder: Path) -> None:
    """Run the guild and kill it as soon as something is emitted that is the `moment`."""
    async with driven(folder) as process:
        async for line in lines_of(process):
            assert line["type"] != "research.report", "the run ended before it could be killed"
            if moment(line):
                return
    pytest.fail(f"the moment never came; {text_of(folder / 'stderr.txt')[-2000:]}")


async def finished(folder: Path) -> ResearchReport:
    async with driven(folder) as process:
        lines = [line async for line in lines_of(process)]
        await process.wait()
    assert process.returncode == 0, text_of(folder / "stderr.txt")[-2000:]
    return ResearchReport.model_validate(lines[-1]["fields"])


def progress(task: str, *, done: float = 0) -> Moment:
    def is_it(line: Line) -> bool:
        fields = line["fields"]
        if line["type"] != "guild.progress":
            return False
        return bool(fields["task"].startswith(task) and fields["done"] >= done)

    return is_it


def identity(path: Path) -> tuple[int, int]:
    """Changes when the file is written again, even with the same contents."""
    return path.stat().st_ino, path.stat().st_mtime_ns


def text_of(path: Path) -> str:
    return path.read_text("utf-8")


def epochs(run: Path, experiment: str) -> list[int]:
    lines = text_of(run / "experiments" / experiment / "metrics.jsonl").splitlines()
    return [json.loads(line)["epoch"] for line in lines]


@pytest.mark.long
async def test_a_run_killed_at_many_moments_ends_as_if_nothing_had_happened(
    tmp_path: Path,
) -> None:
    run = tmp_path / "runs" / "small"

    await killed_at(progress("gather text"), tmp_path)
    await killed_at(progress("train the language model", done=250), tmp_path)
    corpus = identity(run / "corpus.txt")
    tokenizer = identity(run / "tokenizer" / "tokenizer.json")
    await killed_at(progress("trial", done=1), tmp_path)
    trials = {path: identity(path) for path in (tmp_path / ".guildbus").rglob("result.json")}
    await killed_at(progress("write the report"), tmp_path)
    model = identity(run / "language_model" / "config.json")
    report = await finished(tmp_path)

    assert report.failures == ()
    assert report.study is not None
    assert report.study.trials == 6
    assert len(report.study.tests) > 0
    assert report.completion.startswith("def ")
    assert f"{STEPS} of {STEPS}" in text_of(tmp_path / report.html_path)
    assert identity(run / "corpus.txt") == corpus
    assert identity(run / "tokenizer" / "tokenizer.json") == tokenizer
    assert identity(run / "language_model" / "config.json") == model
    assert trials
    for path, before in trials.items():
        assert identity(path) == before
    assert epochs(run, "language_model") == list(range(1, len(epochs(run, "language_model")) + 1))
    resumed = json.loads(text_of(run / "experiments" / "language_model" / "result.json"))
    assert resumed["resumed_from_step"] >= 200
    assert await finished(tmp_path) == report
