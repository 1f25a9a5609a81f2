"""A full disk: the error says so, what was there stays, and nothing half written is left."""

import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ERRORS = {
    "write": "WorkRefusedError",
    "append": "WorkRefusedError",
    "corpus": "DatasetError",
    "unpack": "DatasetError",
    "tokenizer": "TokenizerError",
    "model": "ModelScriptError",
}


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What `full_disk` tells, in a mount namespace with a disk of one megabyte."""
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare")
    folder = tmp_path_factory.mktemp("full")
    (folder / "disk").mkdir()
    letters = random.Random(0)
    words = ["".join(letters.choices("abcdefghij", k=9)) for _ in range(9000)]
    (folder / "words.txt").write_text(" ".join(words))
    (folder / "large.bin").write_bytes(bytes(2**20))
    with tarfile.open(folder / "a.tar", "w") as archive:
        archive.add(folder / "large.bin", "large.bin")
    inside = 'mount -t tmpfs -o size=1m none "$1" && cd "$1" && shift && exec "$@"'
    done = subprocess.run(
        [
            unshare, "--user", "--map-root-user", "--mount", "sh", "-c", inside, "sh",
            str(folder / "disk"), sys.executable, "-m", "tests.research.full_disk",
            str(folder / "a.tar"), str(folder / "words.txt"),
        ],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.stderr.startswith(("unshare:", "mount:")):
        pytest.skip(f"no mount namespaces here: {done.stderr}")
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.mark.parametrize("act", ERRORS)
def test_it_is_told_as_an_error_of_the_tool(outcome: dict[str, Any], act: str) -> None:
    said = outcome["said"][act]

    assert said.startswith(f"{ERRORS[act]}: ")
    assert "no space left on device" in said.lower()


def test_what_was_there_stays_and_no_half_is_left(outcome: dict[str, Any]) -> None:
    assert outcome["log"] == "before"
    assert [name for name in outcome["left"] if "names/" not in name] == ["filler", "log"]
    assert not [name for name in outcome["left"] if name.endswith(("tokenizer.json", "s.json"))]
