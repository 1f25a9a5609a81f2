"""The order pipeline: its story, its page, and the test that the page shows."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.docs.blocks import Block, Step, blocks_of, steps_of
from tests.servers import redis_binary

ROOT = Path(__file__).parents[2]
ORDERS = ROOT / "examples" / "orders"
BLOCKS = blocks_of(ORDERS / "README.md")
NEW = "test_shipping.py"
PYTEST = "-q -p no:cacheprovider -o asyncio_mode=auto --import-mode=importlib"

FORGETFUL = """
import sys
from pathlib import Path
from shop import bank

charge = bank.Teller._charge
bank.Teller._charge = lambda self, key, cents: charge(self, f"{key}.{bank.random.random()}", cents)
bank.serve(int(sys.argv[1]), Path(sys.argv[2]))
"""
"""A bank that does not know a key again."""

WITH_FORGETFUL_BANK = f"""
import sys
from town.processes import Town

command = Town._command
Town._command = lambda self, name: (
    [sys.executable, "-c", {FORGETFUL!r}, *command(self, name)[3:]]
    if name == "bank" else command(self, name)
)
import story
sys.exit(story.main())
"""

BEFORE_THE_GUILD = """
import asyncio, tempfile, urllib.error, urllib.request
from contextlib import ExitStack
from pathlib import Path
from story import order_of
from town.processes import Town

async def main(folder, stack):
    town = Town(Path(folder), stack)
    for name in ("redis", "web"):
        town.start(name)
        await town.listens(name)
    order = order_of(0)
    url, body = f"{town.url('web')}/orders/{order.id}", order.placed.model_dump_json().encode()
    asked = urllib.request.Request(url, data=body, method="PUT")
    try:
        await asyncio.to_thread(urllib.request.urlopen, asked, timeout=20)
    except urllib.error.HTTPError as error:
        print(error.code, error.headers["Retry-After"])

with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
    asyncio.run(main(folder, stack))
"""


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if "GUILDBUS" not in name}
    return subprocess.run(
        [sys.executable, *words],
        cwd=ORDERS,
        env=environ | {"PYTHONPATH": f"{ORDERS}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )


def _console(block: Block) -> Sequence[Step]:
    return list(steps_of(block))


def test_the_consoles_of_the_page_show_what_happens() -> None:
    redis_binary()
    programs = {"python": (), "guildbus": ("-m", "guild.cli")}
    steps = [step for block in BLOCKS if block.language == "console" for step in _console(block)]
    for step in steps:
        program, *words = step.command.split()
        done = _run(*programs[program], *words)
        shown = [line for line in step.output if line != "..."]
        assert done.returncode == 0, (step, done.stdout, done.stderr)
        assert [line for line in done.stdout.splitlines() if line in shown] == shown

    assert len(steps) == 2


def test_an_order_before_the_agents_ever_ran_may_be_placed_again_later() -> None:
    redis_binary()
    done = _run("-c", BEFORE_THE_GUILD)

    assert done.stdout.splitlines() == ["503 1"], (done.stdout, done.stderr)


def test_a_bank_that_forgets_what_it_charged_shows_in_the_account() -> None:
    redis_binary()
    done = _run("-c", WITH_FORGETFUL_BANK, "--orders", "80")

    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "THEY DO NOT AGREE" in done.stdout


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.file not in ("", NEW)], ids=str)
def test_what_the_page_shows_of_a_file_stands_there(block: Block) -> None:
    _, excerpt = block.text.split("\n", 1)

    assert excerpt in (ORDERS / block.file).read_text(encoding="utf-8")


def test_the_test_that_the_page_shows_passes(tmp_path: Path) -> None:
    (shown,) = [block for block in BLOCKS if block.file == NEW]
    path = tmp_path / NEW
    path.write_text(shown.text)
    done = _run("-m", "pytest", *PYTEST.split(), f"--rootdir={tmp_path}", str(path))

    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_every_command_that_the_page_types_is_one() -> None:
    (typed,) = [block for block in BLOCKS if block.language == "sh"]
    commands = [line.split()[1] for line in typed.text.splitlines() if line.startswith("guildbus")]

    for command in commands:
        assert _run("-m", "guild.cli", command, "--help").returncode == 0, command
    assert len(commands) == 5
