"""What jobs hand on through folders is gone when its work ends, whichever way it does."""

import asyncio
import signal
import sys
from pathlib import Path

from pydantic import BaseModel

from agents.research.exchange import exchange_folder, sweep
from agents.research.job_properties import EXCHANGE, JobsProps
from agents.research.jobs import open_jobs

DYING = """
import asyncio, os, signal, sys
from pathlib import Path
from agents.research.exchange import exchange_folder

async def main():
    async with exchange_folder(Path(sys.argv[1])) as folder:
        Path(sys.argv[1], folder).mkdir()
        Path(sys.argv[1], folder, "val.predictions").write_bytes(b"half")
        if sys.argv[2] == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        print("ready", flush=True)
        sys.stdin.read()

asyncio.run(main())
"""


class Nobody:
    def emit(self, message: BaseModel, /) -> None: ...


def left(workspace: Path) -> list[str]:
    return sorted(path.name for path in (workspace / EXCHANGE).iterdir())


async def another(workspace: Path, how: str) -> asyncio.subprocess.Process:
    """A process that works with a folder, until it dies or its stdin is closed."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", DYING, str(workspace), how),
        cwd=Path(__file__).parents[2],
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )


async def test_the_folder_is_gone_whichever_way_its_work_ends(tmp_path: Path) -> None:
    for error in (None, ValueError(), asyncio.CancelledError()):
        try:
            async with exchange_folder(tmp_path) as folder:
                (tmp_path / folder).mkdir()
                (tmp_path / folder / "val.predictions").write_bytes(b"half")
                if error is not None:
                    raise error
        except (ValueError, asyncio.CancelledError):
            pass
        assert left(tmp_path) == []


async def test_what_a_killed_process_left_is_gone_at_the_next_start(tmp_path: Path) -> None:
    killed = await another(tmp_path, "dies")
    assert await killed.wait() == -signal.SIGKILL
    assert len(left(tmp_path)) == 2

    async with open_jobs(JobsProps(workspace=str(tmp_path))):
        assert left(tmp_path) == []


async def test_what_a_living_process_uses_stays(tmp_path: Path) -> None:
    living = await another(tmp_path, "lives")
    assert living.stdin is not None
    assert living.stdout is not None
    await living.stdout.readline()
    async with exchange_folder(tmp_path):
        before = left(tmp_path)
        sweep(tmp_path)
        assert left(tmp_path) == before
    living.stdin.close()
    await living.wait()

    assert left(tmp_path) == []


async def test_a_job_cannot_make_its_folder_stay(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    async with exchange_folder(tmp_path) as folder:
        place = tmp_path / folder
        place.mkdir()
        (place / "link").symlink_to(outside)
        for _ in range(20):  # each moved below the next: no path is long while they are made
            (place / "next").mkdir()
            if (place / "deep").exists():
                (place / "deep").rename(place / "next" / "deep")
            (place / "next").rename(place / "deep")
        (place / "deep" / "file").touch()
        (place / "deep").chmod(0)
        place.chmod(0)

    assert left(tmp_path) == []
    assert (outside / "kept").exists()
