"""The hooks for pre-commit are valid, local, and the checks of `make check`."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT

CONFIGURATION = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
REPOSITORIES = CONFIGURATION["repos"]
HOOKS = [hook for repository in REPOSITORIES for hook in repository["hooks"]]
REQUIRED = {"id", "name", "entry", "language"}
KNOWN = REQUIRED | {"types_or", "pass_filenames"}


def test_nothing_is_fetched_for_a_hook() -> None:
    assert [repository["repo"] for repository in REPOSITORIES] == ["local"]
    assert {hook["language"] for hook in HOOKS} == {"system"}
    assert not any("additional_dependencies" in hook for hook in HOOKS)


def test_each_hook_has_what_pre_commit_needs() -> None:
    assert set(CONFIGURATION) == {"minimum_pre_commit_version", "repos"}
    assert len({hook["id"] for hook in HOOKS}) == len(HOOKS)
    for hook in HOOKS:
        assert set(hook) >= REQUIRED
        assert set(hook) <= KNOWN
        assert set(hook["types_or"]) == {"python", "pyi"}


def test_the_hooks_are_the_checks_of_make() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ncheck:")[2]
    checks = re.findall(r"^\t@\$\(BIN\)/(.+)$", recipe.partition("\n\n")[0], re.MULTILINE)
    entries = [_without(hook["entry"], ".venv/bin/", " --force-exclude") for hook in HOOKS]

    assert entries == [check.removesuffix(" .") for check in checks]


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_the_program_of_a_hook_is_here_and_takes_its_words(hook: dict[str, Any]) -> None:
    program, *words = hook["entry"].split()
    path = Path(sys.executable).with_name(Path(program).name)

    done = subprocess.run([path, *words, "--help"], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr


def _without(text: str, *parts: str) -> str:
    for part in parts:
        text = text.replace(part, "")
    return text
