"""The order pipeline, when something is missing or wrong; tests/docs reads its page."""

import os
import subprocess
import sys
from pathlib import Path

from tests.servers import redis_binary

ROOT = Path(__file__).parents[2]
ORDERS = ROOT / "examples" / "orders"

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


def test_an_order_before_the_agents_ever_ran_may_be_placed_again_later() -> None:
    redis_binary()
    done = _run("-c", BEFORE_THE_GUILD)

    assert done.stdout.splitlines() == ["503 1"], (done.stdout, done.stderr)


def test_a_bank_that_forgets_what_it_charged_shows_in_the_account() -> None:
    redis_binary()
    done = _run("-c", WITH_FORGETFUL_BANK, "--orders", "80")

    assert done.returncode == 1, (done.stdout, done.stderr)
    assert "THEY DO NOT AGREE" in done.stdout
